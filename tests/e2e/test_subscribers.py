"""Alerts reach a webhook of the running platform, though it is down and the worker is killed."""

from __future__ import annotations

import os
import signal
import time

import pytest
from standardwebhooks import Webhook

from sentinel.sample.hour import simulate
from sentinel.testing.server import ScriptedServer, reply

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
LIMIT_S = 300.0


def until(condition):
    """Ask until `condition` holds; fail after `LIMIT_S`."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s"
        time.sleep(0.2)
    return found


def test_down_and_killed_nothing_is_lost_and_each_message_has_one_id(
    platform, pushed, tenant, tmp_path
):
    log = tmp_path / "log.jsonl"
    raws = [event.raw for event in simulate(seed=7, minutes=60) if event.source == "cloudtrail"]
    log.write_bytes(b"\n".join(raws) + b"\n")
    down = True
    with ScriptedServer() as receiver:
        receiver.route("POST", "/hook", lambda _: reply({}, 503 if down else 200))
        (made,) = platform.json(
            "webhooks", "create", "soar", f"{receiver.url}/hook", "--tenant", tenant
        )
        pushed("cloudtrail", log)
        alerts = {row["id"] for row in platform.json("alerts", "--tenant", tenant)}
        assert alerts
        until(lambda: receiver.requests)
        os.kill(int((platform.home / "run" / "persist.pid").read_text().split()[0]), signal.SIGKILL)
        down = False
        platform.run("webhooks", "replay", "soar", "--state", "pending")
        until(lambda: platform.json("webhooks", "show", "soar")[0]["pending"] == 0)
        log_of = platform.json("webhooks", "deliveries", "soar", "--limit", "1000")
    assert {row["state"] for row in log_of} == {"delivered"}
    assert {row["alert_id"] for row in log_of} == alerts
    ids = {row["id"] for row in log_of}
    assert {request.headers["webhook-id"] for request in receiver.requests} == ids
    verify = Webhook(made["secret"]).verify
    told = {verify(r.body, dict(r.headers))["data"]["id"] for r in receiver.requests}
    assert told == alerts
    assert platform.balance() == 0
    platform.run("webhooks", "delete", "soar")
