"""Azure resource logs: what was done inside a vault, a storage account, a database.

Takes what diagnostic settings write of any service to Event Hubs and storage (the common
schema: ``time``, ``resourceId``, ``operationName``, ``category``, ``properties``; with
``{"records": […]}`` or as lines), and rows of the tables ``StorageBlobLogs`` (and its like for
files, queues and tables) and ``AzureDiagnostics``. Storage and SQL audit are Datastore
Activity; Key Vault and all else is API Activity.

Sources: Microsoft, "Common and service-specific schemas for Azure resource logs", "Azure Key
Vault logging", "Azure Blob Storage monitoring data reference", "SQL Database audit log format".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._azure import resource_log
from connectors._azure.activity import who
from connectors._azure.objects import SEVERITY
from connectors._azure.spellings import everywhere
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.records import bare, opened
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from sentinel.errors import MappingError

_STATUS: Final = {
    **dict.fromkeys(("success", "succeeded", "ok", "true"), 1),
    **dict.fromkeys(("failure", "failed", "clienterror", "servererror", "false"), 2),
}
_UPN: Final = "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s"
_ERROR: Final = 400


class AzureResource(JsonConnector):
    """Resource logs of Azure services, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="azure", service="resourcelogs"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "azure-monitor": "connectors._azure.reading.monitor:MonitorReader",
        "event-hubs": "connectors._azure.reading.event_hubs:EventHubsReader",
        "storage": "connectors._azure.reading.blobs:BlobReader",
    }
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Azure resource logs",
        "vendor_name": "Microsoft",
    }
    envelope: ClassVar[Envelope] = Envelope(lists=("records",))
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    idents: ClassVar[tuple[str, ...]] = ("properties.event_id",)
    times: ClassVar[tuple[str, ...]] = ("time", "TimeGenerated")
    reads: ClassVar[frozenset[str]] = frozenset(
        {"time", "TimeGenerated", "operationName", "OperationName", "operationname", "category"}
        | {"Category", "resultType", "ResultType", "resulttype", "statusCode", "StatusCode"}
        | {"properties.httpStatusCode", "properties.succeeded", "properties.action_name"}
        | {"properties.server_principal_name", "properties.client_ip", "properties.clientInfo"}
        | {"properties.userAgentHeader", "UserAgentHeader", "identity.claim", "identity.claims"}
        | {"identity.requester.upn", "identity.requester.objectId", "RequesterUpn"}
        | {"RequesterObjectId", _UPN, "callerIpAddress", "CallerIpAddress", "CallerIPAddress"}
        | {"calleripaddress", "level", "Level", "location", "Location", "resourceId"}
        | {"resourceid", "_ResourceId", "ResourceId", "properties.event_id", "clientInfo_s"}
        | {"statusText", "StatusText", "httpStatusCode_d"}
    )

    def spellings(self, field: str) -> Sequence[str]:
        """Return the names of `field` in the other spellings."""
        return everywhere(field)

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is whom the token names, else the database's login."""
        text, get = event.text, event.get
        category = text("category", "Category")
        operation = text("properties.action_name", "operationName", "OperationName")
        operation = operation or text("operationname") or category
        if not operation:
            problem = (
                "expected operationName or category, found neither; send what Azure's "
                "diagnostic settings write"
            )
            raise MappingError("missing_field", problem)
        class_uid, activity_id = resource_log.classify(category, operation)
        resource = text("resourceId", "_ResourceId", "ResourceId", "resourceid")
        address = text("callerIpAddress", "CallerIpAddress", "CallerIPAddress", "calleripaddress")
        agent = text("properties.userAgentHeader", "UserAgentHeader", "properties.clientInfo")
        return Summary(
            text("properties.event_id") or None,
            milliseconds(get("time") or get("TimeGenerated"), "time or TimeGenerated"),
            class_uid,
            activity_id,
            _status(event),
            SEVERITY.get(text("level", "Level"), 1),
            _entity(event),
            operation,
            _provider(resource),
            bare(address or text("properties.client_ip")),
            agent or text("clientInfo_s"),
            text("location", "Location"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._azure.resource_log`."""
        return resource_log.objects(fields, summary)


def _entity(event: View) -> str:
    said = event.text(
        *("properties.server_principal_name", "identity.requester.upn", "RequesterUpn", _UPN)
    )
    if not said:
        said = who(opened(event.get("identity.claim") or event.get("identity.claims")))
    return said or event.text("identity.requester.objectId", "RequesterObjectId")


def _status(event: View) -> int:
    """Return OCSF's status: of the code that HTTP answered with, else of the result."""
    code = event.text("statusCode", "properties.httpStatusCode", "StatusCode", "httpStatusCode_d")
    if code.isdigit():
        return 2 if int(code[:4]) >= _ERROR else 1
    result = event.get("properties.succeeded")
    if result is None:
        result = event.text("resultType", "ResultType", "resulttype")
        result = result or event.text("statusText", "StatusText")
    return _STATUS.get(str(result).lower(), 0)


def _provider(resource: str) -> str:
    """Return the provider in a resource's id (``MICROSOFT.KEYVAULT``), or nothing."""
    head, _, rest = resource.rpartition(
        "/providers/" if "/providers/" in resource else "/PROVIDERS/"
    )
    return rest.partition("/")[0] if head else ""
