"""Gatekeeper: what in a Kubernetes cluster violates its policies, and what it kept out.

Takes constraints as the Kubernetes API gives them (one, a list, ``kubectl get constraints -o
json``), whose status holds the last audit; the log of Gatekeeper's audit and of its webhook
(``--log-denies``); the events it emits; and what it exports. See `connectors._gatekeeper.shapes`.

What its audit found is a Compliance Finding. What its webhook denied did not come to be: a
Detection Finding of who tried. A finding's id is the constraint and the resource, so that it
is the same in every audit; the event's id adds when it was audited.

To have them without reading the API, give the log of ``gatekeeper-audit`` and
``gatekeeper-controller-manager`` to the ways in by files, tail or HTTP.

Source: Gatekeeper documentation, "Audit" and "Debugging".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._gatekeeper.shapes import EVERY, PATHS, shape, violations
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields, compact, some
from connectors._json.objects import text, user
from connectors._json.times import milliseconds, moment
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING, DETECTION_FINDING
from sentinel.errors import MappingError

_CREATE, _CLOSE = 1, 3
_NEW, _RESOLVED = 1, 4
_SEVERITY: Final = {"deny": 3, "warn": 2, "dryrun": 1, "scoped": 2}
_INFORMATIONAL: Final = 1
_ADMISSION: Final = "violation"  # of the webhook; the audit's is violation_audited
_REFUSED: Final = "FailedAdmission"
_PASS, _FAIL = {"status": "Pass", "status_id": 1}, {"status": "Fail", "status_id": 3}
_BLOCKED: Final = {
    "action": "Denied",
    "action_id": 2,
    "disposition": "Blocked",
    "disposition_id": 2,
}
_TIMES: Final = ("eventTime", "firstTimestamp", "metadata.creationTimestamp")


class Gatekeeper(JsonConnector):
    """Violations of Gatekeeper's constraints, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="kubernetes", service="gatekeeper"),
    )
    product: ClassVar[Mapping[str, Any]] = {
        "name": "Gatekeeper",
        "vendor_name": "Open Policy Agent",
    }
    envelope: ClassVar[Envelope] = Envelope(lists=("items",))
    reads: ClassVar[frozenset[str]] = EVERY | frozenset(
        {"notListed", "process", "reason", "violations", *_TIMES}
    )
    readers: ClassVar[Mapping[str, str]] = {
        "constraints": "connectors._gatekeeper.reader:ConstraintReader"
    }

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the violations of a message: of constraints, one for each that they list."""
        return [unit for part in super().split(value) for unit in violations(part)]

    def columns_of(self, event: View) -> Summary:
        """Return the columns; who acted is known of what was denied, else it is the resource."""
        kind = shape(event.get)
        if not kind:
            raise MappingError(
                "missing_field",
                "expected a violation of a constraint (constraint_kind), found something else",
            )
        paths = PATHS[kind]

        def said(name: str) -> str:
            return event.text(paths[name]) if name in paths else ""

        solved = event.get("violations") == 0
        denied = _denied(kind, said("event"), event.text("process"), event.text("reason"))
        when = event.get(paths["time"]) or next(filter(None, map(event.get, _TIMES)), None)
        finding = _finding(said)
        severity = _SEVERITY.get(said("action"), _INFORMATIONAL)
        return Summary(
            native_id=said("uid") or f"{finding}@{said('run') or text(when) or when}",
            time=milliseconds(when, paths["time"]),
            class_uid=DETECTION_FINDING if denied else COMPLIANCE_FINDING,
            activity_id=_CLOSE if solved else _CREATE,
            status_id=_RESOLVED if solved else _NEW,
            severity_id=_INFORMATIONAL if solved else severity,
            entity=said("user") or _resource_name(said),
            operation=said("constraint_kind"),
            service=said("constraint_name"),
            src_ip="",
            user_agent="",
            region=said("namespace"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the finding, its check, and the resource it is about."""
        paths = PATHS[shape(fields.get)]

        def said(name: str) -> str:
            return text(fields.get(paths[name])) if name in paths else ""

        message = said("message") or f"{summary.operation} {summary.service}"
        hidden = fields.get("notListed")
        if hidden:
            message = f"{text(hidden) or 'some'} more violations, which the status does not list"
        finding = some(
            created_time=moment(fields.get("constraint.metadata.creationTimestamp")),
            desc=message,
            title=f"{summary.operation}: {summary.service}",
            types=[said("action")] if said("action") else None,
            uid=_finding(said) + ("/not listed" if hidden else ""),
        )
        event = some(finding_info=finding, message=message, resources=_resources(said))
        if summary.class_uid == DETECTION_FINDING:
            return event | _prevented(said, summary)
        passed = summary.status_id == _RESOLVED
        rule = fields.get("constraint.spec.parameters")
        return event | {
            "compliance": some(
                control=summary.operation,
                desc=message,
                requirements=[summary.service] if summary.service else None,
                standards=["Gatekeeper"],
                status_details=[compact(rule)] if isinstance(rule, dict) and rule else None,
                **(_PASS if passed else _FAIL),
            )
        }


def _denied(kind: str, event: str, process: str, reason: str) -> bool:
    if kind == "event":
        return reason == _REFUSED
    return event == _ADMISSION and process == "admission"


def _resource_name(said: Any) -> str:
    return "/".join(filter(None, (said("kind"), said("namespace"), said("name"))))


def _finding(said: Any) -> str:
    """Return the id of a finding: the same in every audit, and by whichever way it came."""
    constraint = f"{said('constraint_kind')}/{said('constraint_name')}"
    group = said("group").partition("/")[0]
    kind = f"{said('kind')}.{group}" if group else said("kind")
    return "/".join((constraint, kind, said("namespace"), said("name"))).rstrip("/")


def _resources(said: Any) -> list[dict[str, Any]]:
    named = some(
        name=said("name") or said("kind"),
        namespace=said("namespace"),
        type=said("kind"),
        version="/".join(filter(None, (said("group"), said("version")))),
    )
    return [named] if "name" in named else []


def _prevented(said: Any, summary: Summary) -> OCSF:
    person = user(said("user"))
    resource = _resource_name(said) or "unknown"
    return some(
        actor={"user": person} if person else None,
        evidences=[some(data={"resource": resource}, user=person)],
        is_alert=True,
        metadata={"profiles": ["host", "security_control"]},
        policy=some(name=said("constraint_name"), type=said("constraint_kind")),
        **_BLOCKED,
    )
