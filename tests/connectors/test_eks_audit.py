"""EKS's audit log: what CloudWatch Logs wraps around the events of Kubernetes."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._aws import subscription
from connectors._aws.subscription import messages
from connectors.eks_audit import EksAudit
from connectors.k8s_audit import K8sAudit
from schemas.ocsf import validate
from sentinel.errors import DecodeError
from sentinel.settings import Settings

EXAMPLE = Path(Settings().data) / "ocsf_examples/aws_v1.1.0/EKS Audit Logs/samples"
EVENT = {
    "kind": "Event",
    "auditID": "1",
    "stage": "ResponseComplete",
    "verb": "get",
    "user": {"username": "ada"},
    "stageTimestamp": "2026-01-01T00:00:00Z",
}


def sent(*events: dict[str, object] | str) -> bytes:
    logs = [{"message": each if isinstance(each, str) else json.dumps(each)} for each in events]
    return json.dumps({"messageType": "DATA_MESSAGE", "logEvents": logs}).encode()


def packed(value: bytes) -> str:
    return b64encode(gzip.compress(value)).decode()


@pytest.mark.parametrize(
    "value",
    [
        sent(EVENT, EVENT),
        gzip.compress(sent(EVENT)) + gzip.compress(sent(EVENT)),
        json.dumps({"awslogs": {"data": packed(sent(EVENT, EVENT))}}).encode(),
        json.dumps({"Records": [{"kinesis": {"data": packed(sent(EVENT))}}] * 2}).encode(),
        json.dumps({"records": [{"data": packed(sent(EVENT))}] * 2}).encode(),
        json.dumps({"kind": "EventList", "items": [EVENT, EVENT]}).encode(),
        json.dumps(EVENT).encode() + b"\n" + json.dumps(EVENT).encode(),
    ],
)
def test_events_come_out_of_every_wrapping(value):
    units = list(EksAudit().split(value))
    assert [json.loads(unit) for unit in units] == [EVENT, EVENT]
    event = EksAudit().to_ocsf(units[0])
    assert validate(event) == []
    assert event["metadata"]["product"]["name"] == "Amazon EKS"
    plain = K8sAudit().to_ocsf(units[0])
    assert event | {"metadata": 0} == plain | {"metadata": 0}


def test_the_message_at_subscribing_holds_no_event():
    control = json.dumps({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "x"}]})
    assert list(EksAudit().split(control.encode())) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (gzip.compress(sent(EVENT))[:-9], "gzip"),
        (b"\x1f\x8bnothing", "gzip"),
        (b'{"awslogs": {"data": "???"}}', "base64"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(value, reason):
    with pytest.raises(DecodeError) as caught:
        EksAudit().split(value)
    assert caught.value.reason == reason


def test_a_message_that_unpacks_to_far_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(subscription, "MAX_UNPACKED", 100_000)
    with pytest.raises(DecodeError, match="more than 100000 bytes"):
        messages(gzip.compress(bytes(1_000_000)))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_unpacked_or_refused(value, zipped):
    try:
        found = messages(gzip.compress(value) if zipped else value)
    except DecodeError:
        return
    assert found is None or all(isinstance(each, bytes) for each in found)


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="needs SENTINEL_DATA: AWS's example of OCSF")
def test_the_example_of_aws():
    raw = next(path for path in EXAMPLE.iterdir() if path.suffix == ".raw").read_bytes()
    expected = json.loads(next(p for p in EXAMPLE.iterdir() if p.suffix == ".ocsf").read_bytes())
    (unit,) = EksAudit().split(raw)
    event = EksAudit().to_ocsf(unit)
    assert validate(event) == []
    assert event["activity_id"] == expected["activity_id"]
    assert event["class_uid"] == expected["class_uid"]
    assert event["api"]["operation"].split()[0] == expected["api"]["operation"]
    assert event["actor"]["user"]["name"] == expected["actor"]["user"]["name"]
