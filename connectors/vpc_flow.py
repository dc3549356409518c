"""AWS VPC flow logs: which addresses talked through which interface, and what was refused.

Takes lines of the default format, or a header line and lines below it (files in S3; readers
make the same of Parquet), and subscriptions of CloudWatch Logs; every field of versions 2 to
10 and of transit gateways. A record needs ``start``, and an address or an interface; the event
is the moment at which the flow was first seen.

The acting entity is the instance or interface that a flow leaves from (``flow-direction``
egress), else the address it comes from. Records without traffic (``NODATA``, ``SKIPDATA``)
are events of unknown activity; a ``SKIPDATA`` says that AWS lost some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Final

from connectors._aws.subscription import messages
from connectors._json.times import milliseconds
from connectors._vpc_flow.layout import ALIASES, Flow, decode, is_header, number, value_of
from connectors._vpc_flow.ocsf_map import PROTOCOLS, build
from connectors.base import OCSF, Connector, Decoder, LogSource, Summary
from schemas.ocsf import NETWORK_ACTIVITY
from sentinel.errors import DecodeError, MappingError

_REFUSE, _TRAFFIC, _UNKNOWN = 5, 6, 0
_STATUS: Final = {"ACCEPT": (_TRAFFIC, 1), "REJECT": (_REFUSE, 2)}
_INFORMATIONAL: Final = 1
_MEMO: Final = 1 << 16
_EPHEMERAL: Final = 32_768
"""Where ports begin that clients are given: such a destination is an answer, not a service."""


class FlowDecoder:
    """Decodes a line; its words are read on demand, so all are in use."""

    def decode(self, unit: bytes) -> Flow:
        """Read one line; raise DecodeError where it is none."""
        return decode(unit)

    def getter(self, field: str) -> Callable[[Any], Any]:
        """Return the function that reads a word, by AWS's name or one of `ALIASES`."""
        name = ALIASES.get(field, field.replace("_", "-"))
        return lambda flow: value_of(flow, name)

    def text(self, event: Any) -> str:
        """Return the words of a line, one a line: what keywords of Sigma are searched in."""
        return "\n".join(event.words[:-1])


class VpcFlow(Connector):
    """VPC flow logs, one line a flow."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource("aws", "", "vpcflow"),
        LogSource("", "firewall", ""),
        LogSource("aws", "network_connection", ""),
    )
    destinations: ClassVar[tuple[str, ...]] = ("pkt-dstaddr", "dstaddr")
    readers: ClassVar[dict[str, str]] = {"logs": "connectors._aws.logs:LogEvents"}

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the lines of a message, each with the header above it.

        Raises
        ------
        DecodeError
            Reason ``empty``: there are none; or what a subscription cannot be unpacked for.
        """
        inside = messages(value)
        if inside is not None:
            return [line for message in inside for line in self.split(message)]
        lines = [line for line in value.splitlines() if line and not line.isspace()]
        if not lines:
            raise DecodeError("empty", "expected lines of a flow log, found nothing")
        if not is_header(lines[0]):
            return lines
        header = lines[0] + b"\n"
        return [header + line for line in lines[1:]]

    def decoder(self, fields: frozenset[str]) -> Decoder:
        """Return the decoder; it needs no list of the fields."""
        return FlowDecoder()

    def summarise(self, event: Any) -> Summary:
        """Return the columns of a line.

        Raises
        ------
        MappingError
            Reason ``missing_field`` or ``timestamp``.
        """
        words = event.words
        inner, outer, interface, instance, direction, start, action, log, protocol, port, region = (
            "" if (word := words[place]) == "-" else word for place in event.layout.core
        )
        source = inner or outer
        if not (source or interface or instance):
            raise MappingError(
                "missing_field",
                "expected srcaddr or interface-id in a flow log, found neither; add them to "
                "the flow log's format",
            )
        activity_id, status_id = _STATUS.get(action, (_UNKNOWN, 0))
        if direction == "egress":
            entity = instance or interface or source
        else:
            entity = source or interface or instance
        return Summary(
            None,
            self._times.get(start) or self._time(start),
            NETWORK_ACTIVITY,
            activity_id,
            status_id,
            _INFORMATIONAL,
            entity,
            action or log,
            _service(protocol, port),
            source,
            "",
            region,
        )

    def _time(self, start: str) -> int:
        """Return milliseconds since the epoch, and remember them."""
        when = milliseconds(number(start, 10**11 - 1) if start else None, "start")
        if len(self._times) >= _MEMO:
            self._times.clear()
        self._times[start] = when
        return when

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one line to Network Activity."""
        flow = decode(unit)
        summary = self.summarise(flow)
        event = build(flow, summary)
        if "src_endpoint" not in event and "dst_endpoint" not in event:
            # The interface or address is no more than a word.
            event["src_endpoint"] = {"name": summary.entity}
        return event


@lru_cache(maxsize=65_536)
def _service(protocol: str, port: str) -> str:
    """Return what was talked to, ``tcp/443``; only the protocol where the port is a client's."""
    kind = number(protocol, 255)
    if kind is None:
        return ""
    name = PROTOCOLS.get(kind, protocol)
    where = number(port, 65_535)
    return f"{name}/{where}" if where and where < _EPHEMERAL else name
