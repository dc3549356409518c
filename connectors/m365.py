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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import IO, Any, ClassVar, Final

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
_MAIL: Final = ("Exchange", "ThreatIntelligence", "")
#: What rows of the table ``OfficeActivity`` call the fields.
_COLUMNS: Final = {
    "OfficeWorkload": "Workload",
    "OfficeObjectId": "ObjectId",
    "OfficeId": "Id",
    "Client_IPAddress": "ClientIPAddress",
}
#: What `_columns` takes, in its order.
_NAMES: Final = (
    *("Operation", "Workload", "OfficeWorkload", "RecordType", "ResultStatus", "UserId", "Id"),
    *("OfficeId", "CreationTime", "TimeGenerated", "ItemType", "Status", "Severity"),
    *("ExtendedProperties", "UserAgent", "ClientInfoString", "MailboxOwnerUPN", "P2Sender"),
    *("P1Sender", "Recipients", "ClientIP", "ClientIPAddress", "ActorIpAddress", "SenderIp"),
    "Client_IPAddress",
)
#: What `_identity` takes, in its order.
_IDENTITY: Final = ("Id", "OfficeId", "CreationTime", "TimeGenerated")
_row: Final = attrgetter(*_NAMES)
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
    own: ClassVar[frozenset[str]] = frozenset({"CreationTime", "Id", "OfficeId", "TimeGenerated"})
    reads: ClassVar[frozenset[str]] = frozenset({*_NAMES, *_COLUMNS})

    def records(self, stream: IO[bytes], time_ms: int | None = None) -> Iterator[bytes]:
        """Return the records of a file; the rows of a CSV export may span lines."""
        if envelope.is_export(stream):
            return envelope.rows(stream)
        return super().records(stream, time_ms)

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the records of a message; see `connectors._m365.envelope`."""
        return envelope.cut(value)

    def spellings(self, field: str) -> Sequence[str]:
        """Return what the record calls a `field` of Defender for Cloud Apps' rules."""
        return _SPELLINGS.get(field, ())

    def decoder(self, fields: frozenset[str]) -> JsonDecoder:
        """Return a decoder; ``status`` and ``RequestType`` are worked out for rules."""
        made = super().decoder(fields)
        result, extended = made.plain("ResultStatus"), made.plain("ExtendedProperties")
        made.compute("status", lambda event: _outcome(result(event)))
        made.compute("RequestType", lambda event: _extended(extended(event), "RequestType"))
        return made

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time."""
        return _identity(*map(event.get, _IDENTITY))

    def summarise(self, event: Any) -> Summary:
        """Return the columns; the entity is the record's ``UserId``."""
        return _columns(*_row(event))

    def columns_of(self, event: View) -> Summary:
        """Return the same as `summarise`, which needs no `View` for fields of the top level."""
        return _columns(*map(event.get, _NAMES))

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the record's class; see `connectors._m365.ocsf_map`."""
        record = fields.record
        for column in _COLUMNS.keys() & record.keys():
            record.setdefault(_COLUMNS[column], record.pop(column))
        return ocsf_map.objects(fields, summary)


def _identity(uid: Any, row: Any, created: Any, generated: Any) -> tuple[str | None, int]:
    return text(uid) or text(row) or None, milliseconds(created or generated, "CreationTime")


def _columns(
    operation: Any, workload: Any, column: Any, kind: Any, result: Any, who: Any, uid: Any,
    row: Any, created: Any, generated: Any, item: Any, state: Any, level: Any, extended: Any,
    agent: Any, client: Any, owner: Any, p2: Any, p1: Any, recipients: Any, *addresses: Any,
) -> Summary:  # fmt: skip
    """Return the columns of a record with these values.

    Raises
    ------
    MappingError
        It has no operation, or no time that is sane.
    """
    operation, workload, kind = text(operation), text(workload) or text(column), text(kind)
    if not operation:
        problem = "expected Operation, found none; send records of the unified audit log"
        raise MappingError("missing_field", problem)
    mailed = workload in _MAIL and mail.named(owner, p2, p1, recipients)
    class_uid, activity_id = classify(workload, kind, operation, mailed, text(item))
    status, severity = _STATUS.get(text(result).lower(), 0), _INFORMATIONAL
    agent = text(agent)
    if class_uid == DETECTION_FINDING:
        status, severity = _FINDING_STATUS.get(text(state), 1), _SEVERITY.get(text(level), 0)
    elif class_uid == AUTHENTICATION:
        status = 2 if operation == "UserLoginFailed" else status
        agent = agent or _extended(extended, "UserAgent") or ""
    address = next((value for value in map(text, addresses) if value), "")
    return tuple.__new__(
        Summary,
        (
            *_identity(uid, row, created, generated),
            class_uid,
            activity_id,
            status,
            severity,
            text(who),
            operation,
            workload or ("Entra ID" if kind == "AzureActiveDirectory" else "Microsoft 365"),
            bare(address),
            agent or text(client),
            "",
        ),
    )


def _extended(properties: Any, name: str) -> str | None:
    """Return the value of an extended property."""
    rows = items(properties)
    return next((text(row.get("Value")) for row in rows if row.get("Name") == name), None)


def _outcome(result: Any) -> str:
    """Return what rules call a record's status: one without a result was a success."""
    return "failed" if _STATUS.get(text(result).lower()) == 2 else "success"
