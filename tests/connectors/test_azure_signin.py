"""Entra ID sign-ins: spellings of one event, outcomes, and events of others."""

import json
from pathlib import Path

import pytest

from connectors.azure_signin import AzureSignin
from schemas.ocsf import validate
from sentinel.errors import MappingError
from sentinel.settings import Settings

EVENTS = Path(Settings().data) / "panther" / "azure_signin_rules.jsonl"
CONNECTOR = AzureSignin()
GRAPH = {
    "id": "1",
    "createdDateTime": "2026-03-02T09:15:00Z",
    "userPrincipalName": "ada@example.com",
    "ipAddress": "192.0.2.7",
    "status": {"errorCode": 50074, "failureReason": "Strong Authentication is required."},
    "resourceDisplayName": "Shop",
    "clientAppUsed": "Browser",
    "location": {"countryOrRegion": "DE"},
    "riskLevelDuringSignIn": "high",
}
DIAGNOSTIC = {
    "time": "2026-03-02T09:16:00Z",
    "category": "SignInLogs",
    "resultType": "50074",
    "properties": GRAPH,
}
TABLE = {
    "TimeGenerated": "2026-03-02T09:16:00Z",
    "CreatedDateTime": "2026-03-02T09:15:00Z",
    "Id": "1",
    "UserPrincipalName": "ada@example.com",
    "IPAddress": "192.0.2.7",
    "ResultType": "50074",
    "ResultDescription": "Strong Authentication is required.",
    "ResourceDisplayName": "Shop",
    "ClientAppUsed": "Browser",
    "LocationDetails": {"countryOrRegion": "DE"},
    "RiskLevelDuringSignIn": "high",
}


def decoded(event, *fields):
    decoder = CONNECTOR.decoder(frozenset(fields))
    return decoder, decoder.decode(json.dumps(event).encode())


def value(event, field):
    decoder, found = decoded(event, field)
    return decoder.getter(field)(found)


@pytest.mark.parametrize("event", [GRAPH, DIAGNOSTIC, TABLE], ids=["graph", "envelope", "table"])
def test_the_spellings_of_an_event_are_one_event(event):
    summary = CONNECTOR.summarise(decoded(event)[1])
    found = CONNECTOR.to_ocsf(json.dumps(event).encode())

    assert summary == CONNECTOR.summarise(decoded(GRAPH)[1])
    assert (summary.status_id, summary.severity_id) == (2, 4)
    assert validate(found) == []
    assert found["status_detail"].startswith("Strong Authentication")
    assert found["src_endpoint"]["location"]["country"] == "DE"


@pytest.mark.parametrize("event", [GRAPH, DIAGNOSTIC, TABLE], ids=["graph", "envelope", "table"])
def test_rules_find_the_same_in_every_spelling(event):
    assert str(value(event, "ResultType")) == "50074"
    assert value(event, "ResultDescription") == "Strong Authentication is required."
    assert value(event, "ClientApp") == "Browser"
    assert "Failure" in value(event, "Status")


def test_something_of_a_sign_in_is_needed():
    with pytest.raises(MappingError, match="sign-in"):
        CONNECTOR.to_ocsf(b'{"createdDateTime": "2026-03-02T09:15:00Z"}')


def test_events_of_others_map():
    if not EVENTS.is_file():
        pytest.skip(f"no {EVENTS}: set SENTINEL_DATA to the folder with real logs")
    count = 0
    for line in EVENTS.read_text().splitlines():
        event = json.loads(line)["event"]
        if "SignIn" in event["category"]:
            found = CONNECTOR.to_ocsf(json.dumps(event).encode())
            assert validate(found) == []
            assert found["user"]["name"] != "unknown"
            count += 1
    assert count > 20
