"""Splunk: all alerts of a message in one request."""

from __future__ import annotations

import json

from sentinel.testing.server import failed, reply


async def test_events_have_the_time_of_the_alert(adapter, server, item, message):
    server.route("POST", "/services/collector/event", lambda _: reply({"text": "Success"}))
    splunk = adapter("splunk", {"url": server.url, "token": "t", "index": "security"})
    assert not (await splunk.send(message(item(), item(title="second")))).error
    (request,) = server.requests
    assert request.headers["authorization"] == "Splunk t"
    events = [json.loads(line) for line in request.body.decode().splitlines()]
    assert [event["event"]["title"] for event in events] == ["Root logged in", "second"]
    assert events[0]["time"] == 1_769_861_100.0
    assert (events[0]["index"], events[0]["sourcetype"]) == ("security", "sentinel:alert")


async def test_busy_is_tried_again(adapter, server, message):
    splunk = adapter("splunk", {"url": server.url, "token": "t"})
    server.script("/services/collector/event", failed(503), failed(400))
    assert [(await splunk.send(message())).permanent for _ in range(2)] == [False, True]
