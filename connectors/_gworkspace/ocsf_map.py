"""From an event of Google Workspace to the objects of its OCSF class."""

from __future__ import annotations

from typing import Any, Final

from connectors._gworkspace.activity import first, parameters
from connectors._json.fields import Fields, some
from connectors._json.objects import endpoint, text, texts, user, whole
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    FILE_HOSTING,
    GROUP_MANAGEMENT,
    USER_ACCESS,
)

_P: Final = "event.parameters"
#: Parameters that name what an event was about, and what that is.
_THINGS: Final = (
    ("APPLICATION_NAME", "application"),
    ("SETTING_NAME", "setting"),
    ("ORG_UNIT_NAME", "organizational_unit"),
    ("ROLE_NAME", "role"),
    ("API_CLIENT_NAME", "api_client"),
    ("DOMAIN_NAME", "domain"),
    ("DEVICE_ID", "device"),
    ("calendar_id", "calendar"),
    ("event_title", "calendar_event"),
    ("app_name", "application"),
    ("resource_name", "resource"),
    ("rule_name", "rule"),
)
_MFA: Final = {"google_authenticator", "google_prompt", "security_key", "totp", "idv_any_phone"} | {
    *("idv_preregistered_phone", "backup_code", "offline_otp", "internal_two_factor"),
}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of an event but the frame."""
    # In place of the list: so that a parameter has a path, and is left over under its name.
    event = first(fields.record.pop("events", None))
    fields.record["event"] = {**event, "parameters": parameters(event)}
    for name in ("etag", "event.name", "kind"):
        fields.get(name)  # of the envelope, or in the columns
    actor = _actor(fields)
    found = some(
        actor=actor,
        cloud=some(provider="Google Workspace", account=_account(fields)),
        message=f"{summary.entity or 'somebody'}: {summary.operation}",
        metadata=some(
            correlation_uid=text(fields.get("id.uniqueQualifier")),
            event_code=summary.operation,
            log_name=text(fields.get("id.applicationName")),
            profiles=["cloud"],
        ),
        status_detail=_said(fields, "login_failure_type"),
    )
    if summary.class_uid != DETECTION_FINDING:
        found["src_endpoint"] = _source(fields, summary)
    return found | _BY_CLASS[summary.class_uid](fields, summary, actor)


def _said(fields: Fields, *names: str) -> str:
    """Return the first text among parameters."""
    found = (next(iter(texts(fields.get(f"{_P}.{name}"))), "") for name in names)
    return next(filter(None, found), "")


def _account(fields: Fields) -> dict[str, Any]:
    return some(name=text(fields.get("ownerDomain")), uid=text(fields.get("id.customerId")))


def _actor(fields: Fields) -> dict[str, Any]:
    key = text(fields.get("actor.key"))
    kind = text(fields.get("actor.callerType"))
    found = some(
        app_name=text(fields.get("actor.applicationInfo.applicationName")) or key,
        app_uid=text(fields.get("actor.applicationInfo.oauthClientId")),
        user=user(
            fields.get("actor.email"),
            fields.get("actor.profileId"),
            type="Service" if kind == "KEY" else "User",
            type_id=4 if kind == "KEY" else 1,
        ),
    )
    return found if found.keys() & {"app_name", "app_uid", "user"} else {"app_name": "unknown"}


def _source(fields: Fields, summary: Summary) -> dict[str, Any]:
    network = fields.get("networkInfo.ipAsn")
    number = whole(next(iter(texts(network)), ""), 1 << 31)
    place = some(
        country=text(fields.get("networkInfo.regionCode")),
        region=text(fields.get("networkInfo.subdivisionCode")),
    )
    found = endpoint(
        summary.src_ip,
        autonomous_system={"number": number} if number is not None else None,
        location=place,
    )
    return found or {"name": "Google"}


def _person(fields: Fields, actor: dict[str, Any], summary: Summary) -> dict[str, Any]:
    """Return the user that was acted on; who acted, where no parameter names one."""
    named = _said(fields, "USER_EMAIL", "affected_email_address", "user_email", "email")
    return user(named) or actor.get("user") or {"name": summary.entity or "unknown"}


def _authentication(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    challenges = texts(fields.get(f"{_P}.login_challenge_method"))
    kind = _said(fields, "login_type")
    found = some(
        auth_protocol="SAML" if "saml" in kind else None,
        auth_protocol_id=5 if "saml" in kind else None,
        service={"name": summary.service},
        user=_person(fields, actor, summary),
    )
    if challenges:
        found["is_mfa"] = bool(_MFA & set(challenges))
    return found | {"is_remote": True}


def _account_change(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    return {"user": _person(fields, actor, summary)}


def _user_access(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    scopes = texts(fields.get(f"{_P}.scope"))
    role = _said(fields, "ROLE_NAME", "PRIVILEGE_NAME")
    app = some(name=_said(fields, "app_name"), uid=_said(fields, "client_id"))
    return some(
        privileges=scopes or ([role] if role else [summary.operation]),
        resources=[{**app, "type": "application"}] if app else None,
        user=_person(fields, actor, summary),
    )


def _group_management(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    group = _said(fields, "GROUP_EMAIL", "group_email", "group_id")
    member = user(_said(fields, "USER_EMAIL", "user_email", "member_id", "new_member_role_email"))
    return some(group={"name": group or "unknown"}, user=member)


def _file_hosting(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    title = _said(fields, "doc_title")
    uid = _said(fields, "doc_id")
    kind = _said(fields, "doc_type")
    folder = "folder" in kind
    owner = _said(fields, "owner")
    file = some(
        name=title or uid or "unknown",
        owner=user(owner),
        type="Folder" if folder else "Unknown",
        type_id=2 if folder else 0,
        uid=uid,
    )
    old = _said(fields, "old_value")
    changed = some(
        access_list=texts(fields.get(f"{_P}.new_value"))
        if summary.activity_id in (12, 13)
        else None,
        file=file,
        share=_said(fields, "target_user", "target_domain", "visibility"),
    )
    if summary.operation == "rename" and (new := _said(fields, "new_value")):
        renamed = {**file, "name": new}
        changed |= {"file": {**file, "name": old or file["name"]}, "file_result": renamed}
    return changed


def _resources(fields: Fields) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": kind}
        for parameter, kind in _THINGS
        if (name := _said(fields, parameter))
    ]


def _api_activity(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    return some(
        api={"operation": summary.operation, "service": {"name": summary.service}},
        resources=_resources(fields),
    )


def _detection_finding(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    person = _person(fields, actor, summary)
    title = summary.operation.replace("_", " ").capitalize()
    return {
        "actor": actor,
        "evidences": [{"src_endpoint": _source(fields, summary), "user": person}],
        "finding_info": some(
            analytic={"name": summary.operation, "type": "Rule", "type_id": 1},
            title=title,
            uid=summary.native_id or summary.operation,
        ),
        "is_alert": True,
        "metadata": some(
            event_code=summary.operation,
            log_name=text(fields.get("id.applicationName")),
            profiles=["cloud", "host"],
        ),
    }


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account_change,
    API_ACTIVITY: _api_activity,
    AUTHENTICATION: _authentication,
    DETECTION_FINDING: _detection_finding,
    FILE_HOSTING: _file_hosting,
    GROUP_MANAGEMENT: _group_management,
    USER_ACCESS: _user_access,
}
