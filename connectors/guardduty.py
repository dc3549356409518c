"""Amazon GuardDuty: what it holds for an attack in an AWS account.

Takes a finding as GuardDuty writes it (exports to S3, the API's JSON), an EventBridge event
(the finding is its ``detail``), the answer of ``GetFindings`` (``Findings``), and a finding in
boto3's spelling (``UpdatedAt``), which is written anew in GuardDuty's own.

A finding is updated as more is seen: every update is an event, with the finding's id and the
time of the update as its own. The acting entity is whose key, instance or container it is.

Source: GuardDuty API Reference, "Finding"; User Guide, "GuardDuty finding format".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from connectors._aws.observed import with_evidences
from connectors._guardduty.evidence import REMOTES, evidences, malware, remote
from connectors._guardduty.evidence import TYPE as ACTION
from connectors._guardduty.resources import ENTITIES, KEY, USER, entity, resources
from connectors._guardduty.resources import TYPE as RESOURCE
from connectors._guardduty.types import attacks, lower_camel, severity
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields, some
from connectors._json.times import milliseconds, moment
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import DETECTION_FINDING

_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_NEW, _ARCHIVED = 1, 5
_BOTO: Final = (b'"UpdatedAt"', b'"Severity"')
_plain: Final = msgspec.json.Decoder().decode


class GuardDuty(JsonConnector):
    """Findings of GuardDuty, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource("aws", "", "guardduty"),)
    readers: ClassVar[dict[str, str]] = {
        "api": "connectors._aws.findings:GuardDutyFindings",
    }
    product: ClassVar[Mapping[str, Any]] = {"name": "GuardDuty", "vendor_name": "AWS"}
    profiles: ClassVar[tuple[str, ...]] = ("cloud",)
    envelope: ClassVar[Envelope] = Envelope(
        lists=("findings", "Findings"), inner=("detail",), log_events=True
    )
    required: ClassVar[Mapping[str, type]] = {"id": str, "type": str}
    reads: ClassVar[frozenset[str]] = frozenset(
        {"accountId", "createdAt", "region", "severity", "updatedAt"}
        | {"service.archived", "service.count"}
    )
    own: ClassVar[frozenset[str]] = frozenset({"createdAt", "id", "updatedAt"})
    looks_into: ClassVar[frozenset[str]] = frozenset(
        {ACTION, RESOURCE, USER, *KEY, *ENTITIES, *REMOTES}
    )

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the findings of a message, those of boto3 in GuardDuty's spelling."""
        return [_spelled(unit) for unit in super().split(value)]

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: every update of a finding is an event."""
        uid = event.text("id")
        when = milliseconds(event.get("updatedAt") or event.get("createdAt"), "updatedAt")
        return f"{uid}@{when}" if uid else None, when

    def besides(self, event: View) -> tuple[bool, str]:
        """Return whether a finding is new, and its id where it is the entity."""
        created, count = event.get("createdAt"), event.get("service.count")
        updated = event.get("updatedAt") or created
        first = created in (None, updated) and count in (None, 1)
        return first, "" if event.text("accountId") else event.text("id")

    def columns_of(self, event: View) -> Summary:
        """Return the columns of a finding; raise MappingError where it has no time."""
        text = event.text
        native_id, when = self.identity_of(event)
        archived = event.get("service.archived") is True
        first, uid = self.besides(event)
        account, region, kind = text("accountId"), text("region"), text("type")
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=DETECTION_FINDING,
            activity_id=_CLOSE if archived else _CREATE if first else _UPDATE,
            status_id=_ARCHIVED if archived else _NEW,
            severity_id=severity(event.get("severity")),
            entity=entity(event.get, account, region) or uid,
            operation=kind,
            service="guardduty.amazonaws.com",
            src_ip=remote(event.get),
            user_agent="",
            region=region,
        )

    def to_ocsf(self, unit: bytes) -> OCSF:
        """Map one finding; its evidences are among what to pivot on."""
        return with_evidences(super().to_ocsf(unit))

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return what Detection Finding has: finding, evidences, resources, count."""
        del summary
        text, get = fields.text, fields.get
        account, count = text("accountId"), get("service.count")
        score = get("confidence")
        return some(
            cloud=some(
                account={"type": "AWS Account", "type_id": 10, "uid": account} if account else None,
                cloud_partition=text("partition"),
                provider="AWS",
                region=text("region"),
            ),
            confidence_score=_whole(score, 100),
            count=_whole(count, 2**31 - 1),
            evidences=evidences(fields),
            finding_info=some(
                analytic={"name": text("type"), "type": "Rule", "type_id": 1},
                attacks=attacks(text("type")),
                created_time=moment(get("createdAt")),
                desc=text("description"),
                first_seen_time=moment(get("service.eventFirstSeen")),
                last_seen_time=moment(get("service.eventLastSeen")),
                modified_time=moment(get("updatedAt")),
                title=text("title") or text("type"),
                types=[text("type")],
                uid=text("id"),
                uid_alt=text("arn"),
            ),
            is_alert=True,
            malware=malware(fields),
            message=text("title") or text("type"),
            metadata=some(log_version=text("schemaVersion"), event_code=text("type")),
            resources=resources(fields),
        )


def _whole(value: Any, most: int) -> int | None:
    return int(value) if value.__class__ in (int, float) and 0 <= value <= most else None


def _spelled(unit: bytes) -> bytes:
    """Return a finding in GuardDuty's spelling."""
    if not all(key in unit for key in _BOTO):
        return unit
    try:
        finding = _plain(unit)
    except (ValueError, RecursionError):
        return unit
    if not isinstance(finding, dict) or "UpdatedAt" not in finding or "updatedAt" in finding:
        return unit
    try:
        return msgspec.json.encode(lower_camel(finding))
    except RecursionError:
        return unit
