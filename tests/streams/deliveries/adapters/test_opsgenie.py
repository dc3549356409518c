"""Opsgenie: create and close by alias."""

from __future__ import annotations

from sentinel.testing.server import failed, reply


async def test_an_alert_is_created_and_closed(adapter, server, item, message):
    server.route("POST", r"/v2/alerts.*", lambda _: reply({"result": "ok"}, 202))
    opsgenie = adapter("opsgenie", {"api_key": "key", "url": server.url})
    told = item(severity="high")
    made = await opsgenie.send(message(told))
    await opsgenie.send(message(told._replace(type="alert.resolved")))
    first, second = server.requests
    assert first.headers["authorization"] == "GenieKey key"
    assert first.json()["alias"] == made.reference == f"sentinel-{told.data['id']}"
    assert first.json()["priority"] == "P2"
    assert second.path == f"/v2/alerts/{made.reference}/close"
    assert second.param("identifierType") == "alias"


async def test_answers(adapter, server, message):
    opsgenie = adapter("opsgenie", {"api_key": "key", "url": server.url})
    server.script("/v2/alerts", failed(422), failed(401))
    assert [(await opsgenie.send(message())).permanent for _ in range(2)] == [True, False]
