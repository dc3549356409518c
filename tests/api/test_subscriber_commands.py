"""`sentinel webhooks` and `sentinel notify` against the API and a sender that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from standardwebhooks import Webhook

from sentinel.cli import app
from sentinel.settings import Settings
from sentinel.testing.server import ScriptedServer, reply
from streams.deliveries.service import Deliveries


@pytest.fixture
async def sentinel(monkeypatch, capfd, home, url):
    """Return ``await sentinel(*args)``: status, output, JSON lines of it where it is JSON."""
    monkeypatch.setenv("SENTINEL_HOME", str(home))
    monkeypatch.setenv("SENTINEL_API_URL", url)

    async def run(*args):
        status = await asyncio.to_thread(app.run, list(args))
        out, err = capfd.readouterr()
        rows = [json.loads(line) for line in out.splitlines()] if "--json" in args else out
        return status, rows, err

    return run


@pytest.fixture
def api_settings(api_settings):
    """Return settings that let the API and the sender reach the receiver."""
    return api_settings.model_copy(update={"deliver_allow": "127.0.0.1"})


@pytest.fixture
async def receiver():
    with ScriptedServer() as server:
        server.route("POST", "/hook", lambda _: reply({}))
        yield server


@pytest.fixture
async def sending(postgres, home):
    """Run a sender that shares the key of secrets with the API."""
    settings = Settings(home=home, postgres=postgres, deliver_allow="127.0.0.1")
    deliveries = await Deliveries.open(settings)
    task = asyncio.create_task(deliveries.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await deliveries.close()


async def test_a_webhook_from_making_to_deleting(sentinel, receiver, sending, tenant):
    name = f"soar-{tenant[-8:]}"
    where = f"{receiver.url}/hook"
    status, (made,), _ = await sentinel(
        "webhooks", "create", name, where, "--tenant", tenant, "--min-severity", "high",
        "--source", "cloud*", "--option", "concurrency=2", "--json",
    )  # fmt: skip
    assert status == 0
    assert made["filter"][0]["sources"] == ["cloud*"]
    status, rows, _ = await sentinel("webhooks", "test", name, "--json")
    assert (status, rows[0]["state"]) == (0, "delivered")
    (request,) = receiver.requests
    message = Webhook(made["secret"]).verify(request.body, dict(request.headers))
    assert message["type"] == "sentinel.ping"
    status, out, err = await sentinel("webhooks", "rotate", name)
    assert out.startswith("whsec_")
    assert "not shown again" in err
    status, rows, _ = await sentinel("webhooks", "deliveries", name, "--json")
    assert [row["state"] for row in rows] == ["delivered"]
    status, rows, _ = await sentinel("webhooks", "replay", name, "--state", "delivered", "--json")
    assert rows == [{"replayed": 1}]
    assert "is off" in (await sentinel("webhooks", "disable", name))[2]
    assert (await sentinel("webhooks", "show", name, "--json"))[1][0]["enabled"] is False
    assert (await sentinel("webhooks", "enable", made["id"]))[0] == 0
    status, rows, _ = await sentinel("webhooks", "list", "--json")
    assert made["id"] in {row["id"] for row in rows}
    assert (await sentinel("webhooks", "delete", name))[0] == 0
    status, _, err = await sentinel("webhooks", "show", name)
    assert (status, "`sentinel webhooks list` shows them" in err) == (1, True)


async def test_a_webhook_is_changed_and_keeps_what_is_not_given(sentinel, receiver, tenant):
    name = f"late-{tenant[-8:]}"
    _, (made,), _ = await sentinel(
        "webhooks", "create", name, f"{receiver.url}/hook", "--tenant", tenant,
        "--rule", "aws_*", "--option", "concurrency=2", "--json",
    )  # fmt: skip
    status, (found,), _ = await sentinel(
        "webhooks", "set", name, "--min-severity", "high", "--option", "batch_size=5", "--json"
    )
    assert status == 0
    (clause,) = found["filter"]
    assert {key for key, value in clause.items() if value} == {"min_severity"}
    assert found["options"] == made["options"] | {"batch_size": 5}
    _, (found,), _ = await sentinel("webhooks", "set", name, "--kind", "neural.*", "--json")
    assert found["filter"][0]["kinds"] == ["neural.*"]
    config = f"url={receiver.url}/other"
    status, _, err = await sentinel("webhooks", "set", name, "--everything", "--config", config)
    assert (status, err) == (0, f"changed {name}: config, filter\n")
    _, (found,), _ = await sentinel("webhooks", "show", name, "--json")
    assert (found["filter"], found["config"]["url"]) == ([], f"{receiver.url}/other")
    assert found["options"]["batch_size"] == 5
    status, _, err = await sentinel("webhooks", "set", name)
    assert (status, "expected something to change" in err) == (1, True)
    status, _, err = await sentinel("webhooks", "set", name, "--everything", "--rule", "x")
    assert (status, "found both" in err) == (1, True)
    assert (await sentinel("webhooks", "delete", name))[2] == f"deleted {name}\n"


async def test_a_channel_with_a_secret_from_a_file(sentinel, receiver, sending, tenant, tmp_path):
    name = f"siem-{tenant[-8:]}"
    (tmp_path / "token").write_text("very-secret\n")
    receiver.route("POST", "/services/collector/event", lambda _: reply({}))
    status, _, err = await sentinel(
        "notify", "add", "splunk", name, f"url={receiver.url}", f"token=file:{tmp_path}/token",
        "--tenant", tenant,
    )  # fmt: skip
    assert (status, f"sentinel notify test '{name}'" in err) == (0, True)
    assert (await sentinel("notify", "test", name, "--json"))[0] == 0
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Splunk very-secret"
    assert "very-secret" not in (await sentinel("notify", "show", name))[1]
    assert (await sentinel("notify", "delete", name))[0] == 0


async def test_a_receiver_that_refuses_is_told(sentinel, receiver, sending, tenant):
    name = f"down-{tenant[-8:]}"
    await sentinel("webhooks", "create", name, f"{receiver.url}/none", "--tenant", tenant)
    status, rows, _ = await sentinel("webhooks", "test", name, "--json")
    assert (status, rows[0]["state"], rows[0]["status"]) == (1, "pending", 404)
    await sentinel("webhooks", "delete", name)


async def test_mistakes_are_told_in_one_line(sentinel):
    status, _, err = await sentinel("notify", "add", "slack", "x", "url")
    assert (status, err) == (1, "sentinel: expected NAME=VALUE, found 'url'\n")
    status, _, err = await sentinel("notify", "add", "slack", "x", "url=ftp://x")
    assert status == 1
    assert "config.url" in err
    status, rows, _ = await sentinel("notify", "kinds", "--json")
    assert set(rows[0]) >= {"slack", "teams", "email", "jira"}
