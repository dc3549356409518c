"""Falco: what its rules saw in system calls, and in the logs that its plug-ins read.

Takes Falco's JSON (``json_output: true``): a file or standard output (a line an alert), and
its HTTP output, which Falcosidekick's webhook has the form of too::

    json_output: true
    http_output: {enabled: true, url: "https://falco:TOKEN@sentinel.example.com:8443/"}

where an input of the source ``falco`` with the reader ``http`` listens: its token is the
password, as Falco cannot send a header of its own.

Falco's gRPC output is not read: Falco 0.43 deprecated it and 0.44 has it no more, in favour of
HTTP; no client for Python is on PyPI; and what it carried is the same alert.

An alert needs ``rule`` and a time. Only Falcosidekick gives it an id (``uuid``): others get
theirs from where they were read. A field of the alert is ``output_fields.proc.name``, or
``proc.name`` for short. What Falco says of its own state, other than that it dropped system
calls, is a Base Event and no finding.

Source: Falco documentation, "Output formatting" and "Falco alerts".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from connectors._falco import ocsf_map
from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.fields import Fields
from connectors._json.objects import address, text, texts
from connectors._json.times import milliseconds, moment
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import BASE_EVENT, DETECTION_FINDING, OTHER
from sentinel.errors import MappingError

_SEVERITY: Final = {
    "emergency": 6,
    "alert": 5,
    "critical": 5,
    "error": 4,
    "warning": 3,
    "notice": 2,
    "informational": 1,
    "info": 1,
    "debug": 1,
}
_CREATE, _NEW, _UNKNOWN = 1, 1, 0
_INTERNAL: Final = "Falco internal:"
_BLIND: Final = "drop"  # Falco internal: syscall event drop
_OUT: Final = "output_fields"
_USERS: Final = ("ka.user.name", "ct.user", "okta.actor.alternateID", "github.user")
_SOURCES: Final = ("fd.cip", "ct.srcip", "ka.sourceips")
_AGENTS: Final = ("ka.useragent", "ct.useragent", "proc.pexepath", "proc.pname")
_HOST_USERS: Final = ("user.name", "user.uid")
_WANTED: Final = (*_USERS, *_HOST_USERS, *_SOURCES, *_AGENTS)


class Falco(JsonConnector):
    """Alerts of Falco, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="falco", service="falco"),)
    product: ClassVar[Mapping[str, Any]] = {"name": "Falco", "vendor_name": "The Falco Project"}
    reads: ClassVar[frozenset[str]] = frozenset(
        {"hostname", "priority", "rule", "source", "time", "uuid"}
    )
    looks_into: ClassVar[frozenset[str]] = frozenset({_OUT})
    own: ClassVar[frozenset[str]] = frozenset({"time", "uuid", _OUT})

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder; the fields of an alert have dots in their names."""
        made = super().decoder(fields)
        whole = made.plain(_OUT)
        for field in fields:
            name = field.removeprefix(f"{_OUT}.")
            if "." in name:
                made.compute(field, _inside(whole, name))
        return made

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time; where the time is damaged, that of the event behind it."""
        when = moment(event.get("time"))
        if when is None:
            when = milliseconds(_out(event).get("evt.time") or event.get("time"), "time")
        return event.text("uuid") or None, when

    def besides(self, event: View) -> Any:
        """Return what the columns are made of, of the fields that the rule asked for."""
        return list(map(_out(event).get, _WANTED))

    def columns_of(self, event: View) -> Summary:
        """Return the columns; who acted is the user of the host, or of the log that Falco read."""
        rule = event.text("rule")
        if not rule:
            raise MappingError("missing_field", "expected the text rule of a Falco alert")
        out = _out(event)
        inside = rule.startswith(_INTERNAL) and _BLIND not in rule
        host = event.text("hostname")
        native_id, when = self.identity_of(event)
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=BASE_EVENT if inside else DETECTION_FINDING,
            activity_id=OTHER if inside else _CREATE,
            status_id=_UNKNOWN if inside else _NEW,
            severity_id=_SEVERITY.get(event.text("priority").lower(), _UNKNOWN),
            entity=_entity(out, host),
            operation=rule,
            service=event.text("source") or "syscall",
            src_ip=_source(out),
            user_agent=_first(out, _AGENTS),
            region=host,
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the finding and its evidence; see `connectors._falco.ocsf_map`."""
        return ocsf_map.objects(fields, summary)


def _out(event: View) -> dict[str, Any]:
    found = event.get(_OUT)
    return found if found.__class__ is dict else {}


def _first(out: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:  # not a generator: this runs several times an event
        value = out.get(name)
        if value is not None and (found := text(value)) not in ocsf_map.NOT_THERE:
            return found
    return ""


def _entity(out: dict[str, Any], host: str) -> str:
    """Return the user of an audit log, else ``host/user``, else the host."""
    if acting := _first(out, _USERS):
        return acting
    user = _first(out, _HOST_USERS)
    return f"{host}/{user}" if host and user else host or user


def _source(out: dict[str, Any]) -> str:
    """Return where it came from, as far as the rule asked for it."""
    for name in _SOURCES:
        value = out.get(name)
        if value is not None:
            for each in texts(value):
                if found := address(each):
                    return found
    return ""


def _inside(whole: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    def find(event: Any) -> Any:
        found = whole(event)
        return found.get(name) if found.__class__ is dict else None

    return find
