"""Checkov: counts as its own, and what an envelope adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.checkov import Checkov
from schemas.ocsf import SCAN_ACTIVITY, validate

#: Failed checks in the reports of DefectDojo's tests.
FAILED = {
    "checkov-report-0-vuln.json": 0,
    "checkov2-report-0-vuln.json": 0,
    "checkov-report-1-vuln.json": 1,
    "checkov-report-many-vuln.json": 3,
    "checkov-report-multiple-check_type.json": 13,
    "checkov-report-severity.json": 4,
}


def events(report: bytes) -> list[dict[str, Any]]:
    connector = Checkov()
    return [connector.to_ocsf(unit) for unit in connector.split(report)]


@pytest.mark.parametrize(("name", "failed"), FAILED.items())
def test_as_many_failed_and_passed_as_checkov_says(data: Path, name: str, failed: int) -> None:
    raw = (data / "scanners" / "checkov" / name).read_bytes()
    found = [event for event in events(raw) if event["class_uid"] != SCAN_ACTIVITY]
    listed = json.loads(raw)
    frameworks = listed if isinstance(listed, list) else [listed]
    passed = sum(len(each.get("results", {}).get("passed_checks", [])) for each in frameworks)

    outcomes = [event["compliance"]["status"] for event in found]
    assert (outcomes.count("Fail"), outcomes.count("Pass")) == (failed, passed)
    assert [problem for event in found for problem in validate(event)] == []


def test_frameworks_are_compared_each_with_its_like() -> None:
    golden = Path(__file__).parent / "golden" / "checkov" / "several_frameworks.raw.json"
    connector = Checkov()
    decoder = connector.decoder(frozenset())
    columns = [
        connector.summarise(decoder.decode(unit)) for unit in connector.split(golden.read_bytes())
    ]

    assert {column.service for column in columns} == {"Checkov/terraform", "Checkov/dockerfile"}
    assert {column.entity for column in columns} == {"git.example.com/shop"}


def test_the_same_report_without_time_is_the_same_scan() -> None:
    report = b'{"check_type": "terraform", "results": {"failed_checks": [{"check_id": "A"}]}}'
    other = report.replace(b'"A"', b'"B"')

    def scan(raw: bytes) -> str:
        return str(events(raw)[0]["metadata"]["correlation_uid"])

    assert scan(report) == scan(report.replace(b" ", b"")) != scan(other)
