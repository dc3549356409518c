"""Flow logs of Azure networks: tuples cut out of records, and the OCSF objects of a flow.

A record holds the flows of one network interface in a minute or so, by rule, as texts of
values with commas between them. `flows` makes an event of each, with the names that Sigma's
firewall rules use; version 4 is that of virtual networks.

Sources: Microsoft, "Flow logging for network security groups", "Virtual network flow logs".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from connectors._azure.objects import cloud, subscription
from connectors._json.fields import Fields, some
from connectors._json.objects import items, text, whole
from connectors._json.records import said, source
from connectors._json.times import moment
from connectors.base import OCSF, Summary

_NAMES: Final = ("time", "src_ip", "dst_ip", "src_port", "dst_port", "protocol", "direction")
_TRAFFIC: Final = ("packets_sent", "bytes_sent", "packets_received", "bytes_received")
_V1: Final = (*_NAMES, "action")
_V2: Final = (*_V1, "state", *_TRAFFIC)
_V4: Final = (*_NAMES, "state", "encryption", *_TRAFFIC)
_PROTOCOLS: Final = {"T": 6, "U": 17}
_PROTOCOL_NAMES: Final = {6: "tcp", 17: "udp", 1: "icmp", 58: "ipv6-icmp"}
_DIRECTIONS: Final = {"I": (1, "Inbound"), "O": (2, "Outbound")}
_MAC: Final = re.compile("[0-9A-Fa-f]{12}")
_ACTIONS: Final = {"A": "allow", "D": "deny"}


def flows(record: dict[str, Any]) -> list[bytes]:
    """Return the flows of a record as JSON, each with what the record says of all of them."""
    return [msgspec.json.encode(flow) for flow in _flows(record)]


def _flows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    network = record.get("flowRecords")
    if isinstance(network, dict):
        about = _about(record, 4, "targetResourceID", "flowLogResourceID")
        groups = ((group, "aclID", "flowGroups") for group in items(network.get("flows")))
    else:
        properties = record.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        about = _about(record, whole(properties.get("Version")) or 1, "resourceId")
        groups = ((group, "rule", "flows") for group in items(properties.get("flows")))
    for group, name, inner in groups:
        for part in items(group.get(inner)):
            tuples = part.get("flowTuples")
            known = some(
                rule=text(part.get("rule")) or text(group.get("rule")),
                acl=text(group.get("aclID")) if name == "aclID" else None,
                mac=text(part.get("mac")),
            )
            for values in tuples if isinstance(tuples, list) else ():
                yield _flow(values, about | known)


def _about(record: dict[str, Any], version: int, *resources: str) -> dict[str, Any]:
    uid = next(filter(None, (text(record.get(name)) for name in resources)), "")
    return some(
        version=version,
        resource=uid,
        mac=text(record.get("macAddress")),
        logged=text(record.get("time")),
        system=text(record.get("systemId")) or text(record.get("flowLogGUID")),
    )


def _flow(values: Any, about: dict[str, Any]) -> dict[str, Any]:
    """Return one flow; values that are not as many as there should be stay one text."""
    parts = values.split(",") if isinstance(values, str) else []
    names = next((names for names in (_V1, _V2) if len(names) == len(parts)), None)
    if about["version"] >= 4:
        names = _V4 if len(parts) == len(_V4) else None
    if names is None:
        return {**about, "flow": values}
    flow = {name: value for name, value in zip(names, parts, strict=True) if value}
    if names is _V4:
        flow["action"] = "deny" if flow.get("state") == "D" else "allow"
    elif "action" in flow:
        flow["action"] = _ACTIONS.get(flow["action"], flow["action"])
    return about | flow


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of Network Activity."""
    resource = said(fields, "resource")
    protocol = said(fields, "protocol")
    number = _PROTOCOLS.get(protocol) or whole(protocol, 256)
    way, caption = _DIRECTIONS.get(said(fields, "direction"), (0, "Unknown"))
    allowed = said(fields, "action") == "allow"
    mac = said(fields, "mac")
    ends = {
        f"{side}_endpoint": source(fields.get(f"{side}_ip"))
        | some(port=whole(fields.get(f"{side}_port"), 1 << 16))
        for side in ("src", "dst")
    }
    if _MAC.fullmatch(mac):
        # The interface that was looked at: what comes in is sent to it.
        own = ends["dst_endpoint" if way == 1 else "src_endpoint"]
        own["mac"] = ":".join(mac[at : at + 2] for at in range(0, 12, 2))
    numbers = {name: whole(fields.get(name)) for name in _TRAFFIC}
    rule = said(fields, "rule")
    return some(
        action="Allowed" if allowed else "Denied",
        action_id=1 if allowed else 2,
        cloud=cloud(subscription(resource)),
        connection_info=some(
            direction=caption,
            direction_id=way,
            protocol_name=_PROTOCOL_NAMES.get(number or -1),
            protocol_num=number,
        ),
        disposition="Allowed" if allowed else "Blocked",
        disposition_id=1 if allowed else 2,
        firewall_rule=some(name=rule, uid=said(fields, "acl") or resource) if rule else None,
        message=f"{summary.operation} {summary.src_ip} to {summary.service}",
        metadata=some(
            log_version=said(fields, "version"), logged_time=moment(fields.get("logged"))
        ),
        traffic=_traffic(numbers),
        **ends,
    )


def _traffic(numbers: dict[str, int | None]) -> OCSF:
    sent, received = numbers["bytes_sent"], numbers["bytes_received"]
    out, back = numbers["packets_sent"], numbers["packets_received"]
    if sent is None and received is None:
        return {}
    return some(
        bytes=(sent or 0) + (received or 0),
        bytes_in=received,
        bytes_out=sent,
        packets=(out or 0) + (back or 0),
        packets_in=back,
        packets_out=out,
    )
