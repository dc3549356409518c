"""Suricata: classes, both versions of dns, what is refused, and Sigma's categories."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.suricata import Suricata
from schemas.ocsf import NETWORK_ACTIVITY, validate
from sentinel.errors import MappingError

CONNECTOR = Suricata()


def event(kind: str, **parts: Any) -> bytes:
    """Return a small EVE event."""
    return json.dumps(
        {
            "timestamp": "2026-03-02T09:00:00.123456+0000",
            "flow_id": 1,
            "event_type": kind,
            "src_ip": "198.51.100.7",
            "src_port": 51234,
            "dest_ip": "203.0.113.9",
            "dest_port": 53,
            "proto": "UDP",
        }
        | parts
    ).encode()


def mapped(kind: str, **parts: Any) -> dict[str, Any]:
    """Return the OCSF event of `event`, checked against the schema."""
    found = CONNECTOR.to_ocsf(event(kind, **parts))
    assert validate(found) == []
    return found


def test_the_time_is_that_of_the_sensor_in_utc():
    assert mapped("flow", timestamp="2026-03-02T10:00:00.5+0100")["time"] == 1772442000500


def test_counters_are_refused_with_what_to_do():
    with pytest.raises(MappingError, match="eve-log") as refused:
        mapped("stats", stats={"uptime": 1})
    assert refused.value.reason == "statistics"


def test_an_event_type_that_is_not_listed_is_network_activity():
    found = mapped("quic", quic={"version": "1"})
    assert (found["class_uid"], found["activity_name"]) == (NETWORK_ACTIVITY, "quic 203.0.113.9")
    assert found["unmapped"] == {"quic.version": "1"}


@pytest.mark.parametrize(
    "dns",
    [
        {"type": "answer", "rrname": "a.example", "rrtype": "A", "rcode": "NXDOMAIN"},
        {"type": "response", "queries": [{"rrname": "a.example", "rrtype": "A"}]}
        | {"rcode": "NXDOMAIN"},
    ],
)
def test_both_versions_of_dns_say_the_same(dns):
    found = mapped("dns", dns=dns)
    assert found["query"] == {"hostname": "a.example", "type": "A"}
    assert (found["activity_name"], found["rcode"], found["status"]) == (
        "Response",
        "NXDomain",
        "Failure",
    )


def test_bytes_are_seen_from_the_client():
    flow = {"bytes_toserver": 10, "bytes_toclient": 30, "pkts_toserver": 1, "pkts_toclient": 2}
    traffic = mapped("flow", flow=flow)["traffic"]
    assert (traffic["bytes"], traffic["bytes_out"], traffic["bytes_in"]) == (40, 10, 30)


def test_suricatas_highest_severity_is_its_lowest_number():
    alert = {"signature": "x", "signature_id": 1, "severity": 1, "action": "blocked"}
    found = mapped("alert", alert=alert)
    assert (found["severity"], found["disposition"]) == ("High", "Blocked")


def asked(field: str, unit: bytes) -> Any:
    """Return what a rule gets for a field."""
    decoder = CONNECTOR.decoder(frozenset({field}))
    return decoder.getter(field)(decoder.decode(unit))


def test_rules_of_sigmas_categories_find_their_fields():
    seen = event("http", http={"url": "/a/b.php?x=1", "hostname": "h", "http_method": "GET"})
    assert asked("@category", seen) == ["proxy", "webserver"]
    assert asked("proxy.c-uri", seen) == "/a/b.php?x=1"
    assert asked("proxy.c-uri-extension", seen) == "php"
    assert asked("webserver.cs-uri-query", seen) == "x=1"
    assert asked("webserver.cs-method", seen) == "GET"
    name = event("dns", dns={"queries": [{"rrname": "evil.example", "rrtype": "TXT"}]})
    assert asked("@category", name) == "dns"
    assert asked("dns.query", name) == ["evil.example"]
    assert asked("dns.record_type", name) == ["TXT"]
    assert asked("@category", event("flow")) is None
