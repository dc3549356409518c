"""The workflows for n8n: sound by themselves, true to the API, and where asked run by real n8n.

``SENTINEL_TEST_N8N`` names a folder whose ``node_modules`` has n8n (see infra/n8n/README.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from pathlib import Path
from uuid import uuid4

import pytest
import uvicorn

from api.app import create
from connectors._sources import sources
from sentinel.kafka import create_topics
from sentinel.settings import Settings
from sentinel.testing.server import ScriptedServer, reply
from streams.sinks.base import AlertRow, Rows
from streams.sinks.postgres import PostgresSink

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "n8n"
FILES = sorted(FOLDER.glob("*.json"))
FLOWS = {path.stem: json.loads(path.read_text()) for path in FILES}
SCHEDULES = {
    "daily-slo-report": "0 9 * * *",
    "high-cpu": "*/5 * * * *",
    "anomaly-report": "*/15 * * * *",
    "database-health": "0 */6 * * *",
    "weekly-summary": "0 10 * * 1",
    "memory-warning": "*/10 * * * *",
}
LIMITS = {"high-cpu": ("cpu_percent", 80), "memory-warning": ("memory_percent", 85)}
N8N = os.environ.get("SENTINEL_TEST_N8N", "")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Return the paths of the API with the names of their parameters."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, postgres="postgresql://not-used/x", kafka="not-used:1")
    described = create(settings).openapi()["paths"]
    return {
        path: {each["name"] for each in methods["get"].get("parameters", ())}
        for path, methods in described.items()
        if "get" in methods
    }


def test_there_are_six_and_each_runs_when_it_should():
    found = {}
    for name, flow in FLOWS.items():
        (trigger,) = [n for n in flow["nodes"] if n["type"].endswith(".scheduleTrigger")]
        (rule,) = trigger["parameters"]["rule"]["interval"]
        found[name] = rule["expression"]
        assert flow["settings"]["timezone"] == "UTC"
        assert flow["active"] is False, "whoever imports it decides"
    assert found == SCHEDULES


@pytest.mark.parametrize("name", FLOWS)
def test_the_graph_is_one_line_from_the_triggers_to_the_report(name):
    flow = FLOWS[name]
    names = [node["name"] for node in flow["nodes"]]
    assert len(set(names)) == len(names) == len({node["id"] for node in flow["nodes"]})
    assert len(flow["id"]) <= 21, "n8n takes no longer one"
    assert names[:2] == ["Schedule", "By hand"]
    assert flow["connections"]["By hand"] == flow["connections"]["Schedule"]
    del names[1]
    followed = [names[0]]
    while (step := flow["connections"].get(followed[-1])) is not None:
        ((target,),) = step["main"]
        assert (target["type"], target["index"]) == ("main", 0)
        followed.append(target["node"])
    assert followed == names
    assert names[-1] == "Report"
    text = json.dumps(flow)
    for named in re.findall(r"\$\('(\w+)'\)", text):
        assert named in names


@pytest.mark.parametrize("name", FLOWS)
def test_what_is_asked_for_is_there(name, paths):
    for node in FLOWS[name]["nodes"]:
        if not node["type"].endswith(".httpRequest") or node["name"] == "Report":
            continue
        path = node["parameters"]["url"].removeprefix("={{ $env.SENTINEL_API_URL }}")
        given = node["parameters"].get("queryParameters", {"parameters": []})["parameters"]
        assert {each["name"] for each in given} <= paths[path]
        assert node["credentials"]["httpHeaderAuth"]["id"] == "sentinelApiToken"


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    (node,) = [n for n in FLOWS[name]["nodes"] if n["type"].endswith(".filter")]
    (condition,) = node["parameters"]["conditions"]["conditions"]
    field, limit = LIMITS[name]
    assert condition["leftValue"] == f"={{{{ $json.{field} }}}}"
    assert (condition["operator"]["operation"], condition["rightValue"]) == ("gt", limit)


def test_no_file_holds_a_secret_or_an_address():
    for path in FILES:
        text = path.read_text()
        assert "Bearer" not in text
        assert re.findall(r"https?://", text) == []


# --- by real n8n, where asked


async def n8n(home, environment, *args):
    """Run a command of n8n and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(Path(N8N) / "node_modules" / ".bin" / "n8n"), *args,
        env={**os.environ, **environment, "N8N_USER_FOLDER": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, f"n8n {args}: {out.decode()[-4000:]}"
    return out.decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
async def api(stack_settings, postgres, tmp_path):
    """Serve the API on the real stores, with two alerts of today; yield address and token."""
    settings = stack_settings.model_copy(update={"home": tmp_path / "home"})
    create_topics(settings, sources(settings))
    sink = PostgresSink(settings)
    await sink.open()
    now = time.time_ns() // 1_000_000
    common = {"tenant": "n8n", "source": "okta", "severity_id": 4, "score": 0.7, "techniques": []}
    common |= {"entity": "ada", "explanation": "{}", "count": 1, "events": []}
    common |= {"kind": "model", "first_seen": now, "last_seen": now}
    await sink.write(
        Rows(
            alerts=[
                AlertRow(**common, id=str(uuid4()), rule_id="rate_shift", title="Many at once"),
                AlertRow(**common, id=str(uuid4()), rule_id=str(uuid4()), title="By a rule"),
            ]
        )
    )
    await sink.close()
    server = uvicorn.Server(uvicorn.Config(create(settings), port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 # uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", (settings.home / "api-token").read_text().strip()
    server.should_exit = True
    await serving


def settings_of(url, receiver):
    """Return the environment of n8n, as infra/n8n/README.md says."""
    return {
        "SENTINEL_API_URL": url,
        "SENTINEL_REPORT_URL": f"{receiver.url}/report",
        "N8N_BLOCK_ENV_ACCESS_IN_NODE": "false",
        "N8N_RUNNERS_BROKER_PORT": str(free_port()),
        "N8N_DIAGNOSTICS_ENABLED": "false",
        # else the editor looks for newer versions and templates elsewhere
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
        "N8N_TEMPLATES_ENABLED": "false",
    }


def write_key(folder, token):
    """Write the file of the credential that the workflows use."""
    key = {"name": "Authorization", "value": f"Bearer {token}"}
    credential = {"id": "sentinelApiToken", "name": "Sentinel API", "type": "httpHeaderAuth"}
    (folder / "key.json").write_text(json.dumps([credential | {"data": key}]))
    return f"--input={folder / 'key.json'}"


@pytest.mark.skipif(not N8N, reason="SENTINEL_TEST_N8N names no folder with n8n")
@pytest.mark.timeout(1800)
async def test_real_n8n_runs_what_is_published_when_it_should(api, tmp_path):
    """Import, publish and start, with the schedule of one workflow moved to every 5 seconds."""
    url, token = api
    flow = json.loads(json.dumps(FLOWS["database-health"]).replace("0 */6 * * *", "*/5 * * * * *"))
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "often.json").write_text(json.dumps(flow))
    home = tmp_path / "n8n"
    with ScriptedServer() as receiver:
        receiver.route("POST", "/report", lambda _: reply({}))
        environment = settings_of(url, receiver) | {"N8N_PORT": str(free_port())}
        await n8n(home, environment, "import:credentials", write_key(tmp_path, token))
        flows = f"--input={tmp_path / 'flows'}"
        await n8n(home, environment, "import:workflow", "--separate", flows)
        await n8n(home, environment, "publish:workflow", f"--id={flow['id']}")
        started = await asyncio.create_subprocess_exec(
            str(Path(N8N) / "node_modules" / ".bin" / "n8n"), "start",
            env={**os.environ, **environment, "N8N_USER_FOLDER": str(home)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            while len(receiver.requests) < 2:  # n8n says nowhere that it ran
                assert started.returncode is None, "n8n ended by itself"
                await asyncio.sleep(0.5)
        finally:
            started.terminate()
            await started.wait()
        told = [request.json() for request in receiver.requests[:2]]
    assert {each["workflow"] for each in told} == {flow["name"]}
    assert all(each["text"].startswith("PostgreSQL: answers.") for each in told)


@pytest.mark.skipif(not N8N, reason="SENTINEL_TEST_N8N names no folder with n8n")
@pytest.mark.timeout(1200)
async def test_real_n8n_imports_and_runs_each_once(api, tmp_path):
    url, token = api
    with ScriptedServer() as receiver:
        receiver.route("POST", "/report", lambda _: reply({}))
        environment = settings_of(url, receiver)
        key = write_key(tmp_path, token)
        (tmp_path / "flows").mkdir()
        for name, flow in FLOWS.items():
            # as shipped, and so that its limit is passed for sure
            low = json.loads(json.dumps(flow).replace('"rightValue": 8', '"rightValue": -8'))
            (tmp_path / "flows" / f"{name}.json").write_text(json.dumps(low))
        home = tmp_path / "n8n"
        await n8n(home, environment, "import:credentials", key)
        await n8n(home, environment, "import:workflow", "--separate", f"--input={FOLDER}")
        for flow in FLOWS.values():
            out = await n8n(home, environment, "execute", f"--id={flow['id']}")
            assert "Execution was successful" in out
        shipped = {request.json()["workflow"] for request in receiver.requests}
        assert len(shipped - {FLOWS[name]["name"] for name in LIMITS}) == 4
        flows = f"--input={tmp_path / 'flows'}"
        await n8n(home, environment, "import:workflow", "--separate", flows)
        for name in LIMITS:
            await n8n(home, environment, "execute", f"--id={FLOWS[name]['id']}")
        texts = {r.json()["workflow"]: r.json()["text"] for r in receiver.requests}
    assert set(texts) == {flow["name"] for flow in FLOWS.values()}
    assert "1 anomalies in 15 min: [high] Many at once (ada)" in texts["Sentinel: anomaly report"]
    assert "every event is accounted for" in texts["Sentinel: daily SLO report"]
    assert "high 2" in texts["Sentinel: weekly summary"]
    assert texts["Sentinel: database health"].startswith("PostgreSQL: answers. Search: answers.")
    assert re.match(r"CPU at [\d.]+ % of \d+ cores", texts["Sentinel: high CPU"])
