"""AWS Security Hub: findings of AWS's services and of other products, in one format (ASFF).

Takes a finding, an array of them (files of scanners: Prowler, Trivy, Inspector…), the answer of
``GetFindings`` (``Findings``), and EventBridge events (``detail.findings``).

A finding with known vulnerabilities is a Vulnerability Finding, one of a check with a result a
Compliance Finding, all others are Detection Findings. It is updated under one ``Id``: every
update is an event, whose own id is that and the time of the update. ``FindingProviderFields``
repeats what the provider said; where people have changed severity or types, theirs counts.

The acting entity is the resource that a finding is about.

Source: Security Hub User Guide, "AWS Security Finding Format (ASFF)".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from connectors._aws.observed import with_evidences
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.objects import address, texts
from connectors._json.times import milliseconds
from connectors._securityhub import ocsf_map
from connectors._securityhub.kinds import activity, class_of, severity, status
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING


class SecurityHub(JsonConnector):
    """Findings in the AWS Security Finding Format, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("aws", "", "securityhub"),)
    readers: ClassVar[dict[str, str]] = {"api": "connectors._aws.findings:SecurityHubFindings"}
    product: ClassVar[Mapping[str, Any]] = {"name": "Security Hub", "vendor_name": "AWS"}
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    envelope: ClassVar[Envelope] = Envelope(lists=("Findings", "findings"), inner=("detail",))
    required: ClassVar[Mapping[str, type]] = {"Id": str, "ProductArn": str}
    reads: ClassVar[frozenset[str]] = frozenset(
        {"AwsAccountId", "Compliance.Status", "CreatedAt", "GeneratorId", "ProductName"}
        | {"RecordState", "Region", "Resources.Region", "Severity.Label", "Severity.Normalized"}
        | {"UpdatedAt", "Workflow.Status"}
    )
    own: ClassVar[frozenset[str]] = frozenset({"CreatedAt", "Id", "UpdatedAt"})
    looks_into: ClassVar[frozenset[str]] = frozenset(
        {"Resources.Id", "Types", "Vulnerabilities.Id", *ocsf_map.SOURCES}
    )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the findings of a message."""
        cut = self.envelope.cut
        return [
            finding
            for unit in cut(value)
            for finding in (cut(unit) if unit != value and b'"findings"' in unit else (unit,))
        ]

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: every update of a finding is an event."""
        uid = event.get("Id")
        when = milliseconds(event.get("UpdatedAt") or event.get("CreatedAt"), "UpdatedAt")
        return f"{uid}@{when}" if uid else None, when

    def besides(self, event: View) -> tuple[bool, str]:
        """Return whether a finding is new, and its id where nothing else names its rule."""
        fresh = event.get("CreatedAt") in (None, event.get("UpdatedAt"))
        return fresh, "" if event.text("GeneratorId") else event.get("Id")

    def columns_of(self, event: View) -> Summary:
        """Return the columns of a finding; raise MappingError where it has no time."""
        get, text = event.get, event.text
        native_id, when = self.identity_of(event)
        fresh, uid = self.besides(event)
        status_id = status(text("Workflow.Status"), text("RecordState"))
        types = texts(get("Types"))
        class_uid = class_of(types, get("Vulnerabilities.Id"), text("Compliance.Status"))
        source = ""
        if class_uid == DETECTION_FINDING:
            source = next((ip for path in ocsf_map.SOURCES if (ip := address(get(path)))), "")
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=class_uid,
            activity_id=activity(status_id, fresh),
            status_id=status_id,
            severity_id=severity(get("Severity.Label"), get("Severity.Normalized")),
            entity=_first(get("Resources.Id")) or text("AwsAccountId"),
            operation=text("GeneratorId") or _first(types) or uid,
            service=text("ProductName") or get("ProductArn").rpartition("/")[2],
            src_ip=source,
            user_agent="",
            region=text("Region") or _first(get("Resources.Region")),
        )

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one finding; its evidences are among what to pivot on."""
        return with_evidences(super().to_ocsf(unit))

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._securityhub.ocsf_map`."""
        return ocsf_map.objects(fields, summary)


def _first(value: Any) -> str:
    """Return the first text of a list, or the text that stands in its place."""
    found = value[0] if value.__class__ is list and value else value
    return found if isinstance(found, str) else ""
