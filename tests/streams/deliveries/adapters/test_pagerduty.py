"""PagerDuty: trigger and resolve by the alert's id."""

from __future__ import annotations

import pytest

from sentinel.testing.server import failed, reply


@pytest.fixture
def pager(adapter, server):
    server.route("POST", "/v2/enqueue", lambda _: reply({"status": "success"}, 202))
    return adapter("pagerduty", {"routing_key": "key", "url": f"{server.url}/v2/enqueue"})


async def test_an_alert_triggers_and_resolves_by_the_same_key(pager, server, item, message):
    told = item()
    made = await pager.send(message(told))
    await pager.send(message(told._replace(type="alert.resolved")))
    first, second = (request.json() for request in server.requests)
    assert first["event_action"] == "trigger"
    assert first["payload"]["severity"] == "critical"
    assert first["payload"]["summary"] == "Root logged in: root"
    assert first["payload"]["custom_details"] == told.data
    assert second == {
        "routing_key": "key",
        "event_action": "resolve",
        "dedup_key": first["dedup_key"],
    }
    assert made.reference == first["dedup_key"] == f"sentinel-{told.data['id']}"


async def test_a_test_leaves_no_pager_ringing(pager, server, item, message):
    await pager.send(message(item("sentinel.ping")))
    assert [r.json()["event_action"] for r in server.requests] == ["trigger", "resolve"]


async def test_a_batch_goes_alert_by_alert_and_stops_where_it_fails(pager, server, item, message):
    server.script("/v2/enqueue", None, failed(429))
    outcome = await pager.send(message(item(), item(), item()))
    assert (outcome.status, len(server.requests)) == (429, 2)
