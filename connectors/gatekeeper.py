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

from connectors._gatekeeper.shapes import EVERY, NAMES, PATHS, shape, violations
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
    own: ClassVar[frozenset[str]] = frozenset(
        {"audit_id", "auditTimestamp", "id", "lastTimestamp", "metadata.uid", "ts", *_TIMES}
    )
    readers: ClassVar[Mapping[str, str]] = {
        "constraints": "connectors._gatekeeper.reader:ConstraintReader"
    }

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the violations of a message: of constraints, one for each that they list."""
        return [unit for part in super().split(value) for unit in violations(part)]

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time; where it has no id, that is the finding and when it was seen."""
        get = event.get
        kind = shape(get)
        paths = PATHS[kind]
        when = get(paths["time"]) or next(filter(None, map(get, _TIMES)), None)
        time = milliseconds(when, paths["time"])
        if "uid" in paths and (uid := event.text(paths["uid"])):
            return uid, time
        run = event.text(paths["run"]) if "run" in paths else ""
        return f"{_finding(*event.texts(NAMES[kind]))}@{run or text(when) or when}", time

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
        native_id, time = self.identity_of(event)
        severity = _SEVERITY.get(said("action"), _INFORMATIONAL)
        return Summary(
            native_id=native_id,
            time=time,
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
        kind = shape(fields.get)
        paths = PATHS[kind]

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
            uid=_finding(*map(text, map(fields.get, NAMES[kind])))
            + ("/not listed" if hidden else ""),
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


def _finding(
    constraint_kind: str, constraint: str, kind: str, group: str, namespace: str, name: str
) -> str:
    """Return the id of a finding: the same in every audit, and by whichever way it came."""
    if group := group.partition("/")[0]:
        kind = f"{kind}.{group}"
    return f"{constraint_kind}/{constraint}/{kind}/{namespace}/{name}".rstrip("/")


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
