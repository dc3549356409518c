"""The Azure activity log: who did what to the resources of a subscription.

Takes what people already have: the events of the REST API (an answer with its ``value``, or
one), what diagnostic settings write to Event Hubs and storage (``{"records": […]}``, or
lines), and rows of the table ``AzureActivity``. ``operationName`` may be text or an object
with ``value``; claims may be an object or JSON text.

An event needs a time (``eventTimestamp``, ``time`` or ``TimeGenerated``) and an operation;
without ``eventDataId`` it gets its id from its place.

Sources: Microsoft, "Azure Activity Log event schema", "Activity Logs - List" and the table
reference of ``AzureActivity``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._azure import activity
from connectors._azure.objects import SEVERITY
from connectors._azure.operations import classify
from connectors._azure.spellings import ACTIVITY, everywhere
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.records import bare, opened
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from sentinel.errors import MappingError

_STATUS: Final = {
    **dict.fromkeys(("success", "succeeded", "resolved"), 1),
    **dict.fromkeys(("failure", "failed"), 2),
}
_CREATED: Final = frozenset({"Created", "Created.", "201"})
_TIMES: Final = ("eventTimestamp", "time", "TimeGenerated")


class AzureActivity(JsonConnector):
    """Events of the Azure activity log, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="azure", service="activitylogs"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "azure-monitor": "connectors._azure.reading.monitor:MonitorReader",
        "event-hubs": "connectors._azure.reading.event_hubs:EventHubsReader",
    }
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Azure Activity Log",
        "vendor_name": "Microsoft",
    }
    envelope: ClassVar[Envelope] = Envelope(lists=("records", "value"))
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    idents: ClassVar[tuple[str, ...]] = ("eventDataId", "EventDataId")
    times: ClassVar[tuple[str, ...]] = ("eventTimestamp", "time", "TimeGenerated")
    reads: ClassVar[frozenset[str]] = frozenset(
        {*_TIMES, "eventDataId", "EventDataId", "caller", "Caller", "level", "Level"}
        | {"operationName", "OperationNameValue", "OperationName", "operationname"}
        | {"status", "resultType", "resulttype", "ActivityStatusValue", "subStatus.value"}
        | {"resultSignature", "ActivitySubstatusValue", "identity.claims", "claims", "Claims"}
        | {"callerIpAddress", "CallerIpAddress", "httpRequest.clientIpAddress", "calleripaddress"}
        | {"location", "resourceProviderName.value", "ResourceProviderValue"}
        | {"properties.userAgentHeader"}
    )

    def spellings(self, field: str) -> Sequence[str]:
        """Return the names of `field` in the log's other spellings."""
        return ACTIVITY.get(field) or everywhere(field)

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is the caller, or whom the token's claims name."""
        text, get = event.text, event.get
        operation = _value(get("operationName")) or text("OperationNameValue", "OperationName")
        operation = operation or text("operationname")
        if not operation:
            problem = "expected operationName (text, or an object with value), found none"
            raise MappingError("missing_field", problem)
        when = get("eventTimestamp") or get("time") or get("TimeGenerated")
        result = text("resultType", "ActivityStatusValue") or _value(get("status"))
        detail = text("subStatus.value", "ActivitySubstatusValue", "resultSignature")
        class_uid, activity_id = classify(operation, detail in _CREATED)
        entity = text("caller", "Caller")
        if not entity:
            claims = get("identity.claims") or get("claims") or get("Claims")
            entity = activity.who(opened(claims))
        result = (result or text("resulttype")).lower()
        address = text("callerIpAddress", "CallerIpAddress", "httpRequest.clientIpAddress")
        service = text("resourceProviderName.value", "ResourceProviderValue")
        return Summary(
            text("eventDataId", "EventDataId") or None,
            milliseconds(when, " or ".join(_TIMES)),
            class_uid,
            activity_id,
            _STATUS.get(result, 0),
            SEVERITY.get(text("level", "Level"), 0),
            entity,
            operation,
            service or operation.partition("/")[0],
            bare(address or text("calleripaddress")),
            text("properties.userAgentHeader"),
            text("location"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._azure.activity`."""
        return activity.objects(fields, summary)


def _value(value: Any) -> str:
    """Return a text, or the ``value`` of a localisable one."""
    if value.__class__ is dict:
        value = value.get("value")
    return value if value.__class__ is str else ""
