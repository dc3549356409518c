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
        return "\n".join(event.words)


class VpcFlow(Connector):
    """VPC flow logs, one line a flow."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource("aws", "", "vpcflow"),
        LogSource("", "firewall", ""),
        LogSource("aws", "network_connection", ""),
    )
    readers: ClassVar[dict[str, str]] = {"logs": "connectors._aws.logs:LogEvents"}

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
        get = event.get
        source, interface = get("pkt-srcaddr") or get("srcaddr"), get("interface-id")
        if not (source or interface or get("instance-id")):
            raise MappingError(
                "missing_field",
                "expected srcaddr or interface-id in a flow log, found neither; add them to "
                "the flow log's format",
            )
        start = get("start")
        when = milliseconds(number(start, 10**11 - 1) if start else None, "start")
        action = get("action")
        activity_id, status_id = _STATUS.get(action, (_UNKNOWN, 0))
        leaves = get("flow-direction") == "egress"
        entity = (get("instance-id") or interface or source) if leaves else (source or interface)
        return Summary(
            native_id=None,
            time=when,
            class_uid=NETWORK_ACTIVITY,
            activity_id=activity_id,
            status_id=status_id,
            severity_id=_INFORMATIONAL,
            entity=entity or get("instance-id"),
            operation=action or get("log-status"),
            service=_service(get("protocol"), get("dstport")),
            src_ip=source,
            user_agent="",
            region=get("region"),
        )

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one line to Network Activity."""
        flow = decode(unit)
        summary = self.summarise(flow)
        event = build(flow, summary)
        if "src_endpoint" not in event and "dst_endpoint" not in event:
            # The interface or address is no more than a word.
            event["src_endpoint"] = {"name": summary.entity}
        return event


def _service(protocol: str, port: str) -> str:
    """Return what was talked to, ``tcp/443``; only the protocol where the port is a client's."""
    kind = number(protocol, 255)
    if kind is None:
        return ""
    name = PROTOCOLS.get(kind, protocol)
    where = number(port, 65_535)
    return f"{name}/{where}" if where and where < _EPHEMERAL else name
