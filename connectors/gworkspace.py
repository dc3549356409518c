"""Google Workspace: activities of the Reports API, of every application that it has.

Takes an activity, an array or lines of them, and a page of the API (``items``). An activity
may hold several events, and each becomes an event here: see `connectors._gworkspace.activity`.
An activity needs ``id.time`` and an event with a name.

Public rules were written for the same events in Google Cloud's audit logs: ``eventName``,
``eventService`` and ``protoPayload.metadata.event.eventName`` are found here too, and any
other name without a dot is that of a parameter, in whatever case.

Source: Google Workspace Admin SDK, "Reports API: Activities".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._gworkspace import ocsf_map
from connectors._gworkspace.activity import first, parameters, single
from connectors._gworkspace.classes import classify, failed
from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.objects import text
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING
from sentinel.errors import MappingError

_SUCCESS, _FAILURE, _NEW = 1, 2, 1
_INFORMATIONAL, _MEDIUM, _CRITICAL = 1, 3, 5
_TOP: Final = frozenset({"actor", "etag", "events", "id", "ipAddress", "kind", "ownerDomain"})
_NAMES: Final = frozenset({"eventname", "metadata.event.eventname"})
_SERVICES: Final = frozenset({"eventservice", "servicename"})


class GWorkspace(JsonConnector):
    """Activities of Google Workspace, one event each."""

    logsources: ClassVar[tuple[LogSource, ...]] = tuple(
        LogSource(product="gcp", service=f"google_workspace.{application}")
        for application in ("admin", "drive", "groups", "login", "token", "user_accounts")
    )
    product: ClassVar[Mapping[str, Any]] = {"name": "Google Workspace", "vendor_name": "Google"}
    envelope: ClassVar[Envelope] = Envelope(lists=("items",))
    readers: ClassVar[Mapping[str, str]] = {
        "reports": "connectors._gworkspace.reader:ReportsReader"
    }
    own: ClassVar[frozenset[str]] = frozenset({"eventIndex", "id.time", "id.uniqueQualifier"})
    reads: ClassVar[frozenset[str]] = frozenset(
        {"actor.email", "actor.key", "actor.profileId", "eventIndex", "id.applicationName"}
        | {"id.time", "id.uniqueQualifier", "ipAddress", "networkInfo.regionCode"}
    )
    looks_into: ClassVar[frozenset[str]] = frozenset({"events"})

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the activities of a message, once for each of their events."""
        return [unit for activity in super().split(value) for unit in single(activity)]

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder that knows the fields of public rules, and parameters by name."""
        made = super().decoder(fields)
        events, application = made.plain("events"), made.plain("id.applicationName")
        for field in fields:
            name = field.lower().removeprefix("protopayload.")
            if name in _NAMES:
                made.compute(field, lambda event: first(events(event)).get("name"))
            elif name in _SERVICES:
                made.compute(field, lambda event: _service(application(event)))
            elif "." not in field and field not in _TOP:
                made.compute(field, _parameter(events, field.lower()))
        return made

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: those of the activity, and the event's place in it."""
        when = milliseconds(event.get("id.time"), "id.time")
        return _native_id(event, event.text("id.applicationName")), when

    def columns_of(self, event: View) -> Summary:
        """Return the columns; who acted is a user, or the key that a program came with."""
        found = first(event.get("events"))
        name, application = text(found.get("name")), event.text("id.applicationName")
        if not name:
            raise MappingError("missing_field", "expected an event with a name in events")
        visibility = ""
        if application == "drive":
            visibility = text(parameters(found).get("visibility_change"))
        class_uid, activity_id = classify(application, name, visibility)
        finding = class_uid == DETECTION_FINDING
        severity = _MEDIUM if finding else _INFORMATIONAL
        native_id, when = self.identity_of(event)
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=class_uid,
            activity_id=activity_id,
            status_id=_NEW if finding else _FAILURE if failed(name) else _SUCCESS,
            severity_id=_CRITICAL if name == "gov_attack_warning" else severity,
            entity=event.text("actor.email", "actor.profileId", "actor.key"),
            operation=name,
            service=_service(application) or "googleapis.com",
            src_ip=event.text("ipAddress"),
            user_agent="",
            region=event.text("networkInfo.regionCode"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._gworkspace.ocsf_map`."""
        return ocsf_map.objects(fields, summary)


def _service(application: Any) -> str | None:
    return f"{application}.googleapis.com" if application.__class__ is str else None


def _native_id(event: View, application: str) -> str | None:
    """Return application, time and qualifier, which are the activity's id, and the place in it."""
    qualifier = event.text("id.uniqueQualifier")
    if not qualifier:
        return None
    index = event.text("eventIndex")
    whole = f"{application}/{event.text('id.time')}/{qualifier}"
    return f"{whole}/{index}" if index not in ("", "0") else whole


def _parameter(events: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    def find(event: Any) -> Any:
        found = parameters(first(events(event)))
        value = next((found[key] for key in found if key.lower() == name), None)
        return value if value.__class__ in (str, int, bool, list) else None

    return find
