"""A real Prometheus scrapes the platform; every query of every dashboard gives rows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml

from sentinel.local.home import free_port
from sentinel.sample.hour import simulate

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted((ROOT / "infra" / "grafana" / "dashboards").glob("*.json"))
NEEDED = ("prometheus", "prometheus-node-exporter", "prometheus-postgres-exporter")
LIMIT_S = 240.0


def panels(board: Path) -> list[dict]:
    """Every panel of a dashboard, those of collapsed rows included."""
    found = []
    for panel in json.loads(board.read_text())["panels"]:
        found += [panel, *panel.get("panels", [])]
    return [panel for panel in found if panel["type"] != "row"]


def queries(kind: str) -> list[tuple[str, str, str]]:
    """(dashboard, panel, query) of the targets that have `kind`: ``expr`` or ``rawSql``."""
    return [
        (board.stem, panel["title"], target[kind])
        for board in BOARDS
        for panel in panels(board)
        for target in panel["targets"]
        if kind in target
    ]


def filled(sql: str) -> str:
    """A query of a panel as Grafana's data source sends it, over all time."""
    sql = re.sub(r"\$__timeFilter\(([^)]+)\)", r"\1 BETWEEN '1970-01-01Z' AND '2100-01-01Z'", sql)
    group = r"floor(extract(epoch FROM \1) / 3600) * 3600 AS time"
    return re.sub(r"\$__timeGroupAlias\(([^,]+), '\$__interval'\)", group, sql)


@pytest.fixture(scope="module")
def worked(platform, tmp_path_factory):
    """The platform after an hour of the sample, a recording, some mistakes and some work."""
    folder = tmp_path_factory.mktemp("dashboards")
    events = list(simulate(seed=5))
    for source, name in (("cloudtrail", "trail.jsonl"), ("auditd", "audit.log")):
        raw = b"\n".join(event.raw for event in events if event.source == source)
        (folder / name).write_bytes(raw + b"\n")
        for _ in range(2):  # the second time all are duplicates
            platform.run(
                "push", str(folder / name), "--source", source, "--tenant", "boards", "--wait"
            )
    platform.run("push", "-", "--source", "cloudtrail", "--wait", stdin=b'{"broken\n')
    recording = str(folder / "r.ns5")
    platform.run("bci", "synth", "--channels", "8", "--seconds", "3", "--out", recording)
    platform.run("bci", "replay", recording, "--speed", "max")
    alerts = platform.json("alerts", "--tenant", "boards")
    facts = json.loads((platform.home / "stack.json").read_text())
    token = (platform.home / "api-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=facts["api"], headers=headers, timeout=60) as api:
        for alert, status in zip(alerts, ("resolved", "false_positive", "resolved"), strict=False):
            change = {"status": status, "reason": "tried out"}
            answer = api.patch(f"/v1/alerts/{alert['id']}", json=change)
            assert answer.status_code == 200, answer.text
        incidents = api.get("/v1/incidents", params={"limit": 1000}).json()["items"]
        mine = next(each for each in incidents if each["tenant"] == "boards")
        answer = api.patch(f"/v1/incidents/{mine['id']}", json={"status": "resolved"})
        assert answer.status_code == 200, answer.text
    return facts, token, folder / "trail.jsonl"


@pytest.fixture(scope="module")
def prometheus(platform, worked, tmp_path_factory) -> Iterator[str]:
    """The address of a Prometheus with our configuration, which asks every second."""
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"no {', '.join(missing)}: install the Debian packages of these names")
    facts, token, _ = worked
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    for name in ("recording.yml", "alerts.yml"):
        shutil.copy(ROOT / "infra/prometheus" / name, folder)
    (folder / "api-token").write_text(token)
    platform.run("dashboards", "targets", str(folder / "targets"))
    taken: set[int] = set()
    ports = {}
    for name in ("prometheus", "node", "postgres"):
        ports[name] = free_port(taken)
        taken.add(ports[name])
    for name in ("node", "postgres"):
        where = [{"targets": [f"127.0.0.1:{ports[name]}"]}]
        (folder / "targets" / f"{name}.json").write_text(json.dumps(where))
    dsn = facts["postgres"] + ("&" if "?" in facts["postgres"] else "?") + "sslmode=disable"
    commands = [
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/db",
         f"--web.listen-address=127.0.0.1:{ports['prometheus']}"],
        ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{ports['node']}"],
        ["prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{ports['postgres']}"],
    ]  # fmt: skip
    log = (folder / "log").open("wb")
    running = [
        subprocess.Popen(
            command, stdout=log, stderr=log, env={"DATA_SOURCE_NAME": dsn, "PATH": "/usr/bin"}
        )
        for command in commands
    ]
    yield f"http://127.0.0.1:{ports['prometheus']}"
    for process in running:
        process.terminate()
        process.wait(120)
    log.close()


def rows(prometheus: str, expr: str) -> list:
    """What a panel's query gives now."""
    for variable in ("stage", "source", "route", "bank"):
        expr = expr.replace(f"${variable}", ".*")
    expr = expr.replace("$__rate_interval", "1m")
    try:
        answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expr}, timeout=60)
    except httpx.ConnectError:
        return []  # it still starts
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["result"]


def test_every_query_to_prometheus_gives_rows(prometheus, platform, worked):
    waiting = queries("expr")
    assert len(waiting) > 30
    deadline = time.monotonic() + LIMIT_S
    while waiting and time.monotonic() < deadline:
        platform.run("push", str(worked[2]), "--source", "cloudtrail", "--tenant", "boards")
        platform.run("alerts", "--limit", "1")  # so that the API has something to count
        waiting = [(*where, expr) for *where, expr in waiting if not rows(prometheus, expr)]
    assert waiting == []


def test_every_query_to_postgresql_gives_rows_of_one_tenant(platform, worked):
    facts, _, _ = worked
    (login,) = platform.json("dashboards", "login", "grafana_boards", "--tenant", "boards")
    dsn = psycopg.conninfo.make_conninfo(
        facts["postgres"], user=login["user"], password=login["password"]
    )
    asked = queries("rawSql")
    assert len(asked) > 15
    with psycopg.connect(dsn, autocommit=True) as connection:
        empty = []
        for board, title, sql in asked:
            found = connection.execute(filled(sql)).fetchall()
            if not found or all(value is None for row in found for value in row):
                empty.append((board, title))
        # Sentinel's own alerts on sources are of another tenant
        assert empty == [("sources", "Silence, drift and gaps")]
        seen = "SELECT DISTINCT tenant FROM alerts UNION SELECT DISTINCT tenant FROM events"
        assert connection.execute(seen).fetchall() == [("boards",)]
        connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
        assert connection.execute(seen).fetchall() == [("boards",)]
        for refused in ("SELECT raw FROM events", "SELECT * FROM users", "DELETE FROM alerts"):
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
            ):
                connection.execute(refused)
