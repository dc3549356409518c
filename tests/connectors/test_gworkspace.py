"""Google Workspace: events of an activity, their ids, parameters, and public rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors._gworkspace.classes import classify
from connectors.gworkspace import GWorkspace
from detectors.sigma import RuleSet
from schemas.ocsf import ACCOUNT_CHANGE, API_ACTIVITY, FILE_HOSTING, OTHER, validate
from sentinel.settings import Settings

CONNECTOR = GWorkspace()
RULES = Path(Settings().data) / "sigma_rules" / "rules" / "cloud" / "gcp" / "gworkspace"


def happened(name: str, **parameters: str) -> dict[str, Any]:
    """Return an event."""
    found = [{"name": key, "value": value} for key, value in parameters.items()]
    return {"type": "x", "name": name, "parameters": found}


def activity(*events: dict[str, Any], application: str = "admin", **changes: Any) -> bytes:
    """Return a small activity."""
    return json.dumps(
        {
            "kind": "admin#reports#activity",
            "id": {
                "time": "2026-03-02T09:00:00.123Z",
                "uniqueQualifier": "-7",
                "applicationName": application,
                "customerId": "C0",
            },
            "actor": {"email": "ada@example.com", "profileId": "1001"},
            "ipAddress": "198.51.100.7",
            "events": list(events),
        }
        | changes
    ).encode()


def test_each_event_of_an_activity_is_an_event_with_an_id_of_its_own():
    value = activity(happened("CREATE_USER"), happened("ADD_GROUP_MEMBER"), happened("X"))
    found = [CONNECTOR.to_ocsf(unit) for unit in CONNECTOR.split(value)]
    assert [event["metadata"]["event_code"] for event in found] == [
        "CREATE_USER",
        "ADD_GROUP_MEMBER",
        "X",
    ]
    assert len({event["metadata"]["uid"] for event in found}) == 3
    again = [CONNECTOR.to_ocsf(unit) for unit in CONNECTOR.split(value)]
    assert again == found


def test_an_activity_of_one_event_is_carried_on_byte_for_byte():
    value = activity(happened("CREATE_USER"))
    assert list(CONNECTOR.split(value)) == [value]


def test_a_page_without_activities_is_nothing():
    assert list(CONNECTOR.split(b'{"kind":"admin#reports#activities","items":[]}')) == []


@pytest.mark.parametrize(
    ("application", "name", "expected"),
    [
        ("drive", "never_heard", (FILE_HOSTING, OTHER)),
        ("user_accounts", "never_heard", (ACCOUNT_CHANGE, OTHER)),
        ("admin", "DELETE_WHATEVER", (API_ACTIVITY, 4)),
        ("brand_new", "view_thing", (API_ACTIVITY, 2)),
    ],
)
def test_an_event_that_is_not_listed_has_a_class_too(application, name, expected):
    assert classify(application, name) == expected


def test_parameters_that_are_not_mapped_are_left_over_under_their_names():
    unit = activity(happened("CHANGE_X", ODD_NAME="1", SETTING_NAME="s"))
    found = CONNECTOR.to_ocsf(unit)
    assert validate(found) == []
    assert found["unmapped"]["event.parameters.ODD_NAME"] == "1"
    assert found["resources"] == [{"name": "s", "type": "setting"}]


def titles(value: bytes) -> set[str]:
    """Return the titles of the public rules that match one unit."""
    if not RULES.exists():
        pytest.skip(f"no {RULES}: set SENTINEL_DATA to the folder with real rules")
    chosen = RuleSet.load([RULES]).select(CONNECTOR.logsources)
    assert len(chosen.rules) == 10
    decoder = CONNECTOR.decoder(frozenset().union(*(rule.fields for rule in chosen.rules)))
    found = chosen.matcher(decoder.getter, decoder.text).match([decoder.decode(value)])
    return {rule.title for _, rule in found}


def test_public_rules_match():
    setting = happened("CHANGE_APPLICATION_SETTING", SETTING_NAME="ContextAwareAccessX")
    assert titles(activity(setting)) == {"Google Workspace Application Access Level Modified"}
    mfa = happened("ENFORCE_STRONG_AUTHENTICATION", NEW_VALUE="false")
    assert titles(activity(mfa)) == {"Google Workspace MFA Disabled"}
    odd = activity(happened("suspicious_login"), application="login")
    assert titles(odd) == {"Suspicious Login Activity Classified By Google"}
    assert titles(activity(happened("VIEW_X"))) == set()
