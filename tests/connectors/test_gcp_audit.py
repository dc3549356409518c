"""Google Cloud audit logs: methods, policies, wrappings."""

import base64
import json

import pytest

from connectors._google.classes import classify
from connectors.gcp_audit import GcpAudit
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    OTHER,
    USER_ACCESS,
    validate,
)
from sentinel.errors import DecodeError

CONNECTOR = GcpAudit()


def entry(**payload):
    return {
        "insertId": "i1",
        "timestamp": "2026-03-02T09:15:00.123456789Z",
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {"serviceName": "s.googleapis.com", "methodName": "m.Get", **payload},
    }


def mapped(**payload):
    found = CONNECTOR.to_ocsf(json.dumps(entry(**payload)).encode())
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("service", "method", "expected"),
    [
        ("compute.googleapis.com", "v1.compute.firewalls.delete", (API_ACTIVITY, 4)),
        ("storage.googleapis.com", "storage.buckets.list", (API_ACTIVITY, 2)),
        ("k8s.io", "io.k8s.core.v1.pods.create", (API_ACTIVITY, 1)),
        ("x.googleapis.com", "google.x.v1.X.SetIamPolicy", (API_ACTIVITY, 3)),
        ("iam.googleapis.com", "google.iam.admin.v1.DeleteServiceAccount", (ACCOUNT_CHANGE, 6)),
        ("iamcredentials.googleapis.com", "GenerateAccessToken", (AUTHENTICATION, 3)),
        ("login.googleapis.com", "google.login.LoginService.logout", (AUTHENTICATION, 2)),
        (
            "login.googleapis.com",
            "google.login.LoginService.suspiciousLogin",
            (DETECTION_FINDING, 1),
        ),
        ("", "", (API_ACTIVITY, OTHER)),
    ],
)
def test_methods(service, method, expected):
    assert classify(service, method, "") == expected


def test_who_gets_a_role_is_the_user():
    deltas = [
        {"action": "REMOVE", "role": "roles/viewer", "member": "user:old@example.com"},
        {"action": "ADD", "role": "roles/owner", "member": "user:mallory@example.net"},
    ]
    found = mapped(serviceData={"policyDelta": {"bindingDeltas": deltas}})

    assert (found["class_uid"], found["activity_name"]) == (USER_ACCESS, "Assign Privileges")
    assert found["user"]["name"] == "mallory@example.net"
    assert found["privileges"] == ["roles/owner"]
    assert "old@example.com" in json.dumps(found["unmapped"])


@pytest.mark.parametrize(
    ("status", "expected"),
    [({}, "Success"), ({"code": 0}, "Success"), ({"code": 7, "message": "no"}, "Failure")],
)
def test_a_code_is_a_failure(status, expected):
    assert mapped(status=status)["status"] == expected


def test_the_id_is_the_same_however_the_time_is_written():
    other = entry() | {"timestamp": "2026-03-02T09:15:00.123456Z"}
    uid = CONNECTOR.to_ocsf(json.dumps(other).encode())["metadata"]["uid"]
    assert uid == mapped()["metadata"]["uid"] == "i1@1772442900123"


def test_all_wrappings_give_the_entry():
    raw = json.dumps(entry()).encode()
    data = base64.b64encode(raw).decode()
    push = {"message": {"data": data, "messageId": "1"}, "subscription": "s"}
    pull = {"receivedMessages": [{"ackId": "a", "message": {"data": data}}]}
    for wrapped in ({"entries": [entry()]}, push, pull, {"data": entry(), "id": "cloudevent"}):
        [unit] = CONNECTOR.split(json.dumps(wrapped).encode())
        assert json.loads(unit) == entry()


def test_what_is_no_base64_is_refused():
    push = {"message": {"data": "%%%"}, "subscription": "s"}
    with pytest.raises(DecodeError, match="base64"):
        list(CONNECTOR.split(json.dumps(push).encode()))


def test_rules_name_a_log_without_its_project():
    field = "data.protoPayload.logName"
    decoder = CONNECTOR.decoder(frozenset({field, "gcp.audit.method_name"}))
    event = decoder.decode(json.dumps(entry()).encode())

    assert "cloudaudit.googleapis.com/activity" in decoder.getter(field)(event)
    assert decoder.getter("gcp.audit.method_name")(event) == "m.Get"


def test_rules_name_parameters_of_workspace_events_as_the_reports_api_does():
    """So one rule holds for both ways on which such an event comes in."""
    event = {
        "eventName": "ASSIGN_ROLE",
        "parameter": [
            {"name": "USER_EMAIL", "value": "eve@example.com"},
            {"name": "ROLE_NAME", "value": "_SEED_ADMIN_ROLE"},
        ],
    }
    raw = entry(serviceName="admin.googleapis.com", metadata={"event": [event]})
    fields = {"ROLE_NAME", "USER_EMAIL", "ORG_NAME", "eventName", "setting_name"}
    decoder = GcpAudit().decoder(frozenset(fields))
    decoded = decoder.decode(raw if isinstance(raw, bytes) else json.dumps(raw).encode())
    found = {field: decoder.getter(field)(decoded) for field in fields}
    assert found["ROLE_NAME"] == "_SEED_ADMIN_ROLE"
    assert found["USER_EMAIL"] == "eve@example.com"
    assert found["ORG_NAME"] is None
    assert found["eventName"] in ("ASSIGN_ROLE", ["ASSIGN_ROLE"])
