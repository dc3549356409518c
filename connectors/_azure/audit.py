"""From an event of the Entra ID audit log, in Graph's spelling, to OCSF objects."""

from __future__ import annotations

from typing import Any, Final

from connectors._azure.objects import cloud
from connectors._json.fields import Fields, some
from connectors._json.objects import email, items, text
from connectors._json.records import data, said, source, table
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    ENTITY_MANAGEMENT,
    GROUP_MANAGEMENT,
    USER_ACCESS,
)

_PEOPLE: Final = ("User", "ServicePrincipal", "Service Principal", "Other")
_ENTITIES: Final = {"Device": 1, "User": 2, "Group": 3, "Organization": 4, "Policy": 5}
_ROLE_NAMES: Final = ("Role.DisplayName", "AppRole.Value", "DelegatedPermissionGrant.Scope")


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of the classes that `connectors._azure.directory` names."""
    targets = items(fields.get("targetResources"))
    actor = _actor(fields, summary)
    details = {text(one.get("key")): text(one.get("value")) for one in _details(fields)}
    event = some(
        actor=actor,
        api=some(
            operation=summary.operation,
            request=some(uid=summary.native_id, data=data(details)) if summary.native_id else None,
            service=some(name=summary.service),
        ),
        cloud=cloud("", said(fields, "tenantId", "aADTenantId"), ""),
        http_request=some(user_agent=summary.user_agent),
        message=f"{summary.operation} by {summary.entity}",
        metadata=some(
            correlation_uid=said(fields, "correlationId"),
            event_code=said(fields, "operationType"),
            log_name=said(fields, "category"),
            original_time=said(fields, "activityDateTime", "time", "timeGenerated"),
        ),
        src_endpoint=source(summary.src_ip),
        status_detail=said(fields, "resultReason", "resultDescription"),
    )
    return event | changed(targets, actor, summary)


def changed(targets: list[dict[str, Any]], actor: OCSF, summary: Summary) -> OCSF:
    """Return whom and what an activity of the directory changed, by the class of the event."""
    return _BY_CLASS[summary.class_uid](targets, actor, summary)


def _details(fields: Fields) -> list[dict[str, Any]]:
    """Return the additional details; what is no list of keys and values stays left over."""
    value = fields.record.get("additionalDetails")
    return items(fields.get("additionalDetails")) if isinstance(value, list) else []


def _actor(fields: Fields, summary: Summary) -> OCSF:
    by = table(fields.get("initiatedBy"))
    user, app = table(by.get("user")), table(by.get("app"))
    name = text(user.get("userPrincipalName")) or text(user.get("displayName"))
    known = name or text(user.get("id"))
    if not known:
        known = text(app.get("displayName")) or text(app.get("servicePrincipalId"))
        return some(
            app_name=text(app.get("displayName")),
            app_uid=text(app.get("appId")),
            user=some(
                name=known or summary.entity or "unknown",
                type="Service",
                type_id=4,
                uid=text(app.get("servicePrincipalId")),
            ),
        )
    return some(
        app_name=text(app.get("displayName")),
        user=some(
            name=known,
            email_addr=email(name),
            full_name=text(user.get("displayName")) if name != user.get("displayName") else None,
            uid=text(user.get("id")),
        ),
    )


def _person(targets: list[dict[str, Any]], kinds: tuple[str, ...] = _PEOPLE) -> OCSF:
    """Return the first user, or workload, among the targets."""
    for kind in kinds:
        for one in targets:
            if text(one.get("type")) == kind:
                name = text(one.get("userPrincipalName")) or text(one.get("displayName"))
                found = some(name=name, email_addr=email(name), uid=text(one.get("id")))
                if found.keys() & {"name", "uid"}:
                    return found
    return {}


def _changes(targets: list[dict[str, Any]]) -> dict[str, str]:
    """Return what properties were changed to, by name; texts are JSON in this log."""
    return {
        text(change.get("displayName")): text(change.get("newValue")).strip('"')
        for one in targets
        for change in items(one.get("modifiedProperties"))
    }


def _resources(targets: list[dict[str, Any]]) -> list[OCSF]:
    rows = (
        some(
            name=text(one.get("userPrincipalName")) or text(one.get("displayName")),
            type=text(one.get("type")),
            uid=text(one.get("id")),
            data=data(one.get("modifiedProperties")),
        )
        for one in targets[:32]
    )
    return [row for row in rows if row.keys() & {"name", "uid"}]


def _account_change(targets: list[dict[str, Any]], actor: OCSF, _: Summary) -> OCSF:
    user = _person(targets, ("User",)) or _person(targets) or actor["user"]
    return {"user": user, **some(user_result=_result(user, targets))}


def _result(user: OCSF, targets: list[dict[str, Any]]) -> OCSF:
    """Return the account as it became, where the log says what its name or type now is."""
    changes = _changes(targets)
    name = changes.get("UserPrincipalName", "").strip('[]"')
    kind = changes.get("UserType", "").strip('[]"')
    return user | some(name=name, type=kind) if name or kind else {}


def _group(targets: list[dict[str, Any]], actor: OCSF, summary: Summary) -> OCSF:
    group = next((one for one in targets if text(one.get("type")) == "Group"), {})
    changes = _changes(targets)
    name = text(group.get("displayName")) or changes.get("Group.DisplayName", "")
    uid = text(group.get("id")) or changes.get("Group.ObjectID", "")
    del actor
    known = some(name=name, type=text(group.get("groupType")), uid=uid)
    if not known.keys() & {"name", "uid"}:
        known["name"] = summary.operation
    return some(group=known, user=_person(targets, ("User", "ServicePrincipal")))


def _access(targets: list[dict[str, Any]], actor: OCSF, summary: Summary) -> OCSF:
    changes = _changes(targets)
    roles = [changes[name] for name in _ROLE_NAMES if changes.get(name)]
    roles += [text(one.get("displayName")) for one in targets if text(one.get("type")) == "Role"]
    return {
        "privileges": list(filter(None, roles))[:16] or [summary.operation],
        "user": _person(targets, ("User", "ServicePrincipal", "Group")) or actor["user"],
        **some(resources=_resources(targets)),
    }


def _entity(targets: list[dict[str, Any]], actor: OCSF, summary: Summary) -> OCSF:
    del actor
    first = targets[0] if targets else {}
    kind = text(first.get("type"))
    return {
        "entity": some(
            data=data(first.get("modifiedProperties")),
            name=text(first.get("displayName")) or text(first.get("id")) or summary.operation,
            type=kind,
            type_id=_ENTITIES.get(kind, 99) if kind else None,
            uid=text(first.get("id")),
        )
    }


def _api(targets: list[dict[str, Any]], actor: OCSF, summary: Summary) -> OCSF:
    del actor
    svc = summary.service or "Entra ID"
    return some(dst_endpoint={"svc_name": svc}, resources=_resources(targets))


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account_change,
    API_ACTIVITY: _api,
    ENTITY_MANAGEMENT: _entity,
    GROUP_MANAGEMENT: _group,
    USER_ACCESS: _access,
}
