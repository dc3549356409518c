"""The Entra ID audit log: who changed what in the directory.

Takes what people already have: Microsoft Graph's ``directoryAudit`` (an answer with its
``value``, or one), what diagnostic settings write (category ``AuditLogs``), and rows of the
table ``AuditLogs``. Classes follow the activity (`connectors._azure.directory`).

Sources: Microsoft, "directoryAudit resource type" (Graph), "Microsoft Entra audit log
categories and activities", and the reference of the table ``AuditLogs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._azure import audit
from connectors._azure.directory import classify
from connectors._azure.entra import Spelled, canonical
from connectors._azure.spellings import AUDIT, everywhere
from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.objects import items, text
from connectors._json.records import bare, opened
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from sentinel.errors import MappingError

_INFORMATIONAL: Final = 1
_STATUS: Final = {"success": 1, "failure": 2, "timeout": 2, "clienterror": 2}
_SPELLED: Final = Spelled(
    *("activityDisplayName", "operationName", "loggedByService"),
    *("result", "userAgent", "initiatedBy.user.userPrincipalName", "initiatedBy.user.id"),
    *("initiatedBy.user.displayName", "initiatedBy.app.displayName", "initiatedBy.app.appId"),
    *("initiatedBy.app.servicePrincipalId", "initiatedBy.user.ipAddress"),
    own=("id", "activityDateTime"),
)
_CONSENT: Final = "ConsentContext.IsAdminConsent"
_TARGETS: Final = ("targetResources", "properties.targetResources", "TargetResources")


class AzureAudit(JsonConnector):
    """Events of the Entra ID audit log, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="azure", service="auditlogs"),)
    readers: ClassVar[Mapping[str, str]] = {
        "azure-monitor": "connectors._azure.reading.monitor:MonitorReader",
        "event-hubs": "connectors._azure.reading.event_hubs:EventHubsReader",
        "graph": "connectors._azure.reading.graph:GraphReader",
    }
    product: ClassVar[Mapping[str, Any]] = {"name": "Entra ID", "vendor_name": "Microsoft"}
    envelope: ClassVar[Envelope] = Envelope(lists=("records", "value"))
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    reads: ClassVar[frozenset[str]] = frozenset(
        {*_SPELLED.paths(), "operationName", "operationname", "result", "resultType"}
        | {"callerIpAddress", "calleripaddress"}
    )
    own: ClassVar[frozenset[str]] = _SPELLED.own()

    def spellings(self, field: str) -> Sequence[str]:
        """Return the names of `field` in the other spellings."""
        return AUDIT.get(field) or everywhere(field)

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder; what a consent covers stands among the modified properties."""
        wanted = frozenset(_TARGETS) if _CONSENT in fields else frozenset[str]()
        made = super().decoder(fields | wanted)
        if wanted:
            ways = [made.plain(path) for path in _TARGETS]
            made.compute(_CONSENT, lambda event: _modified(event, ways))
        return made

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time, as the event's spelling calls them."""
        at, get = _SPELLED.of(event), event.get
        when = get(at["activityDateTime"]) or get("time") or get("TimeGenerated")
        problem = "activityDateTime, time or TimeGenerated"
        return event.text(at["id"]) or None, milliseconds(when, problem)

    def besides(self, event: View) -> str:
        """Return which spelling the event has: its times tell."""
        return _SPELLED.of(event)["id"]

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is the user who acted, else the application."""
        at = _SPELLED.of(event)
        text = event.text
        operation = text(at["activityDisplayName"], at["operationName"])
        operation = operation or text("operationName", "operationname")
        if not operation:
            problem = (
                "expected activityDisplayName or operationName, found neither; "
                "send Entra ID's audit logs"
            )
            raise MappingError("missing_field", problem)
        user, app = "initiatedBy.user.", "initiatedBy.app."
        entity = text(at[user + "userPrincipalName"], at[user + "id"], at[user + "displayName"])
        app_paths = (at[app + "displayName"], at[app + "servicePrincipalId"], at[app + "appId"])
        result = text(at["result"], "result", "resultType").lower()
        class_uid, activity_id = classify(operation)
        address = text(at[user + "ipAddress"], "callerIpAddress", "calleripaddress")
        return Summary(
            *self.identity_of(event),
            class_uid,
            activity_id,
            _STATUS.get(result, 0),
            _INFORMATIONAL,
            entity or text(*app_paths),
            operation,
            text(at["loggedByService"]),
            bare(address),
            text(at["userAgent"]),
            "",
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._azure.audit`."""
        fields.record = canonical(fields.record)
        return audit.objects(fields, summary)


def _modified(event: Any, ways: Sequence[Callable[[Any], Any]]) -> list[str] | None:
    """Return what `_CONSENT` was changed to."""
    for way in ways:
        targets = items(opened(way(event)))
        rows = [row for one in targets for row in items(one.get("modifiedProperties"))]
        if found := [text(r.get("newValue")) for r in rows if r.get("displayName") == _CONSENT]:
            return [value.strip('"') for value in found]
    return None
