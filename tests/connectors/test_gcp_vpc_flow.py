"""Google Cloud's flow logs: names for rules, and what is missing."""

import json

import pytest

from connectors.gcp_vpc_flow import GcpVpcFlow
from schemas.ocsf import validate
from sentinel.errors import MappingError

CONNECTOR = GcpVpcFlow()
FLOW = {"src_ip": "203.0.113.5", "dest_ip": "10.0.0.4", "dest_port": 22, "protocol": 6}


def entry(**payload):
    return {"insertId": "f", "timestamp": "2026-03-02T09:15:00Z", "jsonPayload": payload}


def test_rules_for_firewalls_find_their_fields():
    decoder = CONNECTOR.decoder(frozenset({"src_ip", "dst_ip", "dst_port", "action"}))
    event = decoder.decode(json.dumps(entry(connection=FLOW, disposition="DENIED")).encode())

    values = [decoder.getter(name)(event) for name in ("src_ip", "dst_ip", "dst_port", "action")]
    assert values == ["203.0.113.5", "10.0.0.4", 22, "DENIED"]


@pytest.mark.parametrize(
    ("payload", "activity", "status"),
    [
        ({"connection": FLOW}, "Traffic", "Success"),
        ({"connection": FLOW, "disposition": "DENIED"}, "Refuse", "Failure"),
        ({"connection": FLOW, "disposition": "ALLOWED"}, "Open", "Success"),
    ],
)
def test_what_became_of_a_flow(payload, activity, status):
    found = CONNECTOR.to_ocsf(json.dumps(entry(**payload)).encode())

    assert validate(found) == []
    assert (found["activity_name"], found["status"]) == (activity, status)


def test_a_flow_needs_both_ends():
    with pytest.raises(MappingError, match="dest_ip"):
        CONNECTOR.to_ocsf(json.dumps(entry(connection={"src_ip": "10.0.0.4"})).encode())
