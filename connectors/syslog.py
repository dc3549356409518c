"""Syslog: what Linux, its services, and network devices log in words.

Takes messages of RFC 5424 and RFC 3164, one a line or octet-counted (RFC 6587), from files
(``/var/log/auth.log``), sockets, HTTP or Kafka; `connectors._syslog.message` says how a year
and a zone that are missing are filled in. The words of sshd, sudo, su, cron, login, logind,
PAM and the programs of shadow are understood (`connectors._syslog.meaning`); every other
message is a Base Event with its text, which keywords of rules are searched in.

Rules of a service (sshd, cron …) are asked of all messages: their keywords tell them apart.

Sources: RFC 5424, RFC 3164, RFC 6587.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, NamedTuple

from connectors._syslog import ocsf_map
from connectors._syslog.frame import messages
from connectors._syslog.meaning import AUDIT_LOST, Meaning, meaning
from connectors._syslog.message import Message, parse, severity_id
from connectors.base import OCSF, Connector, LogSource, Summary
from schemas.ocsf import AUTHENTICATION, GROUP_MANAGEMENT
from sentinel.errors import DecodeError

#: Services that public rules of product linux name, and that log to syslog.
_SERVICES: Final = (
    *("", "auth", "clamav", "cron", "guacamole", "sshd", "sudo", "syslog", "vsftpd"),
)
_OWN: Final = {
    "app_name": "app",
    "facility": "facility",
    "host": "host",
    "hostname": "host",
    "message": "text",
    "msg": "text",
    "msgid": "message_id",
    "pid": "pid",
    "procid": "pid",
    "program": "app",
    "severity": "severity",
}
_DATA: Final = "structured_data."
_LOW, _HIGH = 2, 4


class Line(NamedTuple):
    """A decoded message and what it means."""

    message: Message
    meaning: Meaning


class SyslogDecoder:
    """Decodes one message; its fields are those of its header and those its words name."""

    def decode(self, unit: bytes) -> Line:
        """Decode; raise `DecodeError` or `MappingError` as `connectors._syslog.message.parse`."""
        message = parse(unit)
        return Line(message, meaning(message.app, message.text))

    def getter(self, field: str) -> Callable[[Any], Any]:
        """Return a function to a field of the header, of structured data, or of the words."""
        if field in _OWN:
            name = _OWN[field]
            return lambda line: getattr(line.message, name)
        if field.startswith(_DATA):
            element, _, parameter = field.removeprefix(_DATA).rpartition(".")
            return lambda line: line.message.data.get(element, {}).get(parameter)
        return lambda line: line.meaning.found.get(field)

    def text(self, event: Any) -> str:
        """Return what keywords are searched in: program and text."""
        message: Message = event.message
        return f"{message.app}: {message.text}"


class Syslog(Connector):
    """Messages of syslog, one a line or octet-counted."""

    logsources: ClassVar[tuple[LogSource, ...]] = tuple(
        LogSource(product="linux", service=service) for service in _SERVICES
    )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the messages; raise DecodeError ``empty`` where there is none."""
        found = messages(value)
        if not found:
            raise DecodeError("empty", "expected syslog messages, found nothing")
        return found

    def decoder(self, fields: frozenset[str]) -> SyslogDecoder:
        """Return a decoder; it needs no list of the fields."""
        return SyslogDecoder()

    def summarise(self, event: Any) -> Summary:
        """Return the columns; who acted is ``host/user``, or the program where none is named."""
        message, read = event
        found = read.found
        failed = read.class_uid == AUTHENTICATION and read.status_id == 2
        level = severity_id(message.severity)
        if read.operation == AUDIT_LOST:
            level = _HIGH
        who = found.get("by") or (
            "" if read.class_uid == GROUP_MANAGEMENT else found.get("user", "")
        )
        host = message.host
        return Summary(
            native_id=None,
            time=message.time,
            class_uid=read.class_uid,
            activity_id=read.activity_id,
            status_id=read.status_id,
            severity_id=max(level, _LOW) if failed else level,
            entity=f"{host}/{who or message.app}".strip("/"),
            operation=read.operation,
            service=message.app,
            src_ip=found.get("ip") or found.get("rhost", ""),
            user_agent=found.get("tty", ""),
            region=host,
        )

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one message to OCSF."""
        line = SyslogDecoder().decode(unit)
        return ocsf_map.build(line.message, line.meaning, self.summarise(line))

    def partition_key(self, unit: bytes) -> bytes | None:
        """Return None: a message stands for itself."""
        return None
