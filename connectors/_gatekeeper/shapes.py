"""The shapes in which Gatekeeper tells of violations, and what is where in each.

``constraint``
    A violation in the status of a constraint, as `violations` takes them out of it.
``log``
    A line of Gatekeeper's own log, of its audit (``violation_audited``) or, with
    ``--log-denies``, of its webhook (``violation``).
``export``
    A message of its violation exporter (Dapr, disk).
``event``
    An event of Kubernetes, with ``--emit-audit-events`` or ``--emit-admission-events``.

Source: Gatekeeper documentation, "Audit", "Debugging" and "Exporting violations".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from connectors._json.objects import items, whole

#: What a violation has, and its path in each shape.
PATHS: Final[dict[str, dict[str, str]]] = {
    "constraint": {
        "time": "auditTimestamp",
        "constraint_kind": "constraint.kind",
        "constraint_name": "constraint.metadata.name",
        "constraint_uid": "constraint.metadata.uid",
        "action": "violation.enforcementAction",
        "message": "violation.message",
        "group": "violation.group",
        "version": "violation.version",
        "kind": "violation.kind",
        "namespace": "violation.namespace",
        "name": "violation.name",
    },
    "log": {
        "time": "ts",
        "constraint_kind": "constraint_kind",
        "constraint_name": "constraint_name",
        "action": "constraint_action",
        "message": "msg",
        "group": "resource_group",
        "version": "resource_api_version",
        "kind": "resource_kind",
        "namespace": "resource_namespace",
        "name": "resource_name",
        "user": "request_username",
        "event": "event_type",
        "run": "audit_id",
    },
    "export": {
        "time": "id",
        "constraint_kind": "kind",
        "constraint_name": "name",
        "action": "enforcementAction",
        "message": "message",
        "group": "resourceGroup",
        "version": "resourceAPIVersion",
        "kind": "resourceKind",
        "namespace": "resourceNamespace",
        "name": "resourceName",
        "event": "eventType",
        "run": "id",
    },
    "event": {
        "time": "lastTimestamp",
        "constraint_kind": "metadata.annotations.constraint_kind",
        "constraint_name": "metadata.annotations.constraint_name",
        "action": "metadata.annotations.constraint_action",
        "message": "message",
        "group": "metadata.annotations.resource_group",
        "version": "metadata.annotations.resource_api_version",
        "kind": "metadata.annotations.resource_kind",
        "namespace": "metadata.annotations.resource_namespace",
        "name": "metadata.annotations.resource_name",
        "user": "metadata.annotations.request_username",
        "event": "metadata.annotations.event_type",
        "uid": "metadata.uid",
    },
}
#: The paths of what names a finding, in each shape; all of them have these.
NAMES: Final = {
    name: tuple(
        paths[each]
        for each in ("constraint_kind", "constraint_name", "kind", "group", "namespace", "name")
    )
    for name, paths in PATHS.items()
}
EVERY: Final = frozenset(path for paths in PATHS.values() for path in paths.values())
#: Where it shows which shape an event has, in this order.
_TELLING: Final = (
    ("constraint.kind", "constraint"),
    ("constraint_kind", "log"),
    ("resourceKind", "export"),
    ("metadata.annotations.constraint_kind", "event"),
)
_GROUP: Final = b"constraints.gatekeeper.sh/"
_KEPT: Final = ("apiVersion", "kind", "metadata", "spec")
_decode: Final = msgspec.json.Decoder().decode


def shape(get: Callable[[str], Any]) -> str:
    """Return the shape of an event, or an empty text where it is no violation."""
    for path, name in _TELLING:  # not a generator: this runs several times an event
        if get(path):
            return name
    return ""


def violations(value: bytes) -> Iterable[bytes]:
    """Return a constraint once for each violation in its status; anything else as it is.

    A status lists some violations (20 of each constraint, by Gatekeeper's default) and counts
    all: where it does not list all, one more unit says how many are missing. A constraint
    that nothing violates is a unit too, for what was violated before is resolved then.
    """
    if _GROUP not in value:
        return (value,)
    try:
        found = _decode(value)
    except (ValueError, RecursionError):
        return (value,)  # the decoder says what is wrong with it
    if not isinstance(found, dict) or not isinstance(found.get("status"), dict):
        return (value,)
    status = found["status"]
    constraint = {name: found[name] for name in _KEPT if name in found}
    if isinstance(constraint.get("metadata"), dict):
        # Who last wrote which field: large, and nothing to a finding.
        constraint["metadata"] = {
            key: item for key, item in constraint["metadata"].items() if key != "managedFields"
        }
    frame = {"constraint": constraint, "auditTimestamp": status.get("auditTimestamp")}
    listed = items(status.get("violations"))
    total = whole(status.get("totalViolations")) or 0
    units: list[dict[str, Any]] = [{**frame, "violation": each} for each in listed]
    if total > len(listed):
        units.append({**frame, "notListed": total - len(listed)})
    return [msgspec.json.encode(unit) for unit in units or [{**frame, "violations": 0}]]
