"""The Entra ID audit log: what activities are, who was changed, and events of others."""

import json
import zipfile
from pathlib import Path

import pytest

from connectors._azure.directory import classify
from connectors.azure_audit import AzureAudit
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    ENTITY_MANAGEMENT,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
    validate,
)
from sentinel.settings import Settings

DATA = Path(Settings().data)
PANTHER = DATA / "panther" / "azure_signin_rules.jsonl"
SAML = DATA / "otrf/datasets/compound/GoldenSAMLADFSMailAccess/AADAuditEvents.Zip"
CONNECTOR = AzureAudit()


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        ("Add user", (ACCOUNT_CHANGE, 1)),
        ("Update user", (ACCOUNT_CHANGE, OTHER)),
        ("Reset user password.", (ACCOUNT_CHANGE, 4)),
        ("Disable Strong Authentication", (ACCOUNT_CHANGE, 11)),
        ("Add member to group", (GROUP_MANAGEMENT, 3)),
        ("Add owner to group", (GROUP_MANAGEMENT, 1)),
        ("Add member to role", (USER_ACCESS, 1)),
        ("Add eligible member (permanent)", (USER_ACCESS, 1)),
        ("Add member to role in PIM completed (permanent)", (USER_ACCESS, 1)),
        ("Remove eligible member from role", (USER_ACCESS, 2)),
        ("Remove member from role", (USER_ACCESS, 2)),
        ("Add app role assignment to service principal", (USER_ACCESS, 1)),
        ("Consent to application", (USER_ACCESS, 1)),
        ("Add service principal", (ENTITY_MANAGEMENT, 1)),
        ("Add service principal credentials", (ENTITY_MANAGEMENT, 3)),
        ("Add owner to application", (ENTITY_MANAGEMENT, 3)),
        ("Hard Delete application", (ENTITY_MANAGEMENT, 4)),
        ("Delete conditional access policy", (ENTITY_MANAGEMENT, 4)),
        ("Set federation settings on domain", (ENTITY_MANAGEMENT, 3)),
        ("Register device", (ENTITY_MANAGEMENT, 6)),
        ("Unregister device", (ENTITY_MANAGEMENT, 7)),
        ("Review app assignments", (API_ACTIVITY, OTHER)),
        ("", (API_ACTIVITY, OTHER)),
    ],
)
def test_activities(activity, expected):
    assert classify(activity) == expected


def test_a_consent_is_found_among_the_modified_properties():
    field = "ConsentContext.IsAdminConsent"
    event = {
        "activityDateTime": "2026-03-02T09:15:00Z",
        "activityDisplayName": "Consent to application",
        "targetResources": [
            {"modifiedProperties": [{"displayName": field, "newValue": '"False"'}]},
        ],
    }
    decoder = CONNECTOR.decoder(frozenset({field, "TargetResources"}))
    decoded = decoder.decode(json.dumps(event).encode())

    assert decoder.getter(field)(decoded) == ["False"]
    assert field in decoder.getter("TargetResources")(decoded)[0]


def check(lines):
    for line in lines:
        found = CONNECTOR.to_ocsf(line)
        assert validate(found) == []
        assert found["actor"]["user"]["name"] != "unknown"
    return len(lines)


def test_panthers_events_map():
    if not PANTHER.is_file():
        pytest.skip(f"no {PANTHER}: set SENTINEL_DATA to the folder with real logs")
    events = [json.loads(line)["event"] for line in PANTHER.read_text().splitlines()]
    assert check([json.dumps(e).encode() for e in events if "SignIn" not in e["category"]]) > 15


def test_golden_saml_in_the_table_maps():
    if not SAML.is_file():
        pytest.skip(f"no {SAML}: set SENTINEL_DATA to the folder with real logs")
    with zipfile.ZipFile(SAML) as archive:
        lines = archive.read("AADAuditEvents.json").splitlines()
    assert check(lines) > 0
