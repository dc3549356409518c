"""Okta's system log: classes of event types, envelopes, who was acted on, and outside events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors._okta.classes import classify
from connectors.okta import Okta
from schemas.ocsf import API_ACTIVITY, ENTITY_MANAGEMENT, GROUP_MANAGEMENT, validate
from sentinel.errors import MappingError
from sentinel.settings import Settings

DATA = Path(Settings().data)
CONNECTOR = Okta()


def event(**changes: Any) -> dict[str, Any]:
    """Return a small event."""
    return {
        "uuid": "00000000-0000-4000-8000-000000000001",
        "published": "2026-03-02T09:15:00.123Z",
        "eventType": "user.session.start",
        "outcome": {"result": "SUCCESS"},
        "actor": {"id": "00u1", "type": "User", "alternateId": "ada@example.com"},
        "client": {"ipAddress": "192.0.2.7"},
    } | changes


def mapped(**changes: Any) -> dict[str, Any]:
    """Return the OCSF event of `event`, checked against the schema."""
    found = CONNECTOR.to_ocsf(json.dumps(event(**changes)).encode())
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("zone.update", (ENTITY_MANAGEMENT, 3)),
        ("device.lifecycle.suspend", (ENTITY_MANAGEMENT, 12)),
        ("group.something_new", (GROUP_MANAGEMENT, 99)),
        ("app.keys.rotate", (API_ACTIVITY, 3)),
        ("system.feature.enable", (API_ACTIVITY, 99)),
        ("never.heard.of", (API_ACTIVITY, 99)),
    ],
)
def test_an_event_type_that_is_not_listed_has_a_class_too(event_type, expected):
    assert classify(event_type) == expected


def test_the_user_of_an_account_change_is_who_it_was_done_to():
    bob = {"type": "User", "id": "00u2", "alternateId": "bob@example.com"}
    found = mapped(eventType="user.lifecycle.deactivate", target=[bob])
    assert (found["actor"]["user"]["name"], found["user"]["name"]) == (
        "ada@example.com",
        "bob@example.com",
    )


def test_an_unknown_login_falls_back_to_the_id():
    raw = json.dumps(event(actor={"id": "00u1", "alternateId": "unknown"})).encode()
    assert CONNECTOR.summarise(CONNECTOR.decoder(frozenset()).decode(raw)).entity == "00u1"


def test_an_event_without_a_type_or_a_time_is_refused_with_the_field_named():
    for field in ("eventType", "published"):
        with pytest.raises(MappingError, match=field):
            mapped(**{field: None})


def test_a_whole_api_page_is_cut_into_its_events():
    page = [event(), event(uuid="2")]
    assert [json.loads(unit) for unit in CONNECTOR.split(json.dumps(page).encode())] == page


def test_rules_find_fields_inside_lists():
    decoder = CONNECTOR.decoder(frozenset({"target.displayName", "debugContext.debugData.x"}))
    raw = json.dumps(event(target=[{"displayName": "Admin"}, {"displayName": "B"}])).encode()
    assert decoder.getter("target.displayName")(decoder.decode(raw)) == ["Admin", "B"]


def lowered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): lowered(each) for name, each in value.items()}
    return [lowered(each) for each in value] if isinstance(value, list) else value


def test_an_event_with_all_keys_in_lower_case_is_the_same_event():
    whole = event(
        securityContext={"isProxy": True, "asNumber": 64496},
        debugContext={"debugData": {"requestUri": "/login"}},
        displayMessage="User login to Okta",
        target=[{"id": "1", "type": "User", "alternateId": "ada@example.com", "displayName": "A"}],
        client={
            "ipAddress": "192.0.2.1",
            "userAgent": {"rawUserAgent": "curl/8", "os": "Linux", "browser": "UNKNOWN"},
            "geographicalContext": {"country": "Germany", "city": "Berlin", "postalCode": "10115"},
        },
    )
    fields = ("eventType", "securityContext.isProxy", "debugContext.debugData.requestUri")
    decoder = CONNECTOR.decoder(frozenset(fields))
    raws = [json.dumps(each).encode() for each in (whole, lowered(whole))]
    own, lake = map(decoder.decode, raws)
    assert CONNECTOR.summarise(own) == CONNECTOR.summarise(lake)
    assert CONNECTOR.summarise(lake).src_ip == "192.0.2.1"
    for field in fields:
        assert decoder.getter(field)(lake) == decoder.getter(field)(own) is not None
    assert CONNECTOR.to_ocsf(raws[0]) == CONNECTOR.to_ocsf(raws[1])


def panther() -> list[dict[str, Any]]:
    """Return the events of Panther's rule tests that are Okta's, not results of its queries."""
    path = DATA / "panther" / "okta_rules.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}: set SENTINEL_DATA to the folder with real logs")
    found = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    kinds = ("eventType", "eventtype")
    return [e for e in found if any(map(e.get, kinds)) and e.get("published")]


def test_panthers_events_map_and_validate():
    mapped_events = 0
    for found in panther():
        if found["published"] == "redacted":
            continue
        assert validate(CONNECTOR.to_ocsf(json.dumps(found).encode())) == []
        mapped_events += 1
    assert mapped_events == 58


def examples() -> list[Path]:
    """Return the raw side of OCSF's own mapping examples."""
    found = sorted((DATA / "ocsf_examples" / "okta").rglob("*.raw"))
    if not found:
        pytest.skip("no ocsf_examples/okta: set SENTINEL_DATA to the folder with real logs")
    return found


def test_ocsfs_own_examples_agree():
    """Class and activity of all of OCSF's examples; they are of 1.3.0, and uneven beyond that.

    Not ours: their times are rounded to seconds and not in milliseconds, their user names are
    display names, and their severity is that of no field of the event.
    """
    for path in examples():
        found = CONNECTOR.to_ocsf(path.read_bytes())
        theirs = json.loads(path.with_suffix(".ocsf").read_text())
        assert validate(found) == []
        assert found["type_uid"] == theirs["type_uid"], path
        assert found["metadata"]["uid"] == theirs["metadata"]["uid"]
