"""The Azure activity log: operations, spellings of one event, and Panther's events."""

import json
from pathlib import Path

import pytest

from connectors._azure.objects import resource
from connectors._azure.operations import classify
from connectors.azure_activity import AzureActivity
from connectors.azure_resource import AzureResource
from schemas.ocsf import API_ACTIVITY, OTHER, USER_ACCESS, validate
from sentinel.errors import MappingError
from sentinel.settings import Settings

EVENTS = Path(Settings().data) / "panther" / "azure_activity_rules.jsonl"
CONNECTOR = AzureActivity()
REST = {
    "eventTimestamp": "2026-03-02T09:15:00Z",
    "operationName": {"value": "Microsoft.Compute/disks/write"},
    "status": {"value": "Succeeded"},
    "subStatus": {"value": "Created"},
    "caller": "ada@example.com",
    "httpRequest": {"clientIpAddress": "192.0.2.7"},
    "level": "Informational",
}
DIAGNOSTIC = {
    "time": "2026-03-02T09:15:00Z",
    "operationName": "Microsoft.Compute/disks/write",
    "resultType": "Success",
    "resultSignature": "Created",
    "callerIpAddress": "192.0.2.7",
    "identity": {
        "claims": {
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "ada@example.com",
            "appid": "app",
        }
    },
    "level": "Information",
}
TABLE = {
    "TimeGenerated": "2026-03-02T09:15:00Z",
    "OperationNameValue": "Microsoft.Compute/disks/write",
    "ActivityStatusValue": "Success",
    "ActivitySubstatusValue": "Created",
    "Caller": "ada@example.com",
    "CallerIpAddress": "192.0.2.7",
    "Level": "Informational",
}


def summary(event):
    return CONNECTOR.summarise(CONNECTOR.decoder(frozenset()).decode(json.dumps(event).encode()))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("Microsoft.Compute/disks/read", (API_ACTIVITY, 2)),
        ("MICROSOFT.COMPUTE/DISKS/DELETE", (API_ACTIVITY, 4)),
        ("Microsoft.Storage/storageAccounts/listKeys/action", (API_ACTIVITY, 2)),
        ("Microsoft.Storage/storageAccounts/regenerateKey/action", (API_ACTIVITY, 3)),
        ("Microsoft.KeyVault/locations/deletedVaults/purge/action", (API_ACTIVITY, 4)),
        ("Microsoft.Compute/virtualMachines/runCommand/action", (API_ACTIVITY, OTHER)),
        ("Microsoft.Authorization/roleAssignments/write", (USER_ACCESS, 1)),
        ("microsoft.authorization/roleassignments/delete", (USER_ACCESS, 2)),
        ("", (API_ACTIVITY, OTHER)),
    ],
)
def test_operations(operation, expected):
    assert classify(operation) == expected


def test_the_three_spellings_of_an_event_are_one_event():
    assert summary(REST) == summary(DIAGNOSTIC) == summary(TABLE)
    assert summary(REST).activity_id == 1
    assert summary(REST).status_id == 1


def test_claims_as_text_name_who_acted():
    event = {**TABLE, "Claims": '{"appid":"robot"}'}
    del event["Caller"]
    assert summary(event).entity == "robot"


def test_an_operation_is_needed():
    with pytest.raises(MappingError, match="operationName"):
        summary({"time": "2026-03-02T09:15:00Z"})


def test_a_resource_is_named_by_its_last_provider():
    uid = "/subscriptions/s/resourceGroups/g/providers/A.B/c/d/providers/E.F/h/i"
    found = resource(uid)
    assert (found["name"], found["type"], found["group"]) == ("i", "E.F/h", {"name": "g"})


def test_rules_find_the_operation_in_every_spelling():
    for event in (REST, DIAGNOSTIC, TABLE):
        for field in ("operationName", "OperationNameValue"):
            decoder = CONNECTOR.decoder(frozenset({field}))
            value = decoder.getter(field)(decoder.decode(json.dumps(event).encode()))
            assert value.casefold() == "microsoft.compute/disks/write"


def test_events_of_others_map():
    if not EVENTS.is_file():
        pytest.skip(f"no {EVENTS}: set SENTINEL_DATA to the folder with real logs")
    count = 0
    for line in EVENTS.read_text().splitlines():
        event = json.loads(line)["event"]
        log = event.get("category") in ("Administrative", "Policy", "Recommendation")
        found = (CONNECTOR if log else AzureResource()).to_ocsf(json.dumps(event).encode())
        assert validate(found) == []
        assert "user" in found["actor"]
        count += 1
    assert count > 200


@pytest.mark.parametrize(("method", "kept"), [("PUT", "PUT"), ("put", None), (0, None), ([], None)])
def test_a_method_that_ocsf_does_not_know_stays_unmapped(method, kept) -> None:
    """Found by fuzzing: the event was not valid."""
    asked = {"method": method, "uri": "https://example.com/"}
    event = CONNECTOR.to_ocsf(json.dumps(REST | {"httpRequest": asked}).encode())
    assert validate(event) == []
    assert event["http_request"].get("http_method") == kept
    assert kept or not method or "httpRequest.method" in json.dumps(event["unmapped"])
