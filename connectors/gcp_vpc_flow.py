"""Google Cloud's VPC flow logs, and the logs of its firewall rules.

Takes log entries of Cloud Logging, alone, as lines, as the answer of ``entries:list``, and as
Pub/Sub pushes and pulls of a sink. Both ends of a flow may report it: ``observation_point``
tells which did.

Sources: Google Cloud, "About VPC Flow Logs records", "Firewall rules logging format".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._google import flow
from connectors._google.envelope import GoogleEnvelope
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields
from connectors._json.objects import whole
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import NETWORK_ACTIVITY
from sentinel.errors import MappingError

_ENVELOPE: Final = GoogleEnvelope(lists=("entries",), inner=("data",))
_C: Final = "jsonPayload.connection."
_INFORMATIONAL: Final = 1
_OPEN, _REFUSE, _TRAFFIC = 1, 5, 6
_SPELLINGS: Final = {
    "action": ("jsonPayload.disposition",),
    "dst_ip": (f"{_C}dest_ip",),
    "dst_port": (f"{_C}dest_port",),
    "protocol": (f"{_C}protocol",),
    "src_ip": (f"{_C}src_ip",),
    "src_port": (f"{_C}src_port",),
}


class GcpVpcFlow(JsonConnector):
    """Flows of Google Cloud's networks, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="gcp", service="gcp.vpc_flow"),
        LogSource(category="firewall"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "logging": "connectors._google.reading.entries:EntriesReader",
        "pubsub": "connectors._google.reading.pubsub:PubSubReader",
    }
    destinations: ClassVar[tuple[str, ...]] = ("jsonPayload.connection.dest_ip",)
    product: ClassVar[Mapping[str, Any]] = {"name": "VPC Flow Logs", "vendor_name": "Google"}
    profiles: ClassVar[tuple[str, ...]] = ("cloud", "security_control")
    own: ClassVar[frozenset[str]] = frozenset(
        {"insertId", "timestamp", "receiveTimestamp", "jsonPayload.end_time"}
    )
    reads: ClassVar[frozenset[str]] = frozenset(
        {"insertId", "timestamp", "receiveTimestamp", "jsonPayload.end_time"}
        | {f"{_C}{name}" for name in ("src_ip", "dest_ip", "dest_port", "protocol")}
        | {"jsonPayload.disposition", "resource.labels.location", "resource.labels.region"}
    )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the entries of a message; see `connectors._google.envelope`."""
        return _ENVELOPE.cut(value)

    def spellings(self, field: str) -> Sequence[str]:
        """Return what an entry calls a `field` of firewall rules."""
        return _SPELLINGS.get(field, ())

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: an ``insertId`` is of one log and time alone."""
        get, uid = event.get, event.text("insertId")
        found = get("timestamp") or get("jsonPayload.end_time") or get("receiveTimestamp")
        when = milliseconds(found, "timestamp")
        return f"{uid}@{when}" if uid else None, when

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is where the flow came from."""
        text = event.text
        src, dst = text(_C + "src_ip"), text(_C + "dest_ip")
        if not src or not dst:
            problem = (
                "expected jsonPayload.connection with src_ip and dest_ip, found none; "
                "send entries of VPC flow logs"
            )
            raise MappingError("missing_field", problem)
        decision = text("jsonPayload.disposition")
        denied = decision == "DENIED"
        protocol = text(_C + "protocol")
        name = flow.PROTOCOLS.get(whole(protocol) or -1, protocol)
        activity = _REFUSE if denied else _OPEN if decision else _TRAFFIC
        return Summary(
            *self.identity_of(event),
            NETWORK_ACTIVITY,
            activity,
            2 if denied else 1,
            _INFORMATIONAL,
            src,
            "deny" if denied else "allow",
            f"{name}/{text(_C + 'dest_port')}",
            src,
            "",
            text("resource.labels.location", "resource.labels.region"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of Network Activity; see `connectors._google.flow`."""
        return flow.objects(fields, summary)
