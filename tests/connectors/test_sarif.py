"""SARIF: severity, suppressions, fingerprints and rules of any tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sarif import Sarif
from schemas.ocsf import SCAN_ACTIVITY, validate

GOLDEN = Path(__file__).parent / "golden" / "sarif"


def log(result: Mapping[str, Any], rule: Mapping[str, Any] | None = None) -> bytes:
    rules = [{"id": "R1", **rule}] if rule is not None else []
    run = {
        "tool": {"driver": {"name": "Lint", "rules": rules}},
        "invocations": [{"endTimeUtc": "2026-03-02T09:15:00Z"}],
        "results": [{"ruleId": "R1", "message": {"text": "bad"}, **result}],
    }
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def one(report: bytes) -> dict[str, Any]:
    connector = Sarif()
    (found,) = [
        event
        for unit in connector.split(report)
        if (event := connector.to_ocsf(unit))["class_uid"] != SCAN_ACTIVITY
    ]
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("result", "rule", "severity"),
    [
        ({}, None, "Medium"),
        ({"level": "error"}, None, "High"),
        ({"level": "note"}, None, "Informational"),
        ({}, {"defaultConfiguration": {"level": "error"}}, "High"),
        ({"level": "error"}, {"properties": {"security-severity": "9.1"}}, "Critical"),
        ({"level": "error"}, {"properties": {"security-severity": "2.0"}}, "Low"),
        ({"kind": "pass"}, {"properties": {"security-severity": "9.1"}}, "Informational"),
    ],
)
def test_severity(result: dict[str, Any], rule: dict[str, Any] | None, severity: str) -> None:
    assert one(log(result, rule))["severity"] == severity


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({}, "New"),
        ({"suppressions": [{"kind": "inSource"}]}, "Suppressed"),
        ({"suppressions": [{"kind": "external", "status": "underReview"}]}, "New"),
        ({"suppressions": []}, "New"),
        ({"baselineState": "absent"}, "Resolved"),
        ({"kind": "notApplicable"}, "Resolved"),
    ],
)
def test_status(result: dict[str, Any], status: str) -> None:
    assert one(log(result))["status"] == status


def place(line: int, code: str, uri: str = "src/a.py") -> dict[str, Any]:
    region = {"startLine": line, "snippet": {"text": code}}
    return {
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}]
    }


@given(st.integers(1, 10**6), st.integers(0, 8))
def test_a_moved_or_indented_line_is_the_same_finding(line: int, indent: int) -> None:
    plain = one(log(place(3, "run(q)\nstop()")))
    moved = one(log(place(line, " " * indent + "run(q)\n" + " " * indent + "stop()")))

    assert plain["finding_info"]["uid"] == moved["finding_info"]["uid"]


def test_other_code_another_file_and_another_fingerprint_are_other_findings() -> None:
    results = [
        place(3, "run(q)"),
        place(3, "run(r)"),
        place(3, "run(q)", "src/b.py"),
        place(3, "run(q)") | {"partialFingerprints": {"primaryLocationLineHash": "a:1"}},
        place(3, "run(q)") | {"partialFingerprints": {"primaryLocationLineHash": "a:2"}},
    ]

    assert len({one(log(result))["finding_info"]["uid"] for result in results}) == len(results)


def test_trivys_sarif_is_read_like_any_other(data: Path) -> None:
    folder = data / "scanners" / "trivy_golden" / "integration" / "testdata"
    raw = (folder / "alpine-310.sarif.golden").read_bytes()
    connector = Sarif()
    found = [connector.to_ocsf(unit) for unit in connector.split(raw)][:-1]

    results = json.loads(raw)["runs"][0]["results"]
    assert [event["metadata"]["event_code"] for event in found] == [r["ruleId"] for r in results]
    assert {event["class_uid"] for event in found} == {2002}
    assert [problem for event in found for problem in validate(event)] == []


def test_credentials_in_the_repository_are_not_kept() -> None:
    raw = (GOLDEN / "code_flow.raw.json").read_bytes()

    assert b"token@" in raw
    assert all(b"token" not in unit[:400] for unit in Sarif().split(raw))
