"""``make run``: everything starts, the sample streams, alerts appear, Ctrl-C leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}
    return kept | {"SENTINEL_HOME": str(tmp_path / "home"), "SENTINEL_API_PORT": "0"}


def command(*args):
    return [sys.executable, "-m", "sentinel.cli", *args]


def alerts_of(env):
    done = subprocess.run(command("alerts", "--json"), env=env, cwd=ROOT, capture_output=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_demonstration_shows_alerts_and_ctrl_c_stops_all(env, tmp_path):
    """The first alert comes while the sample streams; nothing runs after Ctrl-C; the data stays."""
    errors = tmp_path / "errors"
    with errors.open("wb") as log:
        running = subprocess.Popen(
            command("run", "--rate", "200"),
            env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    first = running.stdout.readline().decode()
    said = errors.read_text()
    assert first.split("  ")[1] in {"low", "medium", "high", "critical"}, said
    assert "/docs" in said
    assert "sentinel push" in said
    begun = next(line for line in said.splitlines() if "streaming the sample hour" in line)
    shown = next(line for line in said.splitlines() if "first alert" in line)
    assert float(shown.split()[0]) >= float(begun.split()[0])

    before = len(alerts_of(env))
    assert before
    children = psutil.Process(running.pid).children(recursive=True)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=180)
    assert running.returncode == 0
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive

    subprocess.run(command("up", "--detach"), env=env, cwd=ROOT, check=True, capture_output=True)
    try:
        assert len(alerts_of(env)) >= before
    finally:
        subprocess.run(command("down"), env=env, cwd=ROOT, check=True, capture_output=True)
