"""Rules of Prometheus fire when they should, and Alertmanager sends them back to Sentinel."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

INFRA = Path(__file__).resolve().parents[2] / "infra"
RULES = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text())
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]


def tool(name: str, *args: str) -> str:
    """Run a tool of Prometheus' own; the test is skipped where it is not installed."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name}: install the Debian packages prometheus, prometheus-alertmanager")
    done = subprocess.run(
        [name, *args], cwd=INFRA / "prometheus", capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_rule_is_tried_and_does_as_expected():
    tool("promtool", "check", "rules", "recording.yml", "alerts.yml")
    assert "SUCCESS" in tool("promtool", "test", "rules", "tests.yml")
    tried = (INFRA / "prometheus" / "tests.yml").read_text()
    assert [name for name in ALERTS if name not in tried] == []


def test_prometheus_takes_its_configuration(tmp_path):
    for name in ("prometheus.yml", "recording.yml", "alerts.yml"):
        shutil.copy(INFRA / "prometheus" / name, tmp_path)
    (tmp_path / "api-token").write_text("x")
    assert "SUCCESS" in tool("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "sentinel-now"), ("low", "sentinel")]
)
def test_every_alert_comes_back_as_an_event_and_grave_ones_at_once(severity, receiver):
    path = str(INFRA / "alertmanager" / "alertmanager.yml")
    tool("amtool", "check-config", path)
    chosen = tool(
        "amtool", "config", "routes", "test", "--config.file", path, f"severity={severity}"
    )
    assert chosen.split() == [receiver]
    wanted = "/v1/ingest/alertmanager"
    for each in yaml.safe_load(Path(path).read_text())["receivers"]:
        assert each["webhook_configs"][0]["url"].endswith(wanted)
