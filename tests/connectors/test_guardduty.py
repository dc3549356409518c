"""GuardDuty: severities, purposes, spellings, who a finding is about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors._guardduty.types import attacks, lower_camel, severity
from connectors.guardduty import GuardDuty
from schemas.ocsf import validate
from sentinel.errors import RecordError

CONNECTOR = GuardDuty()
REMOTE = {"ipAddressV4": "203.0.113.6", "organization": {"asn": "64500", "asnOrg": "Example"}}

ENDS = {"remoteIpDetails": REMOTE}


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "id": "f1",
        "arn": "arn:aws:guardduty:eu-west-1:123456789012:detector/d/finding/f1",
        "type": "Discovery:S3/AnomalousBehavior",
        "accountId": "123456789012",
        "region": "eu-west-1",
        "severity": 5,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "service": {"count": 1, "archived": False},
        "resource": {"resourceType": "AccessKey"},
    } | changes


def mapped(**changes: Any) -> dict[str, Any]:
    event = CONNECTOR.to_ocsf(json.dumps(finding(**changes)).encode())
    assert validate(event) == []
    return event


def summary(**changes: Any) -> Any:
    decoder = CONNECTOR.decoder(frozenset())
    return CONNECTOR.summarise(decoder.decode(json.dumps(finding(**changes)).encode()))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(9.0, "Critical"), (8.9, "High"), (7, "High"), (4.0, "Medium"), (1, "Low"), (None, "Unknown")],
)
def test_severity_as_guardduty_bands_it(number, expected):
    assert mapped(severity=number)["severity"] == expected
    assert severity(True) == 0


def test_a_finding_is_created_updated_and_archived():
    assert mapped()["activity_name"] == "Create"
    updated = mapped(updatedAt="2026-01-01T02:00:00.000Z", service={"count": 9})
    assert (updated["activity_name"], updated["count"]) == ("Update", 9)
    archived = mapped(service={"archived": True, "count": 2})
    assert (archived["activity_name"], archived["status"]) == ("Close", "Archived")
    uids = {each["metadata"]["uid"] for each in (mapped(), updated)}
    assert len(uids) == 2
    assert {each["finding_info"]["uid"] for each in (mapped(), updated)} == {"f1"}


def test_a_purpose_that_is_a_tactic_is_one():
    assert attacks("PrivilegeEscalation:Runtime/X")[0]["tactic"]["uid"] == "TA0004"
    assert attacks("Trojan:EC2/DNSDataExfiltration") == []
    assert mapped()["finding_info"]["attacks"][0]["tactic"]["name"] == "Discovery"


IAM, EC2 = "arn:aws:iam::123456789012", "arn:aws:ec2:eu-west-1:123456789012"
KEY = {"userName": "ada", "userType": "IAMUser", "accessKeyId": "AKIAEXAMPLE"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"accessKeyDetails": KEY}, f"{IAM}:user/ada"),
        ({"accessKeyDetails": KEY | {"userType": "Root"}}, f"{IAM}:root"),
        ({"accessKeyDetails": KEY | {"userType": "AssumedRole"}}, f"{IAM}:role/ada"),
        ({"instanceDetails": {"instanceId": "i-1"}}, f"{EC2}:instance/i-1"),
        ({"s3BucketDetails": [{"arn": "arn:aws:s3:::b"}, {"arn": "c"}]}, "arn:aws:s3:::b"),
        ({"resourceType": "S3Bucket", "s3BucketDetails": [{"name": "b"}]}, "b"),
        ({"kubernetesDetails": {"kubernetesUserDetails": {"username": "eve"}}}, "eve"),
        ({"lambdaDetails": {"functionName": "fn"}}, "fn"),
        ({}, "123456789012"),
        ("not an object", "123456789012"),
    ],
)  # fmt: skip
def test_who_a_finding_is_about(resource, expected):
    """As CloudTrail's events name them, so that both meet at one entity."""
    assert summary(resource=resource).entity == expected


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("AWS_API_CALL", {"awsApiCallAction": {"api": "X", "remoteIpDetails": REMOTE}}),
        ("NETWORK_CONNECTION", {"networkConnectionAction": {"remoteIpDetails": REMOTE}}),
        ("PORT_PROBE", {"portProbeAction": {"portProbeDetails": [{"remoteIpDetails": REMOTE}]}}),
        ("KUBERNETES_API_CALL", {"kubernetesApiCallAction": {"verb": "x", **ENDS}}),
        ("RDS_LOGIN_ATTEMPT", {"rdsLoginAttemptAction": {"remoteIpDetails": REMOTE}}),
    ],
)  # fmt: skip
def test_the_other_end_is_the_source_and_something_to_pivot_on(kind, action):
    service = {"action": {"actionType": kind, **action}}
    assert summary(service=service).src_ip == "203.0.113.6"
    event = mapped(service=service)
    assert "203.0.113.6" in [each["value"] for each in event["observables"]]


def test_an_empty_list_in_place_of_an_address_is_none():
    action = {"actionType": "PORT_PROBE", "portProbeAction": {"portProbeDetails": []}}
    assert summary(service={"action": action}).src_ip == ""
    ends = {"remoteIpDetails": {"ipAddressV4": []}}
    action = {"actionType": "AWS_API_CALL", "awsApiCallAction": ends}
    assert summary(service={"action": action}).src_ip == ""


def test_bytes_that_are_no_text_are_left_to_the_decoder():
    answer = b'{"Findings": [{"UpdatedAt": "\xff", "Severity": 1}]}'
    assert list(CONNECTOR.split(answer)) == [b'{"UpdatedAt": "\xff", "Severity": 1}']


def test_spellings_of_the_api_and_of_exports_are_one():
    def upper(value: Any) -> Any:
        if isinstance(value, dict):
            return {key[:1].upper() + key[1:]: upper(item) for key, item in value.items()}
        return [upper(item) for item in value] if isinstance(value, list) else value

    plain, answer = finding(), {"Findings": [upper(finding())]}
    assert lower_camel(upper(plain)) == plain
    (unit,) = CONNECTOR.split(json.dumps(answer).encode())
    assert json.loads(unit) == plain
    (inner,) = CONNECTOR.split(json.dumps({"id": "e", "detail": plain}).encode())
    assert CONNECTOR.to_ocsf(inner) == CONNECTOR.to_ocsf(unit)


def test_an_envelope_of_eventbridge_is_no_finding_by_itself():
    decoder = CONNECTOR.decoder(frozenset())
    envelope = {"id": "e", "detail-type": "GuardDuty Finding", "detail": finding()}
    with pytest.raises(RecordError):
        decoder.decode(json.dumps(envelope).encode())


def test_rules_for_guardduty_read_its_own_fields():
    decoder = CONNECTOR.decoder(frozenset({"type", "service.action.actionType"}))
    event = decoder.decode(json.dumps(finding(service={"action": {"actionType": "X"}})).encode())
    assert decoder.getter("type")(event) == "Discovery:S3/AnomalousBehavior"
    assert decoder.getter("service.action.actionType")(event) == "X"
