"""From a VPC flow log or firewall log of Google Cloud to OCSF Network Activity."""

from __future__ import annotations

from typing import Any, Final

from connectors._google.objects import cloud, project
from connectors._json.fields import Fields, some
from connectors._json.objects import text, whole
from connectors._json.records import inside, said, source, table, took
from connectors._json.times import moment
from connectors.base import OCSF, Summary

PROTOCOLS: Final = {6: "tcp", 17: "udp", 1: "icmp", 58: "ipv6-icmp", 132: "sctp"}
_DIRECTIONS: Final = {"INGRESS": (1, "Inbound"), "EGRESS": (2, "Outbound")}
_POINTS: Final = {"SRC": (1, "Source"), "DEST": (2, "Destination")}
_ACTIONS: Final = {
    "ALLOWED": {"action": "Allowed", "action_id": 1, "disposition": "Allowed", "disposition_id": 1},
    "DENIED": {"action": "Denied", "action_id": 2, "disposition": "Blocked", "disposition_id": 2},
}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of Network Activity."""
    payload = inside(fields, "jsonPayload")
    flow = table(payload.pop("connection", None))
    number = whole(flow.get("protocol"), 256)
    rule = table(payload.get("rule_details"))
    reporter = _POINTS.get(took(payload, "reporter"))
    way = _DIRECTIONS.get(took(rule, "direction"), (0, "Unknown"))
    labels = inside(fields, "resource.labels")
    name = took(rule, "reference")
    started, ended = payload.pop("start_time", None), payload.pop("end_time", None)
    return some(
        cloud=cloud(
            took(labels, "project_id") or project(said(fields, "logName")),
            took(labels, "region"),
            took(labels, "zone", "location"),
        ),
        connection_info=some(
            direction=way[1],
            direction_id=way[0],
            protocol_name=PROTOCOLS.get(number or -1),
            protocol_num=number,
        ),
        dst_endpoint=_end(payload, flow, "dest"),
        end_time=moment(ended),
        firewall_rule=some(name=name, type=took(rule, "action")) if name else None,
        message=f"{summary.operation} {summary.src_ip} to {summary.service}",
        metadata=some(
            log_name=said(fields, "logName").rpartition("/")[2].replace("%2F", "/"),
            logged_time=moment(fields.get("receiveTimestamp")),
            original_time=said(fields, "timestamp"),
        ),
        observation_point=reporter[1] if reporter else None,
        observation_point_id=reporter[0] if reporter else None,
        src_endpoint=_end(payload, flow, "src"),
        start_time=moment(started),
        traffic=_traffic(payload),
        **_ACTIONS.get(took(payload, "disposition"), {}),
    )


def _traffic(payload: dict[str, Any]) -> OCSF:
    sent, packets = whole(payload.pop("bytes_sent", None)), whole(payload.pop("packets_sent", None))
    if sent is None and packets is None:
        return {}
    return some(bytes=sent, bytes_out=sent, packets=packets, packets_out=packets)


def _end(payload: dict[str, Any], flow: dict[str, Any], side: str) -> OCSF:
    """Return one end of a flow: its address, machine, network and place."""
    machine = table(payload.pop(f"{side}_instance", None))
    network = table(payload.pop(f"{side}_vpc", None))
    place = table(payload.pop(f"{side}_location", None))
    number = whole(place.get("asn"), 1 << 31)
    return source(flow.get(f"{side}_ip")) | some(
        autonomous_system={"number": number} if number else None,
        instance_uid=text(machine.get("vm_name")),
        location=some(
            city=text(place.get("city")),
            country=text(place.get("country")),
            region=text(place.get("region")),
        ),
        port=whole(flow.get(f"{side}_port"), 1 << 16),
        subnet_uid=text(network.get("subnetwork_name")),
        vpc_uid=text(network.get("vpc_name")),
        zone=text(machine.get("zone")),
    )
