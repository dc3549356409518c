"""From a line of a flow log to OCSF Network Activity.

Fields go where AWS's own mapping puts them (OCSF examples, "VPC Flowlogs"): of an outgoing
flow interface, instance, subnet and VPC belong to the source, of an incoming one to the
destination; the addresses inside the packet are the endpoints, those of the interface in
between are intermediate.
"""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import some
from connectors._json.objects import is_address
from connectors._json.observables import observables
from connectors._json.times import moment
from connectors._vpc_flow.layout import Flow, number
from connectors.base import OCSF, Summary
from schemas.ocsf import VERSION, status_name

_PORT: Final = 65_535
_LONG: Final = 2**63 - 1
_DIRECTIONS: Final = {"ingress": (1, "Inbound"), "egress": (2, "Outbound")}
_VERSIONS: Final = {
    "IPv4": (4, "Internet Protocol version 4 (IPv4)"),
    "IPv6": (6, "Internet Protocol version 6 (IPv6)"),
}
#: ``traffic-path`` 1 to 8 and OCSF's captions of boundaries 4 to 11, which say the same.
_BOUNDARIES: Final = (
    *("Same VPC", "Internet/VPC Gateway", "Virtual Private Gateway", "Intra-region VPC"),
    *("Inter-region VPC", "Local Gateway", "Gateway VPC", "Internet Gateway"),
)
#: IANA "Assigned Internet Protocol Numbers".
PROTOCOLS: Final = {
    **{1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre"},
    **{50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf", 132: "sctp"},
}
_MAPPED: Final = frozenset(
    {"account-id", "action", "az-id", "bytes", "dstaddr", "dstport", "end", "flow-direction"}
    | {"instance-id", "interface-id", "log-status", "packets", "pkt-dst-aws-service"}
    | {"pkt-dstaddr", "pkt-src-aws-service", "pkt-srcaddr", "protocol", "region", "srcaddr"}
    | {"srcport", "start", "subnet-id", "tcp-flags", "traffic-path", "type", "version", "vpc-id"}
    | {"reject-reason"}
)
_HERE: Final = {"instance-id", "interface-id", "subnet-id", "vpc-id"}
_ACTIONS: Final = {
    "ACCEPT": {"action": "Allowed", "action_id": 1, "disposition": "Allowed", "disposition_id": 1},
    "REJECT": {"action": "Denied", "action_id": 2, "disposition": "Blocked", "disposition_id": 2},
}


def build(flow: Flow, summary: Summary) -> OCSF:
    """Return the OCSF event of a line whose columns are `summary`."""
    get = flow.get
    event = summary.head()
    account = get("account-id")
    start, end = moment(_seconds(get("start"))), moment(_seconds(get("end")))
    event |= some(
        cloud=some(
            account={"type": "AWS Account", "type_id": 10, "uid": account} if account else None,
            provider="AWS",
            region=get("region"),
            zone=get("az-id"),
        ),
        connection_info=_connection(flow),
        end_time=end,
        metadata=some(
            log_version=get("version"),
            product={
                "feature": {"name": "Flow Logs"},
                "name": "Amazon VPC",
                "vendor_name": "AWS",
            },
            profiles=["cloud", "security_control"],
            version=VERSION,
        ),
        start_time=start,
        status=status_name(summary.class_uid, summary.status_id),
        status_code=get("log-status"),
        status_detail=get("reject-reason"),
        traffic=some(bytes=number(get("bytes"), _LONG), packets=number(get("packets"), _LONG)),
    )
    if start is not None and end is not None and end >= start:
        event["duration"] = end - start
    event["status_id"] = summary.status_id
    event |= _ACTIONS.get(get("action"), {}) | _endpoints(flow)
    event |= some(observables=observables(event))
    placed = _MAPPED if _watched(flow) else _MAPPED - _HERE
    left = {name: word for name in flow.places if name not in placed and (word := get(name))}
    return event | some(unmapped=left)


def _seconds(word: str) -> int | None:
    return number(word, 10**11 - 1)


def _connection(flow: Flow) -> dict[str, Any]:
    get = flow.get
    direction = _DIRECTIONS.get(get("flow-direction"), (0, "Unknown"))
    protocol = number(get("protocol"), 255)
    version = _VERSIONS.get(get("type") or version_of(get("srcaddr")))
    path = number(get("traffic-path"), len(_BOUNDARIES))
    found = {"direction": direction[1], "direction_id": direction[0]}
    if version:
        found |= {"protocol_ver": version[1], "protocol_ver_id": version[0]}
    if path:
        found |= {"boundary": _BOUNDARIES[path - 1], "boundary_id": path + 3}
    return found | some(
        protocol_name=PROTOCOLS.get(-1 if protocol is None else protocol),
        protocol_num=protocol,
        tcp_flags=number(get("tcp-flags"), 2**16),
    )


def _endpoints(flow: Flow) -> dict[str, Any]:
    """Return both ends; at the one whose interface was watched, what it belongs to."""
    get, watched = flow.get, _watched(flow)
    here = some(
        instance_uid=get("instance-id"),
        interface_uid=get("interface-id"),
        subnet_uid=get("subnet-id"),
        vpc_uid=get("vpc-id"),
    )
    source = _endpoint(flow, "srcaddr", "pkt-srcaddr", "srcport", "pkt-src-aws-service")
    target = _endpoint(flow, "dstaddr", "pkt-dstaddr", "dstport", "pkt-dst-aws-service")
    if watched == "egress":
        source |= here
    elif watched:
        target |= here
    # A port alone is no endpoint.
    ends = {"src_endpoint": source, "dst_endpoint": target}
    return {name: end for name, end in ends.items() if end.keys() - _NOT_ENOUGH}


_NOT_ENOUGH: Final = {"port", "subnet_uid", "vpc_uid", "intermediate_ips"}


def _watched(flow: Flow) -> str:
    """Return which way the flow went through the interface; empty where nobody knows."""
    direction = flow.get("flow-direction")
    if direction in _DIRECTIONS:
        return direction
    return "" if flow.get("srcaddr") or flow.get("dstaddr") else "ingress"


def _endpoint(flow: Flow, outer: str, inner: str, port: str, service: str) -> dict[str, Any]:
    outside, inside = flow.get(outer), flow.get(inner)
    address = inside if is_address(inside) else outside
    between = outside != address and is_address(outside)
    return some(
        intermediate_ips=[outside] if between else None,
        ip=address if is_address(address) else None,
        port=number(flow.get(port), _PORT),
        svc_name=flow.get(service),
    )


def version_of(address: str) -> str:
    """Return the version of an address by its spelling; empty where there is none."""
    return "" if not address else "IPv6" if ":" in address else "IPv4"
