"""The audit log of Kubernetes: every request to the API of a cluster.

Takes what the API server writes: an ``Event``, the ``EventList`` that its webhook sends, an
array, or JSON lines (``--audit-log-path``), of ``audit.k8s.io/v1`` and ``v1beta1``.

A request gives an event for each stage, under one ``auditID``: so an event's id is that and
the stage. ``sourceIPs`` begins with what the client says (``X-Forwarded-For``): that is the
source, and only the last address was seen by the API server itself. Who impersonates another
is the actor; whom is among the resources.

To send them here::

    # kube-apiserver --audit-policy-file=… --audit-webhook-config-file=this.yaml
    clusters: [{name: sentinel, cluster: {server: "https://sentinel.example.com:8443/"}}]
    users: [{name: sentinel, user: {token: "…"}}]
    contexts: [{name: sentinel, context: {cluster: sentinel, user: sentinel}}]
    current-context: sentinel

where an input of the source ``k8s_audit`` with the reader ``http`` listens.

Source: Kubernetes documentation, "Auditing" and "kube-apiserver Audit Configuration (v1)".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.times import milliseconds
from connectors._k8s_audit import ocsf_map
from connectors._k8s_audit.classes import Request, classify, status
from connectors.base import OCSF, LogSource, Summary
from sentinel.errors import MappingError

_INFORMATIONAL: Final = 1
#: What public rules write without saying where it is, and where that is.
_FLAT: Final[dict[str, tuple[str, ...]]] = {
    "apiGroup": ("objectRef.apiGroup",),
    "capabilities": (
        "requestObject.spec.containers.securityContext.capabilities.add",
        "requestObject.spec.template.spec.containers.securityContext.capabilities.add",
    ),
    "hostPath": (
        "requestObject.spec.volumes.hostPath.path",
        "requestObject.spec.template.spec.volumes.hostPath.path",
    ),
}
_CATEGORY: Final = "application"


class K8sAudit(JsonConnector):
    """Events of the audit log of Kubernetes, one JSON object each."""

    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource("kubernetes", "", "audit"),
        LogSource("kubernetes", _CATEGORY, "audit"),
    )
    product: ClassVar[Mapping[str, Any]] = {"name": "Kubernetes", "vendor_name": "Kubernetes"}
    envelope: ClassVar[Envelope] = Envelope(lists=("items",))
    own: ClassVar[frozenset[str]] = frozenset(
        {"auditID", "stageTimestamp", "requestReceivedTimestamp"}
    )
    reads: ClassVar[frozenset[str]] = frozenset(
        {"auditID", "objectRef.apiGroup", "objectRef.namespace", "objectRef.resource"}
        | {"objectRef.subresource", "requestObject.subjects", "requestReceivedTimestamp"}
        | {"responseStatus.code", "sourceIPs", "stage", "stageTimestamp", "user.username"}
        | {"userAgent", "verb"}
    )

    def spellings(self, field: str) -> Sequence[str]:
        """Return where the field of a rule of the category, or a flat one, is."""
        name = field.removeprefix(f"{_CATEGORY}.")
        others = _FLAT.get(name, ())
        return others if name == field else (name, *others)

    def category(self, event: View) -> str:
        """Return the category that public rules state, all events alike."""
        del event
        return _CATEGORY

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: each stage of a request is an event of its own."""
        uid = event.text("auditID")
        when = event.get("stageTimestamp") or event.get("requestReceivedTimestamp")
        native_id = f"{uid}/{event.text('stage')}" if uid else None
        return native_id, milliseconds(when, "stageTimestamp")

    def columns_of(self, event: View) -> Summary:
        """Return the columns; the region is the namespace, as an event names no cluster."""
        text = event.text
        verb, stage = text("verb"), text("stage")
        if not verb:
            raise MappingError("missing_field", "expected the text verb, found none")
        subjects = event.get("requestObject.subjects")
        resource, subresource = text("objectRef.resource"), text("objectRef.subresource")
        request = Request(verb, resource, subresource, subjects)
        class_uid, activity_id = classify(request)
        native_id, when = self.identity_of(event)
        addresses = event.get("sourceIPs")
        first = addresses[0] if addresses.__class__ is list and addresses else ""
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=class_uid,
            activity_id=activity_id,
            status_id=status(event.get("responseStatus.code"), stage),
            severity_id=_INFORMATIONAL,
            entity=text("user.username"),
            operation=request.operation,
            service=text("objectRef.apiGroup") or "kubernetes",
            src_ip=first if first.__class__ is str else "",
            user_agent=text("userAgent"),
            region=text("objectRef.namespace"),
        )

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the objects of the event's class; see `connectors._k8s_audit.ocsf_map`."""
        return ocsf_map.objects(fields, summary)
