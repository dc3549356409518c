"""tfsec: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.tfsec import Tfsec
from sentinel.errors import DecodeError

CONNECTOR = Tfsec


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of tfsec"):
        Tfsec().split(b'{"hello": 1}')


def test_a_moved_line_is_no_new_finding_and_another_resource_is(scans: Any) -> None:
    before, moved, other = (scans.golden("failed") for _ in range(3))
    moved["report"]["results"][0]["location"] |= {"start_line": 40, "end_line": 50}
    other["report"]["results"][0]["resource"] = "aws_s3_bucket.logs"

    uids = scans.uids(before, moved, other)
    assert uids[0] == uids[1] != uids[2]


@pytest.mark.parametrize(
    ("case", "outcome", "status"),
    [("failed", "Fail", "New"), ("passed", "Pass", "New"), ("ignored", "Unknown", "Suppressed")],
)
def test_outcomes(scans: Any, case: str, outcome: str, status: str) -> None:
    event = scans.events(scans.golden(case))[0]

    assert (event["compliance"]["status"], event["status"]) == (outcome, status)
