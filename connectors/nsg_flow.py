"""Azure flow logs: of network security groups (versions 1 and 2) and virtual networks (4).

Takes the blobs that Network Watcher writes (``{"records": […]}``), single records, and lines.
One record holds many flows: each becomes an event of its own, with named fields in place of
the values with commas (see `connectors._azure.flow`), so that rules of Sigma's category
``firewall`` match it. Values that do not fit their version are a dead letter each.

Source: Microsoft, "Flow logging for network security groups" and "Virtual network flow logs".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Final

import msgspec

from connectors._azure import flow
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.objects import text
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import NETWORK_ACTIVITY
from sentinel.errors import DecodeError, MappingError

_INFORMATIONAL: Final = 1
_OPEN, _CLOSE, _REFUSE, _TRAFFIC = 1, 2, 5, 6
_ACTIVITIES: Final = {"B": _OPEN, "C": _TRAFFIC, "E": _CLOSE, "D": _REFUSE}
_PROTOCOLS: Final = {"T": "tcp", "6": "tcp", "U": "udp", "17": "udp"}
_NAMES: Final = ("time", "src_ip", "dst_ip", "dst_port", "protocol", "action", "state")
_row: Final = attrgetter(*_NAMES)
_parse: Final = msgspec.json.Decoder().decode


class NsgFlow(JsonConnector):
    """Flows that Azure's Network Watcher logs, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="azure", service="nsgflow"),
        LogSource(category="firewall"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "event-hubs": "connectors._azure.reading.event_hubs:EventHubsReader",
        "storage": "connectors._azure.reading.blobs:BlobReader",
    }
    destinations: ClassVar[tuple[str, ...]] = ("dst_ip",)
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Network Watcher flow logs",
        "vendor_name": "Microsoft",
    }
    envelope: ClassVar[Envelope] = Envelope(lists=("records",))
    profiles: ClassVar[tuple[str, ...]] = ("cloud", "security_control")
    own: ClassVar[frozenset[str]] = frozenset({"time"})
    reads: ClassVar[frozenset[str]] = frozenset({*_NAMES, "mac", "resource"})

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the flows of a message; a record that has none is returned as it is."""
        for record in super().split(value):
            if b'"flowTuples"' not in record:
                yield record
                continue
            try:
                found = _parse(record)
            except (ValueError, RecursionError) as error:
                problem = f"expected a record of flows, found {len(record)} bytes: {error}"
                raise DecodeError("json", problem) from error
            units = flow.flows(found) if isinstance(found, dict) else []
            yield from units or (record,)

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return the time; a flow has no id."""
        return None, _time(event.get("time"))

    def summarise(self, event: Any) -> Summary:
        """Return the columns; the entity is where the flow came from."""
        return _columns(*_row(event))

    def columns_of(self, event: View) -> Summary:
        """Return the same as `summarise`, which needs no `View` for fields of the top level."""
        return _columns(*map(event.get, _NAMES))

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of Network Activity; see `connectors._azure.flow`."""
        return flow.objects(fields, summary)


def _time(when: Any) -> int:
    return milliseconds(when if when.__class__ is str else text(when), "a flow's first value")


def _columns(
    when: Any, src: Any, dst: Any, port: Any, protocol: Any, action: Any, state: Any
) -> Summary:
    """Return the columns of a flow with these values.

    Raises
    ------
    MappingError
        It has no ends, or no time that is sane.
    """
    src, dst, port, protocol = text(src), text(dst), text(port), text(protocol)
    if not src or not dst:
        raise MappingError(
            "missing_field",
            "expected a flow with src_ip and dst_ip, out of 8, 12 or 13 values with commas "
            "between them, found another number; send Network Watcher's own records",
        )
    allowed = action == "allow"
    activity = _ACTIVITIES.get(text(state), _TRAFFIC) if allowed else _REFUSE
    return tuple.__new__(
        Summary,
        (
            None,
            _time(when),
            NETWORK_ACTIVITY,
            activity,
            1 if allowed else 2,
            _INFORMATIONAL,
            src,
            "allow" if allowed else "deny",
            f"{_PROTOCOLS.get(protocol, protocol)}/{port}",
            src,
            "",
            "",
        ),
    )
