"""`sentinel rules test` takes a case as an event of any source that its rule is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentinel.cli._rules.cases import run_cases

#: Both the Reports API (`gworkspace`) and Cloud Audit Logs (`gcp_audit`) have such events.
RULE = """
title: Administrator made
id: 55555555-5555-4555-8555-555555555555
logsource: {product: gcp, service: google_workspace.admin}
detection:
  call: {eventName: ASSIGN_ROLE, ROLE_NAME: _SEED_ADMIN_ROLE}
  condition: call
"""


def reports(role: str) -> dict[str, object]:
    parameters = [{"name": "ROLE_NAME", "value": role}]
    return {
        "id": {"time": "2026-03-02T09:15:00Z", "uniqueQualifier": "1", "applicationName": "admin"},
        "actor": {"email": "ada@example.com"},
        "events": [{"name": "ASSIGN_ROLE", "parameters": parameters}],
    }


def audit(role: str) -> dict[str, object]:
    parameter = [{"name": "ROLE_NAME", "value": role}]
    return {
        "insertId": "1",
        "timestamp": "2026-03-02T09:15:00Z",
        "logName": "projects/shop/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {
            "serviceName": "admin.googleapis.com",
            "methodName": "google.admin.AdminService.assignRole",
            "metadata": {"event": [{"eventName": "ASSIGN_ROLE", "parameter": parameter}]},
        },
    }


@pytest.mark.parametrize("source", [reports, audit])
def test_a_case_may_be_an_event_of_any_source_of_the_rule(tmp_path: Path, source) -> None:
    rules, cases = tmp_path / "rules", tmp_path / "cases"
    rules.mkdir()
    cases.mkdir()
    (rules / "made.yml").write_text(RULE)
    (cases / "made.yml").write_text(
        json.dumps(
            [
                {"name": "made", "match": True, "event": source("_SEED_ADMIN_ROLE")},
                {"name": "another role", "match": False, "event": source("_HELP_DESK_ROLE")},
            ]
        )
    )
    assert {each.problem for each in run_cases(rules, cases)} == {""}


def test_a_case_that_goes_wrong_is_told(tmp_path: Path) -> None:
    rules, cases = tmp_path / "rules", tmp_path / "cases"
    rules.mkdir()
    cases.mkdir()
    (rules / "made.yml").write_text(RULE)
    (cases / "made.yml").write_text(
        json.dumps(
            [
                {"name": "no match", "match": True, "event": audit("_HELP_DESK_ROLE")},
                {"name": "a match", "match": False, "event": audit("_SEED_ADMIN_ROLE")},
                {"name": "neither's", "match": False, "raw": "no JSON"},
            ]
        )
    )
    found = {each.case: each.problem for each in run_cases(rules, cases)}
    assert found["no match"] == "expected a match, found none"
    assert found["a match"] == "expected no match, found one"
    assert found["neither's"].startswith("the source refuses the event")
