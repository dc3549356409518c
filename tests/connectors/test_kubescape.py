"""Kubescape: what a report lists is what comes out, and a moved line is no new finding."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kubescape import Kubescape
from sentinel.errors import DecodeError

CONNECTOR = Kubescape


def test_what_is_no_report_is_refused_with_what_to_do() -> None:
    with pytest.raises(DecodeError, match="expected a report of kubescape"):
        Kubescape().split(b'{"hello": 1}')


def test_both_versions_name_the_same_control_and_object(scans: Any) -> None:
    found = [scans.events(scans.golden(case))[0] for case in ("failed", "v1_report")]

    assert {event["metadata"]["event_code"] for event in found} == {"C-0016"}
    assert {event["resources"][0]["name"] for event in found} == {"web"}
    assert {event["compliance"]["status"] for event in found} == {"Fail"}


@pytest.mark.parametrize(
    ("case", "outcome", "status", "severity"),
    [
        ("failed", "Fail", "New", "Medium"),
        ("passed", "Pass", "New", "Informational"),
        ("exception", "Unknown", "Suppressed", "Informational"),
        ("skipped", "Unknown", "Suppressed", "Medium"),
        ("severity_by_score", "Fail", "New", "High"),
    ],
)
def test_outcomes(scans: Any, case: str, outcome: str, status: str, severity: str) -> None:
    event = scans.events(scans.golden(case))[0]

    assert event["compliance"]["status"] == outcome
    assert (event["status"], event["severity"]) == (status, severity)
