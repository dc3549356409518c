"""Microsoft 365's unified audit log: mail, files, teams, directory, alerts.

Takes what people already have: the content blobs of the Office 365 Management Activity API
(arrays of records), search results of PowerShell (``AuditData`` as JSON text), CSV exports of
the portal and of PowerShell, rows of the table ``OfficeActivity``, and records alone. Each
record becomes the class it is: sign-ins Authentication, changes of the directory as
`connectors._azure.directory` says, files File Hosting, mail Email Activity where an address
is known, alerts Detection Finding, cmdlets and the rest API Activity.

A record needs ``CreationTime`` and ``Operation``. Its own ``Id`` is the event's.

Source: Microsoft, "Office 365 Management Activity API schema".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import JsonDecoder, View
from connectors._json.fields import Fields
from connectors._json.objects import items, text
from connectors._json.records import bare
from connectors._json.times import milliseconds
from connectors._m365 import envelope, mail, ocsf_map
from connectors._m365.classes import classify
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import AUTHENTICATION, DETECTION_FINDING
from sentinel.errors import MappingError

_STATUS: Final = {
    **dict.fromkeys(("success", "succeeded", "true", "partiallysucceeded"), 1),
    **dict.fromkeys(("failed", "failure", "false", "failed_unauthorized"), 2),
}
_FINDING_STATUS: Final = {"Active": 1, "Investigating": 2, "Resolved": 4, "Dismissed": 3}
_SEVERITY: Final = {"Informational": 1, "Low": 2, "Medium": 3, "High": 4}
_INFORMATIONAL: Final = 1
#: What rows of the table ``OfficeActivity`` call the fields.
_COLUMNS: Final = {
    "OfficeWorkload": "Workload",
    "OfficeObjectId": "ObjectId",
    "OfficeId": "Id",
    "Client_IPAddress": "ClientIPAddress",
}
_SPELLINGS: Final = {
    "ApplicationId": ("AppId", "ClientAppId"),
    "Payload": ("Parameters", "NonPIIParameters"),
    "RequestType": (),
    "eventName": ("Name", "Operation"),
    "eventSource": ("Workload",),
}


class M365(JsonConnector):
    """Records of the unified audit log of Microsoft 365, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="m365", service="audit"),
        LogSource(product="m365", service="exchange"),
        LogSource(product="m365", service="threat_detection"),
        LogSource(product="m365", service="threat_management"),
    )
    readers: ClassVar[Mapping[str, str]] = {
        "azure-monitor": "connectors._azure.reading.monitor:MonitorReader",
        "activity-api": "connectors._m365.reader:ActivityReader",
    }
    product: ClassVar[Mapping[str, Any]] = {"name": "Microsoft 365", "vendor_name": "Microsoft"}
    profiles: ClassVar[tuple[str, ...]] = ("cloud", "host")
    reads: ClassVar[frozenset[str]] = frozenset(
        {"CreationTime", "Operation", "Id", "RecordType", "ResultStatus", "UserId", "Workload"}
        | {"ClientIP", "ClientIPAddress", "ActorIpAddress", "UserAgent", "ExtendedProperties"}
        | {"ClientInfoString", "MailboxOwnerUPN", "P2Sender", "P1Sender", "Recipients"}
        | {"ItemType", "Severity", "Status", "SenderIp", *_COLUMNS, "TimeGenerated"}
    )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the records of a message; see `connectors._m365.envelope`."""
        return envelope.cut(value)

    def spellings(self, field: str) -> Sequence[str]:
        """Return what the record calls a `field` of Defender for Cloud Apps' rules."""
        return _SPELLINGS.get(field, ())

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder; ``status`` and ``RequestType`` are worked out for rules."""
        made = super().decoder(fields)
        getters = {path: made.plain(path) for path in ("ResultStatus", "ExtendedProperties")}
        made.compute("status", lambda event: _outcome(View(event, getters)))
        made.compute("RequestType", lambda event: _extended(View(event, getters), "RequestType"))
        return made

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is the record's ``UserId``."""
        said = event.text
        operation, workload = said("Operation"), said("Workload", "OfficeWorkload")
        if not operation:
            problem = "expected Operation, found none; send records of the unified audit log"
            raise MappingError("missing_field", problem)
        kind = said("RecordType")
        known = workload in ("Exchange", "ThreatIntelligence", "") and mail.named(event)
        class_uid, activity_id = classify(workload, kind, operation, known, said("ItemType"))
        status, severity = _STATUS.get(said("ResultStatus").lower(), 0), _INFORMATIONAL
        if class_uid == DETECTION_FINDING:
            status = _FINDING_STATUS.get(said("Status"), 1)
            severity = _SEVERITY.get(said("Severity"), 0)
        elif operation == "UserLoginFailed":
            status = 2
        address = said("ClientIP", "ClientIPAddress", "ActorIpAddress", "SenderIp")
        address = address or said("Client_IPAddress")
        agent = said("UserAgent")
        if not agent and class_uid == AUTHENTICATION:
            agent = _extended(event, "UserAgent") or ""
        return Summary(
            said("Id", "OfficeId") or None,
            milliseconds(event.get("CreationTime") or event.get("TimeGenerated"), "CreationTime"),
            class_uid,
            activity_id,
            status,
            severity,
            said("UserId"),
            operation,
            workload or ("Entra ID" if kind == "AzureActiveDirectory" else "Microsoft 365"),
            bare(address),
            agent or said("ClientInfoString"),
            "",
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the record's class; see `connectors._m365.ocsf_map`."""
        record = fields.record
        for column in _COLUMNS.keys() & record.keys():
            record.setdefault(_COLUMNS[column], record.pop(column))
        return ocsf_map.objects(fields, summary)


def _extended(event: View, name: str) -> str | None:
    """Return the value of an extended property."""
    rows = items(event.get("ExtendedProperties"))
    return next((text(row.get("Value")) for row in rows if row.get("Name") == name), None)


def _outcome(event: View) -> str:
    """Return what rules call a record's status: one without a result was a success."""
    return "failed" if _STATUS.get(event.text("ResultStatus").lower()) == 2 else "success"
