"""Google Cloud audit logs: admin activity, data access, system events, policy denied.

Takes what people already have: log entries of Cloud Logging, alone, as lines, as the answer of
``entries:list``, and as Pub/Sub pushes and pulls of a sink. Sign-ins of Workspace accounts
(``login.googleapis.com``) are Authentication, service accounts' changes Account Change, what
gives or takes roles User Access, everything else API Activity.

The id is ``insertId`` with the time, which Google says are unique together.

Sources: Google Cloud, "AuditLog", "LogEntry", "Audit logs for Google Workspace".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._google import audit
from connectors._google.classes import classify
from connectors._google.envelope import GoogleEnvelope
from connectors._google.objects import SEVERITY
from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.fields import Fields
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING
from sentinel.errors import MappingError

_ENVELOPE: Final = GoogleEnvelope(lists=("entries",), inner=("data",))
_P: Final = "protoPayload."
_DELTAS: Final = f"{_P}serviceData.policyDelta.bindingDeltas.action"
_SPELLINGS: Final = {
    "data.protoPayload.resource.type": ("resource.type",),
    "gcp.audit.method_name": (f"{_P}methodName",),
    "gcp.audit.service_name": (f"{_P}serviceName",),
    "protoPayload.Servicename": (f"{_P}serviceName",),
    "protoPayload.metadata.event.eventName": (f"{_P}metadata.event.eventName",),
    "eventService": (f"{_P}serviceName",),
    "eventName": (f"{_P}metadata.event.eventName",),
    "setting_name": (f"{_P}metadata.event.parameter.value",),
    "new_value": (f"{_P}metadata.event.parameter.value",),
}
_LOG: Final = "data.protoPayload.logName"
_EVENTS: Final = f"{_P}metadata.event"
#: How Workspace names the parameters of its events (``ROLE_NAME``); no field of an entry is so.
_PARAMETER: Final = re.compile("[A-Z][A-Z0-9_]+")


class GcpAudit(JsonConnector):
    """Audit log entries of Google Cloud, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="gcp", service="gcp.audit"),
        LogSource(product="gcp", service="google_workspace.admin"),
        LogSource(product="gcp", service="google_workspace.login"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "logging": "connectors._google.reading.entries:EntriesReader",
        "pubsub": "connectors._google.reading.pubsub:PubSubReader",
    }
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Google Cloud Audit Logs",
        "vendor_name": "Google",
    }
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    own: ClassVar[frozenset[str]] = frozenset({"insertId", "timestamp", "receiveTimestamp"})
    reads: ClassVar[frozenset[str]] = frozenset(
        {"insertId", "timestamp", "receiveTimestamp", "severity", "logName", _DELTAS}
        | {"resource.labels.location", "resource.labels.region", "resource.labels.zone"}
        | {f"{_P}{name}" for name in ("serviceName", "methodName", "status.code")}
        | {f"{_P}authenticationInfo.{name}" for name in ("principalEmail", "principalSubject")}
        | {f"{_P}requestMetadata.{name}" for name in ("callerIp", "callerSuppliedUserAgent")}
    )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the entries of a message; see `connectors._google.envelope`."""
        return _ENVELOPE.cut(value)

    def spellings(self, field: str) -> Sequence[str]:
        """Return what an entry calls a `field` that rules name as their pipelines do."""
        return _SPELLINGS.get(field) or (
            (field.removeprefix("data."),) if field.startswith("data.") else ()
        )

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder; rules name a log without its project, parameters by their names."""
        named = {field for field in fields if _PARAMETER.fullmatch(field)}
        made = super().decoder(fields | {_EVENTS} if named else fields)
        for field in named:
            made.compute(field, _parameter(made.plain(_EVENTS), field))
        log = made.plain("logName")
        made.compute(_LOG, lambda event: _log_names(log(event)))
        return made

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: an ``insertId`` is of one log and time alone."""
        found = event.get("timestamp") or event.get("receiveTimestamp")
        uid, when = event.text("insertId"), milliseconds(found, "timestamp")
        return f"{uid}@{when}" if uid else None, when

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is the principal's address, else its subject."""
        text, get = event.text, event.get
        service, method = text(_P + "serviceName"), text(_P + "methodName")
        if not service and not method:
            problem = (
                "expected protoPayload with serviceName and methodName, found neither; "
                "send entries of Cloud Audit Logs"
            )
            raise MappingError("missing_field", problem)
        deltas = get(_DELTAS)
        delta = ""
        if deltas:
            delta = "ADD" if "ADD" in deltas else "REMOVE"
        class_uid, activity_id = classify(service, method, delta)
        who = _P + "authenticationInfo."
        return Summary(
            *self.identity_of(event),
            class_uid,
            activity_id,
            1 if class_uid == DETECTION_FINDING else _status(event, method),
            SEVERITY.get(text("severity"), 1),
            text(who + "principalEmail", who + "principalSubject"),
            method or service,
            service,
            text(_P + "requestMetadata.callerIp"),
            text(_P + "requestMetadata.callerSuppliedUserAgent"),
            text("resource.labels.location", "resource.labels.region", "resource.labels.zone"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the entry's class; see `connectors._google.audit`."""
        return audit.objects(fields, summary)


def _status(event: View, method: str) -> int:
    """Return OCSF's status: a code other than 0 is a failure, and so is what policy denied."""
    code = event.get(_P + "status.code")
    failed = code not in (None, 0, "0") or method.endswith("loginFailure")
    return 2 if failed or event.text("logName").endswith("%2Fpolicy") else 1


def _log_names(name: Any) -> list[str] | None:
    """Return a log's name whole, and without its project, as it stands and decoded."""
    if not isinstance(name, str):
        return None
    short = name.rpartition("/logs/")[2]
    return [name, short, short.replace("%2F", "/")]


def _parameter(events: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """Return a function from a decoded entry to a parameter of Workspace's events in it."""

    def find(event: Any) -> Any:
        return audit.parameters({"metadata": {"event": events(event)}}).get(name)

    return find
