"""Linux audit (auditd): records of ``audit.log``, put together to events, mapped to OCSF.

A message of ``raw.auditd`` is one line of an audit log or several, as written by auditd, by
its dispatcher to syslog, or by the kernel log; plain or enriched. The records of an event may
arrive in any order and between those of others (`connectors._auditd.assembler`).

The native id is ``node:seconds.fraction:serial``. Serials start anew with every boot, the
time tells those apart. `node` is empty unless auditd writes it (``name_format = hostname``):
hosts without it that share a tenant can collide, so set it wherever there is more than one.

Sources: ``linux/audit.h``; audit userspace (``auparse``); go-libaudit's golden files are the
oracle of the tests. OCSF classes: `connectors._auditd.classes`. Sigma fields:
`connectors._auditd.fields`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from connectors._auditd import classes, ocsf_map
from connectors._auditd import fields as sigma
from connectors._auditd.assembler import AuditAssembler
from connectors._auditd.event import MARK, Event, decode
from connectors._auditd.record import head, lines_of
from connectors.base import OCSF, Assembler, Connector, Decoder, LogSource, Summary
from sentinel.errors import DecodeError


class AuditDecoder:
    """Decodes the lines of one event; reads every field on demand, so all are in use."""

    def decode(self, unit: bytes) -> Event:
        """Read the lines of one event; raise DecodeError or MappingError where they are none."""
        return decode(unit)

    def getter(self, field: str) -> Callable[[Any], Any]:
        """Return the function that reads a Sigma field; see `connectors._auditd.fields`."""
        return sigma.getter(field)

    def text(self, event: Any) -> str:
        """Return all text of an event, decoded: what keywords of Sigma are searched in."""
        return "\n".join(sigma.everything(event))


class Auditd(Connector):
    """The connector; its units are lines until the assembler made events of them."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource("linux", "", "auditd"),
        LogSource("linux", sigma.PROCESS, ""),
        LogSource("linux", sigma.FILE, ""),
        LogSource("linux", sigma.NETWORK, ""),
    )

    #: In place of the common ones: with names for users, and a watchdog over lost records.
    readers: ClassVar[Mapping[str, str]] = {
        "tail": "connectors._auditd.watch.readers:AuditTail",
        "unix": "connectors._auditd.watch.readers:AuditUnix",
    }

    def split(self, value: bytes) -> Iterable[bytes]:
        """Cut a message into lines; raise DecodeError where there is none or a NUL in one."""
        lines = [line for line in lines_of(value) if not line.startswith(MARK)]
        if not lines:
            raise DecodeError("empty", "expected lines of an audit log, found nothing")
        return lines

    def assembler(self) -> Assembler:
        """Return a new assembler, for one partition."""
        return AuditAssembler()

    def decoder(self, fields: frozenset[str]) -> Decoder:
        """Return the decoder; it needs no list of the fields."""
        return AuditDecoder()

    def summarise(self, event: Any) -> Summary:
        """Return the columns of a decoded event."""
        return classes.summarise(event)

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map the lines of one event to OCSF; raise DecodeError or MappingError."""
        return ocsf_map.to_ocsf(decode(unit))

    def partition_key(self, unit: bytes) -> bytes | None:
        """Return the host, whose records have to stay together; None where it is not named."""
        found = head(unit)
        return found.node or None if found else None
