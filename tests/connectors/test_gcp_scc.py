"""Security Command Center: classes, states, and identity over changes."""

import json

import pytest

from connectors.gcp_scc import GcpScc
from schemas.ocsf import validate

CONNECTOR = GcpScc()
FINDING = {
    "name": "organizations/1/sources/2/findings/3",
    "category": "OPEN_FIREWALL",
    "state": "ACTIVE",
    "severity": "HIGH",
    "eventTime": "2026-03-02T09:15:00Z",
    "createTime": "2026-03-02T09:15:00Z",
}


def mapped(**changes):
    found = CONNECTOR.to_ocsf(json.dumps({"finding": FINDING | changes}).encode())
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("MISCONFIGURATION", "Compliance Finding"),
        ("VULNERABILITY", "Vulnerability Finding"),
        ("THREAT", "Detection Finding"),
        ("SOMETHING_NEW", "Detection Finding"),
    ],
)
def test_classes(kind, expected):
    assert mapped(findingClass=kind)["class_name"] == expected


@pytest.mark.parametrize(
    ("changes", "activity", "status"),
    [
        ({}, "Create", "New"),
        ({"eventTime": "2026-03-03T09:00:00Z"}, "Update", "New"),
        ({"state": "INACTIVE"}, "Close", "Resolved"),
        ({"mute": "MUTED"}, "Create", "Suppressed"),
    ],
)
def test_states(changes, activity, status):
    found = mapped(findingClass="THREAT", **changes)
    assert (found["activity_name"], found["status"]) == (activity, status)


def test_a_change_is_another_event_of_the_same_finding():
    first, second = mapped(), mapped(eventTime="2026-03-03T09:00:00Z", state="INACTIVE")

    assert first["finding_info"]["uid"] == second["finding_info"]["uid"]
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_a_finding_alone_is_the_same_as_one_in_a_notification():
    alone = CONNECTOR.to_ocsf(json.dumps(FINDING).encode())
    assert alone["finding_info"] == mapped()["finding_info"]
