"""Gatekeeper: one finding a violation, the same in every audit and by every way in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.gatekeeper import Gatekeeper
from schemas.ocsf import COMPLIANCE_FINDING, DETECTION_FINDING, validate

CONNECTOR = Gatekeeper()
GOLDEN = Path(__file__).parent / "golden" / "gatekeeper"


def constraint(*names: str, at: str = "2026-03-02T09:00:00Z", total: int | None = None) -> bytes:
    """Return a constraint that namespaces of these names violate."""
    found = [
        {"enforcementAction": "deny", "group": "", "version": "v1", "kind": "Namespace", "name": n}
        for n in names
    ]
    status = {"auditTimestamp": at, "violations": found}
    return json.dumps(
        {
            "apiVersion": "constraints.gatekeeper.sh/v1beta1",
            "kind": "K8sRequiredLabels",
            "metadata": {"name": "ns-must-have-owner", "managedFields": [{"manager": "x"}]},
            "status": status | {"totalViolations": len(names) if total is None else total},
        }
    ).encode()


def events(value: bytes) -> list[dict[str, Any]]:
    """Return the OCSF events of a message, checked against the schema."""
    found = [CONNECTOR.to_ocsf(unit) for unit in CONNECTOR.split(value)]
    assert [validate(event) for event in found] == [[]] * len(found)
    return found


def uids(value: bytes) -> list[str]:
    """Return the ids of the findings in a message."""
    return [event["finding_info"]["uid"] for event in events(value)]


def test_a_finding_is_the_same_in_the_next_audit_and_its_event_another():
    first, again = (events(constraint("a", at=f"2026-03-02T0{hour}:00:00Z"))[0] for hour in (8, 9))
    assert first["finding_info"]["uid"] == again["finding_info"]["uid"]
    assert first["metadata"]["uid"] != again["metadata"]["uid"]


def test_the_log_and_the_constraint_name_one_finding_alike():
    log = (GOLDEN / "audit_log.raw.json").read_bytes()
    assert uids(log) == uids(constraint("default"))


def test_what_a_status_does_not_list_is_said():
    *listed, rest = events(constraint("a", "b", total=250))
    assert len(listed) == 2
    assert rest["message"].startswith("248 more violations")
    assert rest["finding_info"]["uid"].endswith("/not listed")


def test_a_constraint_that_nothing_violates_is_resolved():
    (solved,) = events(constraint())
    assert (solved["status"], solved["compliance"]["status"]) == ("Resolved", "Pass")


def test_what_the_webhook_denied_is_a_detection_of_who_tried():
    (denied,) = events((GOLDEN / "denied_log.raw.json").read_bytes())
    assert denied["class_uid"] == DETECTION_FINDING
    assert denied["actor"]["user"]["name"] == "bob@example.com"
    assert denied["disposition"] == "Blocked"
    (audited,) = events((GOLDEN / "audit_log.raw.json").read_bytes())
    assert audited["class_uid"] == COMPLIANCE_FINDING
