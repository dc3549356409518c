"""Google Cloud Security Command Center: findings of misconfiguration, vulnerability and threat.

Takes notifications (``finding`` and ``resource``, as Pub/Sub sends them), the answer of
``findings:list`` (``listFindingsResults``), and findings alone. A misconfiguration becomes a
Compliance Finding, a vulnerability a Vulnerability Finding, a threat and all else a Detection
Finding. The same finding comes again when its state changes: the id is its name with the time
of the change.

Source: Google Cloud, "Finding", "NotificationMessage", "Method: findings.list" (v1 and v2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._google import scc
from connectors._google.envelope import GoogleEnvelope
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields
from connectors._json.times import milliseconds, moment
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING
from sentinel.errors import MappingError

_ENVELOPE: Final = GoogleEnvelope(lists=("listFindingsResults", "findings"), inner=("data",))
_SEVERITY: Final = {"LOW": 2, "MEDIUM": 3, "HIGH": 4, "CRITICAL": 5}
_NEW, _SUPPRESSED, _RESOLVED = 1, 3, 4
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_NAMES: Final = (
    *("name", "canonicalName", "category", "eventTime", "createTime", "severity", "state", "mute"),
    *("findingClass", "resourceName", "access.principalEmail", "access.callerIp"),
    *("sourceDisplayName", "parentDisplayName"),
)
#: Where the fields are of a finding alone, and of one in a notification.
_ALONE: Final = {name: name for name in _NAMES}
_INSIDE: Final = {name: f"finding.{name}" for name in _NAMES}
#: Of which only id, time, and whether it is new are made.
_OWN: Final = ("name", "canonicalName", "eventTime", "createTime")


class GcpScc(JsonConnector):
    """Findings of Security Command Center, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="gcp", service="gcp.scc"),)
    readers: ClassVar[Mapping[str, str]] = {
        "findings": "connectors._google.reading.findings:FindingsReader",
        "pubsub": "connectors._google.reading.pubsub:PubSubReader",
    }
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Security Command Center",
        "vendor_name": "Google",
    }
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    reads: ClassVar[frozenset[str]] = frozenset(
        {*_NAMES, *_INSIDE.values(), "resource.location", "resource.name"}
    )
    own: ClassVar[frozenset[str]] = frozenset(at[name] for at in (_ALONE, _INSIDE) for name in _OWN)

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the findings of a message; see `connectors._google.envelope`."""
        return _ENVELOPE.cut(value)

    def spellings(self, field: str) -> Sequence[str]:
        """Return where a `field` of a finding is in a notification, and the other way about."""
        if field.startswith("finding."):
            return (field.removeprefix("finding."),)
        return (f"finding.{field}",)

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: a finding is an event of its own whenever it is updated."""
        at, get = _at(event), event.get
        when = milliseconds(get(at["eventTime"]) or get(at["createTime"]), "eventTime")
        name = event.text(at["name"], at["canonicalName"])
        return f"{name}@{when}" if name else None, when

    def besides(self, event: View) -> bool:
        """Return whether a finding is new."""
        at, get = _at(event), event.get
        created = get(at["createTime"])
        updated = get(at["eventTime"]) or created
        return created in (None, updated) or moment(created) in (None, moment(updated))

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the entity is who did it, else the resource it was found in."""
        at, text = _at(event), event.text
        category = text(at["category"])
        if not category:
            problem = (
                "expected a finding with a category, found none; send notifications or "
                "findings of Security Command Center"
            )
            raise MappingError("missing_field", problem)
        closed = text(at["state"]) == "INACTIVE"
        status = _SUPPRESSED if text(at["mute"]) == "MUTED" else _NEW
        return Summary(
            *self.identity_of(event),
            scc.CLASSES.get(text(at["findingClass"]), DETECTION_FINDING),
            _CLOSE if closed else _CREATE if self.besides(event) else _UPDATE,
            _RESOLVED if closed else status,
            _SEVERITY.get(text(at["severity"]), 0),
            text(at["access.principalEmail"], at["resourceName"], "resource.name"),
            category,
            text(at["sourceDisplayName"], at["parentDisplayName"]) or "Security Command Center",
            text(at["access.callerIp"]),
            "",
            text("resource.location"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the finding's class; see `connectors._google.scc`."""
        return scc.objects(fields, summary)


def _at(event: View) -> Mapping[str, str]:
    """Return where the fields of a finding are."""
    return _INSIDE if event.get("finding.category") is not None else _ALONE
