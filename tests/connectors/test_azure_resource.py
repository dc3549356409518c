"""Azure resource logs: classes, outcomes, and who acted."""

import json

import pytest

from connectors._azure.resource_log import classify
from connectors.azure_resource import AzureResource
from schemas.ocsf import API_ACTIVITY, DATASTORE_ACTIVITY, OTHER, validate

CONNECTOR = AzureResource()


@pytest.mark.parametrize(
    ("category", "operation", "expected"),
    [
        ("StorageRead", "GetBlob", (DATASTORE_ACTIVITY, 1)),
        ("StorageRead", "ListBlobs", (DATASTORE_ACTIVITY, 8)),
        ("StorageWrite", "PutBlob", (DATASTORE_ACTIVITY, 5)),
        ("StorageWrite", "CreateContainer", (DATASTORE_ACTIVITY, 6)),
        ("StorageDelete", "DeleteBlob", (DATASTORE_ACTIVITY, 7)),
        ("SQLSecurityAuditEvents", "BATCH COMPLETED", (DATASTORE_ACTIVITY, 4)),
        ("SQLSecurityAuditEvents", "DATABASE AUTHENTICATION FAILED", (DATASTORE_ACTIVITY, 3)),
        ("AuditEvent", "SecretGet", (API_ACTIVITY, 2)),
        ("AuditEvent", "KeyDelete", (API_ACTIVITY, 4)),
        ("AuditEvent", "VaultPut", (API_ACTIVITY, OTHER)),
        ("X", "Microsoft.A/b/delete", (API_ACTIVITY, 4)),
    ],
)
def test_operations(category, operation, expected):
    assert classify(category, operation) == expected


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"statusCode": 403}, "Failure"),
        ({"statusCode": "200", "resultType": "Failed"}, "Success"),
        ({"properties": {"httpStatusCode": 401}}, "Failure"),
        ({"properties": {"succeeded": "false"}}, "Failure"),
        ({"resultType": "Success"}, "Success"),
        ({}, "Unknown"),
    ],
)
def test_the_code_tells_the_outcome_before_the_result_does(fields, status):
    event = {"time": "2026-03-02T09:15:00Z", "operationName": "SecretGet", **fields}
    found = CONNECTOR.to_ocsf(json.dumps(event).encode())

    assert validate(found) == []
    assert found["status"] == status


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7:50123", {"ip": "192.0.2.7"}),
        ("[2001:db8::7]:443", {"ip": "2001:db8::7"}),
        ("2001:db8::7", {"ip": "2001:db8::7"}),
        ("a machine", {"name": "a machine"}),
        ("", {"name": "unknown"}),
    ],
)
def test_addresses_come_without_their_port(address, expected):
    event = {"time": "2026-03-02T09:15:00Z", "category": "X", "callerIpAddress": address}
    assert CONNECTOR.to_ocsf(json.dumps(event).encode())["src_endpoint"] == expected
