"""The OCSF class and activity of a request to the Kubernetes API, and how it ended.

Source: Kubernetes documentation, "Auditing" and "Authorization: determine the request verb".
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from connectors._json.objects import items
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    GROUP_MANAGEMENT,
    OTHER,
    USER_ACCESS,
)

_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
#: Verbs of resources, and HTTP's methods for paths that are none (``/healthz``).
_ACTIVITIES: Final = {
    "create": _CREATE,
    "post": _CREATE,
    "get": _READ,
    "head": _READ,
    "list": _READ,
    "watch": _READ,
    "patch": _UPDATE,
    "put": _UPDATE,
    "update": _UPDATE,
    "delete": _DELETE,
    "deletecollection": _DELETE,
}
#: Subresources that run something or open a way in: neither creating nor reading, and the
#: verb depends on the client (``create`` with SPDY, ``get`` with WebSocket).
_THROUGH: Final = frozenset({"attach", "exec", "ephemeralcontainers", "portforward", "proxy"})
_BINDINGS: Final = frozenset({"clusterrolebindings", "rolebindings"})
#: Account Change: create and delete; a changed service account has no activity of its own.
_ACCOUNT: Final = {"create": 1, "delete": 6}
_ASSIGN: Final = 1
_UNKNOWN, _SUCCESS, _FAILURE = 0, 1, 2
_FIRST_FAILURE: Final = 400  # HTTP


class Request(NamedTuple):
    """What decides on the class: verb, resource, subresource, and a binding's subjects."""

    verb: str
    resource: str
    subresource: str
    subjects: Any = None

    @property
    def operation(self) -> str:
        """Return ``verb resource/subresource``, or the verb alone."""
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {what}" if what else self.verb


def classify(request: Request) -> tuple[int, int]:
    """Return class and activity; a binding changes users or groups as far as it names them."""
    verb, resource = request.verb, request.resource
    if request.subresource in _THROUGH:
        return API_ACTIVITY, OTHER
    if not request.subresource:
        if resource == "serviceaccounts" and verb in _ACCOUNT:
            return ACCOUNT_CHANGE, _ACCOUNT[verb]
        if resource in _BINDINGS and _ACTIVITIES.get(verb) in (_CREATE, _UPDATE):
            kind = next((each.get("kind") for each in items(request.subjects)), None)
            if kind is not None:
                return (GROUP_MANAGEMENT if kind == "Group" else USER_ACCESS), _ASSIGN
    return API_ACTIVITY, _ACTIVITIES.get(verb, OTHER)


def status(code: Any, stage: str) -> int:
    """Return OCSF's status of a response; a request that was only received has none."""
    if code.__class__ is int and code > 0:
        return _SUCCESS if code < _FIRST_FAILURE else _FAILURE
    return _FAILURE if stage == "Panic" else _UNKNOWN
