"""CloudTrail: envelopes, who acted, what it was, and when."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.cloudtrail import MAX_EVENT_BYTES, CloudTrail
from schemas.ocsf import validate
from sentinel.errors import DecodeError, MappingError, RecordError

ROLE = "arn:aws:iam::123456789012:role/deploy"
CONNECTOR = CloudTrail()


def record(**changes: Any) -> dict[str, Any]:
    """Return a small record; a change to ``...`` deletes the field."""
    made = {
        "eventVersion": "1.09",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice"},
        "eventTime": "2026-03-02T09:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15.30",
        "eventID": "0ee84786-2049-54c6-bb13-a2e32b8042a8",
        "readOnly": True,
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def summary(fields: frozenset[str] = frozenset(), **changes: Any) -> Any:
    """Return the summary of `record`, decoded for the Sigma `fields`."""
    raw = json.dumps(record(**changes)).encode()
    return CONNECTOR.summarise(CONNECTOR.decoder(fields).decode(raw))


def session(arn: str, issuer: str = ROLE, kind: str = "AssumedRole") -> dict[str, Any]:
    """Return a ``userIdentity`` with temporary credentials."""
    return {"type": kind, "arn": arn, "sessionContext": {"sessionIssuer": {"arn": issuer}}}


# --- envelopes

ODD = b'{ "eventID":"a\\u0062" ,\n"eventName" :"Records" }'  # must come out byte for byte


@pytest.mark.parametrize(
    ("value", "units"),
    [
        (ODD, [ODD]),
        (b'{"Records":[' + ODD + b",\n" + ODD + b"]}", [ODD, ODD]),
        (b' \n{"Records": [' + ODD + b"]}\n", [ODD]),
        (b"[" + ODD + b"," + ODD + b"]", [ODD, ODD]),
        (b'{"Records":[]}', []),
        (b'{"detail-type":"AWS API Call via CloudTrail","detail":' + ODD + b"}", [ODD]),
        (
            b'{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":'
            + json.dumps(ODD.decode()).encode()
            + b"}]}",
            [ODD],
        ),
        (
            b'{"eventVersion":"1.09","x":{"Records":[1]}}',
            [b'{"eventVersion":"1.09","x":{"Records":[1]}}'],
        ),
        (b'{"x":{"detail":1}}', [b'{"x":{"detail":1}}']),
        (b'{"Records":"none"}', [b'{"Records":"none"}']),
    ],
)
def test_records_are_carried_on_as_they_were(value: bytes, units: list[bytes]) -> None:
    assert list(CONNECTOR.split(value)) == units


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"Records":[{"eventID":1},', "json"),
        (b"[1, 2", "json"),
        (b'{"Records":' + b"[" * 10_000, "depth"),
    ],
)
def test_broken_envelope_is_one_dead_letter(value: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CONNECTOR.split(value)

    assert caught.value.reason == reason


def test_bad_record_does_not_cost_its_neighbours() -> None:
    good = json.dumps(record()).encode()
    units = list(CONNECTOR.split(b'{"Records":[' + good + b',17,{"eventName":"x\xff"}]}'))
    decoder = CONNECTOR.decoder(frozenset())

    assert CONNECTOR.summarise(decoder.decode(units[0])).operation == "ListBuckets"
    for unit in units[1:]:
        with pytest.raises(RecordError):
            CONNECTOR.summarise(decoder.decode(unit))


def test_record_larger_than_cloudtrail_writes_is_refused() -> None:
    raw = json.dumps(record(requestParameters={"x": "a" * MAX_EVENT_BYTES})).encode()

    with pytest.raises(DecodeError, match=f"at most {MAX_EVENT_BYTES} bytes") as caught:
        CONNECTOR.decoder(frozenset()).decode(raw)

    assert caught.value.reason == "too_large"


def test_keywords_find_every_value_of_a_record() -> None:
    decoder = CONNECTOR.decoder(frozenset())
    raw = json.dumps(
        record(requestParameters={"a": [1.5, {"b": 'say "hi"\n'}], "c": False})
    ).encode()

    one = decoder.text(decoder.decode(raw))
    many = decoder.text(CONNECTOR.decode_all(decoder, [raw, raw])[1])

    assert one == many
    assert {"ListBuckets", "1.5", 'say "hi"', "false", "203.0.113.7"} <= set(one.splitlines())
    assert "requestParameters" not in one


# --- who

SSO = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/dana"
MAIL = "arn:aws:sts::123456789012:assumed-role/staff/erin@example.com"
USER = "arn:aws:iam::123456789012:user/alice"


@pytest.mark.parametrize(
    ("identity", "entity"),
    [
        ({"type": "IAMUser", "arn": USER}, USER),
        (
            {"type": "Root", "arn": "arn:aws:iam::123456789012:root"},
            "arn:aws:iam::123456789012:root",
        ),
        (session("arn:aws:sts::123456789012:assumed-role/deploy/ci-4711"), ROLE),
        ({"type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/deploy/i-0"}, ROLE),
        (session(SSO), SSO),
        (session(MAIL), MAIL),
        (session("arn:aws:sts::123456789012:federated-user/bob", USER, "FederatedUser"), USER),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com"),
        ({"accountId": "123456789012", "invokedBy": "rds.amazonaws.com"}, "rds.amazonaws.com"),
        (
            {"type": "AWSAccount", "principalId": "AROAOTHER:scan-1", "accountId": "210987654321"},
            "210987654321/AROAOTHER",
        ),
        (
            {"type": "SAMLUser", "identityProvider": "idp.example.com/", "userName": "erin"},
            "idp.example.com/erin",
        ),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "5448"}}, "5448"),
        (
            {"type": "IAMUser", "accountId": "1", "userName": "HIDDEN_DUE_TO_SECURITY_REASONS"},
            "arn:aws:iam::1:user/HIDDEN_DUE_TO_SECURITY_REASONS",
        ),
        ({"type": "Unknown", "principalId": "AIDA:x"}, "AIDA"),
        ({"type": 5, "arn": ["x"]}, "s3.amazonaws.com"),
        (None, "s3.amazonaws.com"),
        ("alice", "s3.amazonaws.com"),
        ([{"type": "IAMUser"}], "s3.amazonaws.com"),
    ],
)
def test_entity_is_the_person_or_workload_not_the_session(identity: Any, entity: str) -> None:
    assert summary(userIdentity=identity).entity == entity
    # A rule that wants the whole object changes how it is decoded, not who acted.
    assert summary(frozenset({"userIdentity"}), userIdentity=identity).entity == entity


def test_sessions_of_one_role_share_an_entity_in_any_order() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/deploy/ci-"
    one = CloudTrail()
    decoder = one.decoder(frozenset())

    def seen(identity: dict[str, Any]) -> str:
        raw = json.dumps(record(userIdentity=identity)).encode()
        return one.summarise(decoder.decode(raw)).entity

    assert {seen(session(arn + str(n))) for n in range(5)} == {ROLE}
    assert seen(session(arn + "0", "arn:aws:iam::123456789012:role/path/deploy")) != ROLE


# --- what


@pytest.mark.parametrize(
    ("service", "operation", "read_only", "expected"),
    [
        ("signin", "ConsoleLogin", False, (3002, 1)),
        ("sts", "AssumeRole", True, (3002, 3)),
        ("sts", "GetCallerIdentity", True, (6003, 2)),
        ("iam", "CreateUser", False, (3001, 1)),
        ("iam", "CreateAccessKey", False, (3001, 99)),
        ("iam", "AttachRolePolicy", False, (3001, 7)),
        ("iam", "DeactivateMFADevice", False, (3001, 11)),
        ("iam", "AddUserToGroup", False, (3006, 3)),
        ("workmail", "CreateUser", False, (6003, 1)),
        ("s3", "PutBucketPolicy", False, (6003, 3)),
        ("ec2", "TerminateInstances", None, (6003, 4)),
        ("kms", "ScheduleKeyDeletion", False, (6003, 4)),
        ("kms", "GenerateDataKey", True, (6003, 2)),
        ("secretsmanager", "BatchGetSecretValue", None, (6003, 2)),
        ("health", "Frobnicate", False, (6003, 99)),
        ("health", "Frobnicate", "true", (6003, 2)),
        ("s3", "", None, (6003, 99)),
    ],
)
def test_operation_decides_class_and_activity(
    service: str, operation: str, read_only: Any, expected: tuple[int, int]
) -> None:
    found = summary(eventSource=f"{service}.amazonaws.com", eventName=operation, readOnly=read_only)

    assert (found.class_uid, found.activity_id) == expected


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 1),
        ({"errorCode": "AccessDenied"}, 2),
        ({"errorCode": ""}, 1),
        (
            {
                "eventSource": "signin.amazonaws.com",
                "eventName": "ConsoleLogin",
                "responseElements": {"ConsoleLogin": "Failure"},
            },
            2,
        ),
        (
            {
                "eventSource": "signin.amazonaws.com",
                "eventName": "ConsoleLogin",
                "responseElements": {"ConsoleLogin": "Success"},
            },
            1,
        ),
        (
            {
                "eventSource": "signin.amazonaws.com",
                "eventName": "CredentialVerification",
                "responseElements": None,
                "serviceEventDetails": {"CredentialVerification": "Failure"},
            },
            2,
        ),
    ],
)
def test_failure_is_an_error_code_or_the_answer_of_a_sign_in(
    changes: dict[str, Any], status: int
) -> None:
    assert summary(**changes).status_id == status
    whole = frozenset({"responseElements", "serviceEventDetails"})
    assert summary(whole, **changes).status_id == status


def test_odd_types_of_optional_fields_are_taken_as_not_said() -> None:
    found = summary(eventID=7, awsRegion=None, sourceIPAddress=[], userAgent={"a": 1})

    assert (found.native_id, found.region, found.src_ip, found.user_agent) == (None, "", "", "")


# --- when


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-03-02T09:00:00Z", 1_772_442_000_000),
        ("2026-03-02T10:00:00.250+01:00", 1_772_442_000_250),
        ("2026-03-02T09:00:00", 1_772_442_000_000),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
    ],
)
def test_time_is_milliseconds_in_utc(text: str, milliseconds: int) -> None:
    assert summary(eventTime=text).time == milliseconds
    assert summary(eventTime=..., **{"@timestamp": text}).time == milliseconds


def test_clock_may_be_a_day_off_but_no_more() -> None:
    now = datetime.now(UTC)
    soon = (now + timedelta(hours=23)).isoformat()

    assert summary(eventTime=soon).time > time.time() * 1000
    with pytest.raises(MappingError) as caught:
        summary(eventTime=(now + timedelta(hours=25)).isoformat())
    assert caught.value.reason == "timestamp"


@pytest.mark.parametrize("text", ["1999-12-31T23:59:59Z", "yesterday", "", "1772442000"])
def test_absurd_time_is_refused(text: str) -> None:
    with pytest.raises(MappingError) as caught:
        summary(eventTime=text)

    assert caught.value.reason == "timestamp"


@pytest.mark.parametrize("name", ["eventTime", "eventName", "eventSource"])
def test_missing_field_is_named(name: str) -> None:
    with pytest.raises(MappingError, match=name) as caught:
        summary(**{name: ...})

    assert caught.value.reason == "missing_field"


# --- OCSF


def test_nothing_of_a_record_is_lost_and_leftovers_are_bounded() -> None:
    extra = {f"field{n}": "x" * 999 for n in range(500)}
    event = CONNECTOR.to_ocsf(
        json.dumps(record(readOnly=True, someNew={"a": [1]}) | extra).encode()
    )

    assert event["unmapped"]["readOnly"] is True
    assert event["unmapped"]["someNew.a"] == "[1]"
    assert len(event["unmapped"]) == 64
    assert max(len(str(value)) for value in event["unmapped"].values()) == 512


def test_large_request_is_left_to_the_raw_record() -> None:
    event = CONNECTOR.to_ocsf(
        json.dumps(record(requestID="r", requestParameters={"x": "y" * 9_999})).encode()
    )

    assert event["api"]["request"] == {"uid": "r"}
    assert validate(event) == []


def real_messages(data: Path) -> Iterator[bytes]:
    """Yield every CloudTrail message there is."""
    for folder in ("cloudtrail_invictus", "cloudtrail_stratus"):
        for path in sorted((data / folder).rglob("*.json")):
            yield path.read_bytes()
    with zipfile.ZipFile(
        data / "otrf/datasets/atomic/aws/collection/ec2_proxy_s3_exfiltration.zip"
    ) as pack:
        for name in pack.namelist():
            yield from filter(bytes.strip, pack.read(name).splitlines())


def test_every_real_event_is_valid_ocsf(data: Path) -> None:
    units = [unit for message in real_messages(data) for unit in CONNECTOR.split(message)]
    problems = [line for unit in units for line in validate(CONNECTOR.to_ocsf(unit))]

    assert len(units) == 2900 + 310 + 103
    assert problems == []


@pytest.mark.parametrize("case", ["API Activity", "Account Change", "Authentication"])
def test_agrees_with_the_examples_of_ocsf(data: Path, case: str) -> None:
    samples = data / "ocsf_examples/aws_v1.1.0/CloudTrail" / case / "samples"
    found = CONNECTOR.to_ocsf(next(samples.glob("*.raw")).read_bytes())
    want = json.loads(next(samples.glob("*.ocsf")).read_bytes())

    same = ["activity_id", "class_uid", "category_uid", "type_name", "type_uid", "time", "status"]
    same += ["severity_id", "src_endpoint", "http_request"]
    assert {name: found[name] for name in same} == {name: want[name] for name in same}
    assert found["api"]["operation"] == want["api"]["operation"]
    assert found["actor"]["user"]["uid"] == want["actor"]["user"]["uid"]
    assert found.get("user", {}).get("uid") == want.get("user", {}).get("uid")
    assert found.get("is_mfa") == want.get("is_mfa")
