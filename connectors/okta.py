"""Okta's system log: who signed in, and who changed what.

Takes what people already have: one event, the array that the API answers with, JSON lines,
an event hook's body (``data.events``) and Amazon EventBridge's ``detail``. The spelling in
lower case that data lakes make of the keys (``eventtype``) is understood too.

An event needs ``eventType`` and ``published``; without ``uuid`` it gets its id from its
place in Kafka.

Source: Okta Developer, "System Log API" and "Event types".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.times import milliseconds
from connectors._okta import ocsf_map
from connectors._okta.classes import classify
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING
from sentinel.errors import MappingError

#: What is neither stays unknown: a challenge has no outcome yet.
_STATUS: Final = {"SUCCESS": 1, "ALLOW": 1, "FAILURE": 2, "DENY": 2}
_NEW: Final = 1
_SEVERITY: Final = {"DEBUG": 1, "INFO": 1, "WARN": 3, "ERROR": 4}
#: EventBridge's and an event hook's envelope, and what is in the latter.
_OUTER: Final = Envelope(inner=("data", "detail"))
_INNER: Final = Envelope(lists=("events",))
#: Keys as data lakes write them, and as Okta does, at any depth.
_LOWER: Final = {
    name.lower(): name
    for name in (
        *("authenticationContext", "debugContext", "displayMessage", "eventType"),
        *("legacyEventType", "securityContext", "alternateId", "displayName", "detailEntry"),
        *("ipAddress", "userAgent", "rawUserAgent", "geographicalContext", "postalCode"),
        *("ipChain", "externalSessionId", "rootSessionId", "authenticationStep"),
        *("authenticationProvider", "credentialProvider", "credentialType", "debugData"),
        *("requestUri", "requestId", "threatSuspected", "asNumber", "asOrg", "isProxy"),
        *("changeDetails", "dtHash", "deviceFingerprint", "logOnlySecurityData"),
    )
}
_DEPTH: Final = 8
_COUNTRY: Final = (
    "client.geographicalContext.country",
    "client.geographicalcontext.country",
)


class Okta(JsonConnector):
    """Events of Okta's system log, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="okta", service="okta"),)
    product: ClassVar[Mapping[str, Any]] = {"name": "Okta", "vendor_name": "Okta"}
    readers: ClassVar[Mapping[str, str]] = {"system-log": "connectors._okta.reader:OktaReader"}
    idents: ClassVar[tuple[str, ...]] = ("uuid",)
    times: ClassVar[tuple[str, ...]] = ("published",)
    reads: ClassVar[frozenset[str]] = frozenset(
        {"actor.alternateId", "actor.id", "client.geographicalContext.country"}
        | {"client.ipAddress", "client.userAgent.rawUserAgent", "eventType", "eventtype"}
        | {"outcome.result", "published", "severity", "uuid", "actor.alternateid"}
        | {"client.geographicalcontext.country", "client.ipaddress"}
        | {"client.useragent.rawuseragent"}
    )

    def spellings(self, field: str) -> Sequence[str]:
        """Return the field as data lakes spell it."""
        return (field.lower(),) if field != field.lower() else ()

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the events of a message; envelopes are looked for where their keys occur."""
        if b'"detail-type"' in value or b'"events"' in value:
            return [event for part in _OUTER.cut(value) for event in _INNER.cut(part)]
        return super().split(value)

    def columns_of(self, event: View) -> Summary:
        """Return the columns; a system's own event has its actor's id for an entity."""
        text = event.text
        operation = text("eventType", "eventtype")
        if not operation:
            raise MappingError("missing_field", "expected the text eventType, found none")
        class_uid, activity_id = classify(operation)
        login = text("actor.alternateId", "actor.alternateid")
        finding = class_uid == DETECTION_FINDING
        return Summary(
            native_id=text("uuid") or None,
            time=milliseconds(event.get("published"), "published"),
            class_uid=class_uid,
            activity_id=activity_id,
            status_id=_NEW if finding else _STATUS.get(text("outcome.result"), 0),
            severity_id=_SEVERITY.get(text("severity"), 0),
            entity=login if login and login != "unknown" else text("actor.id"),
            operation=operation,
            service="okta",
            src_ip=text("client.ipAddress", "client.ipaddress"),
            user_agent=text("client.userAgent.rawUserAgent", "client.useragent.rawuseragent"),
            region=text(*_COUNTRY),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._okta.ocsf_map`."""
        if "eventtype" in fields.record:
            _respell(fields.record, _DEPTH)
        return ocsf_map.objects(fields, summary)


def _respell(value: Any, depth: int) -> None:
    """Give keys in lower case the names that Okta has for them, in place."""
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, dict):
            for lower in _LOWER.keys() & each.keys():
                each.setdefault(_LOWER[lower], each.pop(lower))
            if depth:
                for inner in each.values():
                    _respell(inner, depth - 1)
