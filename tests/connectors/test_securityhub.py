"""Security Hub: classes, states, and real reports; AWS's own mapping as the oracle."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.securityhub import SecurityHub
from schemas.ocsf import COMPLIANCE_FINDING, DETECTION_FINDING, VULNERABILITY_FINDING, validate
from sentinel.settings import Settings

DATA = Path(Settings().data)
EXAMPLES = DATA / "ocsf_examples/aws_v1.1.0/Security Hub"
CONNECTOR = SecurityHub()
CHECKS = "Software and Configuration Checks"


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "SchemaVersion": "2018-10-08",
        "Id": "f1",
        "ProductArn": "arn:aws:securityhub:eu-west-1::product/example/scanner",
        "GeneratorId": "rule-1",
        "AwsAccountId": "123456789012",
        "Types": ["TTPs/Discovery"],
        "CreatedAt": "2026-01-01T00:00:00Z",
        "UpdatedAt": "2026-01-02T00:00:00Z",
        "Severity": {"Label": "MEDIUM"},
        "Title": "A title",
        "Resources": [{"Type": "AwsAccount", "Id": "AWS::::Account:123456789012"}],
    } | changes


def mapped(**changes: Any) -> dict[str, Any]:
    event = CONNECTOR.to_ocsf(json.dumps(finding(**changes)).encode())
    assert validate(event) == []
    return event


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, DETECTION_FINDING),
        ({"Types": ["Effects/Data Exposure"]}, DETECTION_FINDING),
        ({"Types": "broken"}, DETECTION_FINDING),
        ({"Types": [f"{CHECKS}/AWS Security Best Practices"]}, COMPLIANCE_FINDING),
        ({"Compliance": {"Status": "FAILED"}}, COMPLIANCE_FINDING),
        ({"Types": [f"{CHECKS}/Vulnerabilities/CVE"]}, VULNERABILITY_FINDING),
        ({"Vulnerabilities": [{"Id": "CVE-2026-1"}]}, VULNERABILITY_FINDING),
        ({"Vulnerabilities": []}, DETECTION_FINDING),
    ],
)
def test_classes(changes, expected):
    assert mapped(**changes)["class_uid"] == expected


@pytest.mark.parametrize(
    ("changes", "activity", "status"),
    [
        ({}, "Update", "New"),
        ({"CreatedAt": "2026-01-02T00:00:00Z"}, "Create", "New"),
        ({"Workflow": {"Status": "NOTIFIED"}}, "Update", "In Progress"),
        ({"Workflow": {"Status": "SUPPRESSED"}}, "Update", "Suppressed"),
        ({"Workflow": {"Status": "RESOLVED"}}, "Close", "Resolved"),
        ({"RecordState": "ARCHIVED"}, "Close", "Archived"),
    ],
)
def test_states(changes, activity, status):
    event = mapped(**changes)
    assert (event["activity_name"], event["status"]) == (activity, status)


def test_a_control_with_its_standards_and_how_to_mend_it():
    event = mapped(
        Compliance={
            "Status": "WARNING",
            "SecurityControlId": "S3.8",
            "RelatedRequirements": ["NIST AC-3"],
            "AssociatedStandards": [{"StandardsId": "standards/x"}, 7],
        },
        Remediation={"Recommendation": {"Text": "Do.", "Url": "https://example.com"}},
    )
    found = event["compliance"]
    assert (found["control"], found["status"], found["standards"]) == (
        "S3.8",
        "Warning",
        ["standards/x"],
    )
    assert event["remediation"] == {"desc": "Do.", "references": ["https://example.com"]}


def test_every_update_is_an_event_of_one_finding():
    one, other = mapped(), mapped(UpdatedAt="2026-01-03T00:00:00Z")
    assert one["metadata"]["uid"] != other["metadata"]["uid"]
    assert one["finding_info"]["uid"] == other["finding_info"]["uid"] == "f1"


def test_messages_of_every_kind_are_cut_up():
    for value in ([finding()], {"Findings": [finding()]}, {"detail": {"findings": [finding()]}}):
        (unit,) = CONNECTOR.split(json.dumps(value).encode())
        assert json.loads(unit) == finding()


RESULTS = {"FAILED": "Fail", "PASSED": "Pass", "INFOED": "Warning"}
REPORTS = {
    "asff/one_vuln.json": {2002: 1},
    "asff/many_vulns.json": {2002: 5},
    "asff/prowler-output.asff.json": {2003: 731},
    "asff/guardduty/Unusual Behaviors-User-Persistence IAMUser-NetworkPermissions.json": {2004: 1},
    "trivy_golden/integration/testdata/alpine-310.asff.golden": {2002: 4},
    "trivy_golden/integration/testdata/secrets.asff.golden": {2004: 2},
}


@pytest.mark.parametrize(("name", "expected"), REPORTS.items())
def test_real_reports(name, expected):
    path = DATA / "scanners" / name
    if not path.is_file():
        pytest.skip("needs SENTINEL_DATA: reports in ASFF")
    raw = path.read_bytes()
    whole = json.loads(raw)
    listed = whole if isinstance(whole, list) else whole["Findings"]
    events = [CONNECTOR.to_ocsf(unit) for unit in CONNECTOR.split(raw)]
    assert Counter(event["class_uid"] for event in events) == expected
    assert [problem for event in events for problem in validate(event)] == []
    for event, original in zip(events, listed, strict=True):
        assert event["finding_info"]["uid"] == original["Id"]
        assert event["severity"].upper() == original["Severity"]["Label"]
        assert [r["uid"] for r in event["resources"]] == [r["Id"] for r in original["Resources"]]
        if compliance := original.get("Compliance"):
            assert event["compliance"]["status"] == RESULTS[compliance["Status"]]
        names = [each["Id"] for each in original.get("Vulnerabilities", ())]
        flaws = event.get("vulnerabilities", [])
        assert not names or [(f.get("cve") or f["advisory"])["uid"] for f in flaws] == names


SAME = ("class_uid", "activity_id", "activity_name", "severity", "severity_id", "time", "type_uid")


@pytest.mark.parametrize(
    "kind", ["Compliance Finding", "Detection Finding", "Vulnerability Finding"]
)
def test_agrees_with_the_mapping_of_aws(kind):
    """Field by field with AWS's examples, which are OCSF 1.1.0.

    Not ours: times are texts there (``…_dt``), the status of a control is its word, resources
    are one object (``resource``), coordinates a list.
    """
    folder = EXAMPLES / kind / "samples"
    if not folder.is_dir():
        pytest.skip("needs SENTINEL_DATA: AWS's examples of OCSF")
    (raw,), (answer,) = folder.glob("*.raw"), folder.glob("*.ocsf")
    expected = json.loads(answer.read_bytes())
    event = CONNECTOR.to_ocsf(raw.read_bytes())
    assert validate(event) == []
    assert {name: event[name] for name in SAME} == {name: expected[name] for name in SAME}
    assert event["status"] == expected["status"]
    assert event["cloud"]["account"]["uid"] == expected["cloud"]["account"]["uid"]
    assert event["cloud"]["region"] == expected["cloud"]["region"]
    for name in ("desc", "title", "types", "uid"):
        assert event["finding_info"][name] == expected["finding_info"][name]
    product = event["metadata"]["product"]
    assert product == expected["metadata"]["product"]
    resource = expected.get("resource") or expected["resources"][0]
    for name in ("cloud_partition", "region", "type", "uid", "data"):
        assert event["resources"][0].get(name) == resource.get(name)
    _compare_details(event, expected)


def _compare_details(event: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare what one class alone has."""
    if found := expected.get("compliance"):
        for name in ("control", "requirements", "standards"):
            assert event["compliance"][name] == found[name]
        assert event["remediation"] == expected["remediation"]
    for ours, theirs in zip(event.get("evidences", ()), expected.get("evidences", ()), strict=True):
        assert ours["api"] == theirs["api"]
        assert ours["src_endpoint"]["ip"] == theirs["src_endpoint"]["ip"]
    flaws = event.get("vulnerabilities", ()), expected.get("vulnerabilities", ())
    for ours, theirs in zip(*flaws, strict=True):
        assert ours["cve"]["uid"] == theirs["cve"]["uid"]
        assert ours["cve"]["epss"] == theirs["cve"]["epss"]
        scores = [[each["base_score"] for each in of["cve"]["cvss"]] for of in (ours, theirs)]
        assert scores[0] == scores[1]
        for name in (
            "affected_packages",
            "is_exploit_available",
            "is_fix_available",
            "vendor_name",
        ):
            assert ours[name] == theirs[name]
