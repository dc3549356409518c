"""KICS: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.kics import Kics
from schemas.ocsf import SCAN_ACTIVITY
from sentinel.errors import DecodeError

GOLDEN = Path(__file__).parent / "golden" / "kics"


def events(report: Any) -> list[dict[str, Any]]:
    connector = Kics()
    units = connector.split(json.dumps(report).encode())
    found = [connector.to_ocsf(unit) for unit in units]
    return [event for event in found if event["class_uid"] != SCAN_ACTIVITY]


def golden(case: str) -> Any:
    return json.loads((GOLDEN / f"{case}.raw.json").read_bytes())


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of KICS"):
        Kics().split(b'{"hello": 1}')


def test_as_many_as_the_total_counter_says() -> None:
    for path in GOLDEN.glob("*.raw.json"):
        report = json.loads(path.read_bytes())
        report = report.get("report", report)
        assert len(events(report)) == report["total_counter"], path.name


def test_a_moved_line_is_no_new_finding_and_another_key_is() -> None:
    before, moved, other = golden("terraform"), golden("terraform"), golden("terraform")
    moved["queries"][0]["files"][0] |= {"line": 99, "search_line": 99}
    other["queries"][0]["files"][0]["search_key"] = "aws_s3_bucket[data].acl"

    uids = [events(report)[0]["finding_info"]["uid"] for report in (before, moved, other)]
    assert uids[0] == uids[1] != uids[2]


def test_its_own_id_is_kept() -> None:
    assert events(golden("terraform"))[0]["finding_info"]["uid_alt"] == "0a" * 32
