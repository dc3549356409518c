"""DefectDojo's generic findings: classes, states, identity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.defectdojo import DefectDojo
from schemas.ocsf import SCAN_ACTIVITY, validate


def one(**fields: Any) -> dict[str, Any]:
    finding = {"title": "T", "severity": "High", "description": "D", "date": "2026-03-02"} | fields
    raw = json.dumps({"findings": [finding], "scan_date": "2026-03-02"}).encode()
    connector = DefectDojo()
    (event, _) = [connector.to_ocsf(unit) for unit in connector.split(raw)]
    assert validate(event) == []
    return event


@pytest.mark.parametrize(
    ("fields", "class_uid"),
    [({"cve": "CVE-2026-10001"}, 2002), ({"cwe": 79}, 2007), ({}, 2007)],
)
def test_class(fields: dict[str, Any], class_uid: int) -> None:
    assert one(**fields)["class_uid"] == class_uid


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "New"),
        ({"active": False}, "Resolved"),
        ({"is_mitigated": True}, "Resolved"),
        ({"false_p": True}, "Suppressed"),
        ({"risk_accepted": True, "is_mitigated": True}, "Suppressed"),
    ],
)
def test_status(fields: dict[str, Any], status: str) -> None:
    assert one(**fields)["status"] == status


def test_a_cve_has_its_score_its_chance_and_its_package() -> None:
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    found = one(
        cve="CVE-2026-10001",
        cvssv3=vector,
        cvssv3_score=9.8,
        epss_score=0.4,
        epss_percentile=0.9,
        component_name="lib",
        component_version="1.0",
    )["vulnerabilities"][0]

    (cvss,) = found["cve"]["cvss"]
    assert (cvss["base_score"], cvss["version"]) == (9.8, "3.1")
    assert found["cve"]["epss"] == {"score": "0.4", "percentile": 0.9}
    assert found["affected_packages"][0]["name"] == "lib"


def test_a_moved_line_is_no_new_finding_and_another_file_is() -> None:
    uids = [
        one(cwe=79, file_path=path, line=line)["finding_info"]["uid"]
        for path, line in (("a.py", 1), ("./a.py", 9), ("b.py", 1))
    ]

    assert uids[0] == uids[1] != uids[2]


def test_the_end_of_a_scan_says_how_many_there_were() -> None:
    connector = DefectDojo()
    (unit,) = connector.split(b'{"findings": [], "scan_date": "2026-03-02"}')

    event = connector.to_ocsf(unit)
    assert (event["class_uid"], event["num_detections"]) == (SCAN_ACTIVITY, 0)
