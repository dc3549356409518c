"""tfsec: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.tfsec import Tfsec
from schemas.ocsf import SCAN_ACTIVITY
from sentinel.errors import DecodeError

GOLDEN = Path(__file__).parent / "golden" / "tfsec"


def events(report: Any) -> list[dict[str, Any]]:
    connector = Tfsec()
    units = connector.split(json.dumps(report).encode())
    found = [connector.to_ocsf(unit) for unit in units]
    return [event for event in found if event["class_uid"] != SCAN_ACTIVITY]


def golden(case: str) -> Any:
    return json.loads((GOLDEN / f"{case}.raw.json").read_bytes())


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of tfsec"):
        Tfsec().split(b'{"hello": 1}')


def test_a_moved_line_is_no_new_finding_and_another_resource_is() -> None:
    before, moved, other = golden("failed"), golden("failed"), golden("failed")
    moved["report"]["results"][0]["location"] |= {"start_line": 40, "end_line": 50}
    other["report"]["results"][0]["resource"] = "aws_s3_bucket.logs"

    uids = [events(report)[0]["finding_info"]["uid"] for report in (before, moved, other)]
    assert uids[0] == uids[1] != uids[2]


@pytest.mark.parametrize(
    ("case", "outcome", "status"),
    [("failed", "Fail", "New"), ("passed", "Pass", "New"), ("ignored", "Unknown", "Suppressed")],
)
def test_outcomes(case: str, outcome: str, status: str) -> None:
    event = events(golden(case))[0]

    assert (event["compliance"]["status"], event["status"]) == (outcome, status)
