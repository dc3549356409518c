"""Who may do what: the names of permissions, the roles, and what a route asks for.

A route names the one permission it needs::

    @router.post("/{alert_id}/status", dependencies=[Depends(allow("alerts:update"))])

`api.auth.Guard` finds out who asks (401 where nobody does) and leaves a `Principal` in
``request.state.principal``; `allow` answers 403 where that one lacks the permission. A
route without `allow` would be open to every credential, ingest-only keys included, so
``tests/api/identity/test_routes.py`` fails where there is one. Which rows a principal sees
is another question, and answered by row-level security alone (`api.deps.Database`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from fastapi import WebSocketException
from starlette.requests import HTTPConnection

from api.errors import Problem
from sentinel import postgres

#: Every permission, and what it lets one do. Routes name them; custom roles are sets of them.
PERMISSIONS: dict[str, str] = {
    "alerts:read": "see alerts, incidents, entities and counts, search them, follow them live",
    "alerts:update": "change status and assignment of alerts and incidents, comment, merge",
    "feedback:write": "say whether an alert was right, which later retrains models",
    "events:read": "see and search events",
    "events:write": "send events in",
    "findings:read": "see findings of scanners",
    "findings:update": "change the state of findings and make exceptions",
    "searches:write": "save searches of one's own",
    "exports:read": "export what one may see",
    "rules:read": "see the rules",
    "rules:write": "add, change, switch off and suppress rules",
    "models:read": "see the models",
    "models:train": "start the training of models",
    "neural:read": "see what the neural engine measures",
    "neural:stimulate": "send stimulation to the neural rig",
    "operations:read": "see health, ledger, dead letters and metrics",
    "operations:write": "replay and discard dead letters",
    "responses:approve": "let a response act",
    "webhooks:manage": "subscribe webhooks and other receivers, see their deliveries",
    "config:read": "see settings, sources, thresholds and suppressions",
    "config:write": "change settings, sources, thresholds and suppressions",
    "users:manage": "add, change and remove users and roles of one's tenant",
    "keys:manage": "make and revoke API keys of one's tenant",
    "audit:read": "read and verify the audit log",
    "account": "see and change one's own account: password, second factor, sessions",
    "tenants:manage": "add and change tenants; never within a tenant",
}
#: What only those that belong to no one tenant may do, whatever role they have.
PLATFORM = frozenset({"tenants:manage"})

VIEWER = frozenset(
    {
        *(name for name in PERMISSIONS if name.endswith(":read") and name != "audit:read"),
        *("searches:write", "account"),
    }
)
ANALYST = VIEWER | {
    *("alerts:update", "feedback:write", "findings:update", "models:train"),
    "operations:write",
}
ADMIN = frozenset(PERMISSIONS)
#: What every credential in the file ``tenant-tokens`` may: as before there were roles.
SERVICE = ANALYST | {"events:write"}
#: The roles that every tenant has. Further ones are made at ``/v1/roles``.
ROLES: dict[str, frozenset[str]] = {"viewer": VIEWER, "analyst": ANALYST, "admin": ADMIN}


class Principal(NamedTuple):
    """Who asks.

    Attributes
    ----------
    tenant
        Whose rows are seen; `postgres.ALL_TENANTS` for those of the platform, empty for
        nobody (open paths).
    subject
        Who it is, for the audit log: ``user:<name>``, ``key:<id>``, ``token:api-token``.
    permissions
        What it may do.
    user
        Id of the user, where it is one.
    session
        Id of the user's session, where there is one.
    """

    tenant: str
    subject: str
    permissions: frozenset[str]
    user: str = ""
    session: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether it sees all tenants."""
        return self.tenant == postgres.ALL_TENANTS

    def may(self, permission: str) -> bool:
        """Say whether it has `permission`."""
        held = permission in self.permissions
        return held and (self.everywhere or permission not in PLATFORM)


NOBODY = Principal("", "", frozenset())


async def principal(connection: HTTPConnection) -> Principal:
    """Return who asks; `NOBODY` on the paths that anyone may read."""
    return who_asks(connection)


def who_asks(connection: HTTPConnection) -> Principal:
    """Return the same outside of routes."""
    found = getattr(connection.state, "principal", NOBODY)
    return found if isinstance(found, Principal) else NOBODY


def allow(permission: str) -> Callable[[HTTPConnection], Awaitable[None]]:
    """Return the dependency of a route that needs `permission`.

    Raises
    ------
    KeyError
        At import: there is no such permission.
    """
    what = PERMISSIONS[permission]

    async def check(connection: HTTPConnection) -> None:
        who = who_asks(connection)
        if who.may(permission):
            return
        detail = (
            f"expected the permission {permission} ({what}), which {who.subject or 'nobody'} "
            "lacks; an administrator can give a role that has it"
        )
        if connection.scope["type"] == "websocket":
            raise WebSocketException(1008, detail[:120])
        raise Problem(403, detail)

    check.permission = permission  # type: ignore[attr-defined]  # read by `asked`
    return check


def asked(dependency: object) -> str | None:
    """Return the permission that a dependency of a route asks for, None where it is no `allow`."""
    return getattr(dependency, "permission", None)


def known(names: Iterable[str]) -> frozenset[str]:
    """Return `names` as a set of permissions; raise `Problem` (422) for one that is unknown."""
    found = frozenset(names)
    if strange := sorted(found - PERMISSIONS.keys()):
        raise Problem(
            422, f"permissions: expected some of {', '.join(PERMISSIONS)}; found {strange[0]!r}"
        )
    return found
