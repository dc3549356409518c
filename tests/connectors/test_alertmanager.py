"""Alertmanager: what fires and what is resolved, each once however often it is sent."""

from __future__ import annotations

import json
from pathlib import Path

from connectors import _golden
from connectors.alertmanager import Alertmanager

GOLDEN = Path(__file__).parent / "golden" / "alertmanager"


def test_a_repeated_notification_is_the_same_event() -> None:
    body = json.loads((GOLDEN / "firing.raw.json").read_text())
    later = body | {"groupKey": "other", "truncatedAlerts": 3}
    first, again = (
        _golden.events(Alertmanager(), json.dumps(each).encode())[0]["metadata"]["uid"]
        for each in (body, later)
    )
    assert first == again


def test_the_end_of_an_alert_is_another_event_of_the_same_finding() -> None:
    events = [
        _golden.events(Alertmanager(), (GOLDEN / f"{name}.raw.json").read_bytes())[0]
        for name in ("firing", "resolved")
    ]
    assert events[0]["finding_info"]["uid"] == events[1]["finding_info"]["uid"]
    assert events[0]["metadata"]["uid"] != events[1]["metadata"]["uid"]
    assert [event["status"] for event in events] == ["New", "Resolved"]
    assert [event["activity_name"] for event in events] == ["Create", "Close"]
    assert events[0]["time"] < events[1]["time"]
