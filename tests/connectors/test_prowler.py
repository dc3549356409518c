"""Prowler: its own OCSF is the reference; CSV and JSON of all versions say the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.prowler import Prowler
from schemas.ocsf import SCAN_ACTIVITY, SEVERITY_NAMES, validate
from sentinel.errors import DecodeError

RESULTS = {"PASS": "Pass", "FAIL": "Fail", "MANUAL": "Warning"}
#: What Prowler's OCSF 1.4 says and where ours has it: the same name, but for these.
SAME = (
    *("severity_id", "status_code", "status_detail", "risk_details", "activity_id", "message"),
    *("finding_info.title", "finding_info.desc", "metadata.event_code", "cloud.account.uid"),
    *("cloud.region", "remediation.desc", "remediation.references", "resources.0.uid"),
    *("resources.0.name", "resources.0.type", "resources.0.region", "resources.0.group.name"),
)


def events(report: bytes) -> list[dict[str, Any]]:
    connector = Prowler()
    found = [connector.to_ocsf(unit) for unit in connector.split(report)]
    return [event for event in found if event["class_uid"] != SCAN_ACTIVITY]


def look(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = (value or [None])[int(name)] if name.isdigit() else (value or {}).get(name)
    return value or None


def reports(data: Path, pattern: str) -> list[Path]:
    found = sorted((data / "scanners").rglob(pattern))
    assert found
    return found


def test_agrees_with_prowlers_own_ocsf_field_by_field(data: Path) -> None:
    compared = 0
    for path in reports(data, "prowler_ocsf/examples/output/*.ocsf.json"):
        theirs = json.loads(path.read_bytes())
        ours = {event["metadata"]["sequence"]: event for event in events(path.read_bytes())}
        # One account a file, so that the number in the scan is that in the file.
        assert len(ours) == len(theirs)
        for number, reference in enumerate(theirs):
            assert validate(ours[number]) == []
            assert ours[number]["time"] == reference["time"] * 1000  # theirs is in seconds
            for field in SAME:
                if (expected := look(reference, field)) is not None:
                    if isinstance(expected, list):  # they name some references twice
                        expected = list(dict.fromkeys(expected))
                    found = look(ours[number], field)
                    assert found == expected, f"{path.name} {number} {field}"
                    compared += 1
    assert compared > 200


def test_csv_says_what_its_columns_say(data: Path) -> None:
    for path in reports(data, "prowler_ocsf/examples/output/*.csv"):
        rows = list(csv.DictReader(path.read_text().splitlines(), delimiter=";"))
        found = events(path.read_bytes())
        assert len(found) == len(rows)
        for row, event in zip(rows, found, strict=True):
            assert validate(event) == []
            assert event["metadata"]["event_code"] == row["CHECK_ID"]
            assert event["severity"].lower() == row["SEVERITY"]
            assert event["compliance"]["status"] == RESULTS[row["STATUS"]]
            assert event["resources"][0]["uid"] == row["RESOURCE_UID"]


#: Rows in the reports of DefectDojo's tests.
COUNTS = {
    "aws_prowler/many_vuln.csv": 4,
    "aws_prowler/issue4450.csv": 4,
    "aws_prowler/many_vuln2.csv": 214,
    "aws_prowler/no_vuln.csv": 0,
    "aws_prowler/many_vuln.json": 6,
    "aws_prowler_v3plus/many_vuln.json": 3,
    "aws_prowler_v3plus/many_vuln.ocsf.json": 3,
    "aws_prowler_v3plus/no_vuln.json": 0,
    "prowler/prowler_zero_vul.csv": 0,
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_no_finding_of_any_version_is_missing(data: Path, name: str, count: int) -> None:
    found = events((data / "scanners" / name).read_bytes())

    assert len(found) == count
    assert [problem for event in found for problem in validate(event)] == []
    assert {event["severity"] for event in found} <= set(SEVERITY_NAMES.values())


def test_a_csv_cut_off_within_quotes_is_refused() -> None:
    with pytest.raises(DecodeError, match="CSV"):
        events(b'CHECK_ID;STATUS\niam;"FAIL')


def test_lines_of_json_are_a_report() -> None:
    row = b'{"Control ID": "1.1", "Status": "FAIL", "Timestamp": "2026-03-02T09:15:00Z"}'

    assert len(events(row + b"\n" + row)) == 2
