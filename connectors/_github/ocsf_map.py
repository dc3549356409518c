"""From an event of GitHub's audit log to the objects of its OCSF class."""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import Fields, some
from connectors._json.objects import endpoint, text, texts, user
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    GROUP_MANAGEMENT,
    USER_ACCESS,
)

_CLOUD: Final = {"provider": "GitHub"}
#: Where an action says what may be done from now on.
_PERMISSIONS: Final = (
    *("permission", "new_permission", "new_repo_permission", "new_role", "role"),
    *("permissions_added", "programmatic_access_permissions"),
)
#: Things that an action is about: their field, and the field of their id.
_THINGS: Final = (
    ("repo", "repo_id", "repository"),
    ("repository", "repository_id", "repository"),
    ("branch", "protected_branch_id", "branch"),
    ("hook", "hook_id", "hook"),
    ("ruleset_name", "ruleset_id", "ruleset"),
    ("integration", "integration_id", "integration"),
    ("oauth_application_name", "oauth_application_id", "oauth_application"),
    ("key_title", "key_id", "key"),
    ("environment_name", "environment_id", "environment"),
    ("runner_name", "runner_id", "runner"),
    ("runner_group_name", "runner_group_id", "runner_group"),
    ("workflow", "workflow_id", "workflow"),
    ("team", "team_id", "team"),
    ("org", "org_id", "organization"),
    ("business", "business_id", "enterprise"),
)


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of an event but the frame."""
    actor = _actor(fields, summary)
    where = fields.get("actor_location")
    country = text(where.get("country_code")) if isinstance(where, dict) else ""
    fields.get("actor_location.country_code")
    target = text(fields.get("repo")) or text(fields.get("org")) or text(fields.get("business"))
    event = some(
        actor=actor,
        cloud=_CLOUD | _account(fields),
        http_request=_request(fields, summary),
        message=f"{summary.entity or 'somebody'}: {summary.operation} {target}".rstrip(),
        metadata=some(
            correlation_uid=text(fields.get("request_id")),
            event_code=summary.operation,
            log_name="audit",
            logged_time=moment(fields.get("created_at")),
            profiles=["cloud"],
        ),
        src_endpoint=endpoint(summary.src_ip, location={"country": country} if country else None)
        or {"name": "unknown"},
        status_detail=text(fields.get("reason")) or text(fields.get("failure_reason")),
    )
    return event | _BY_CLASS[summary.class_uid](fields, summary)


def _account(fields: Fields) -> dict[str, Any]:
    """Return the organization or enterprise as the account that the action was done in."""
    for name, uid in (("org", "org_id"), ("business", "business_id")):
        found = some(
            name=next(iter(texts(fields.get(name))), ""),
            uid=next(iter(texts(fields.get(uid))), ""),
        )
        if found:
            return {"account": found}
    return {}


def _actor(fields: Fields, summary: Summary) -> dict[str, Any]:
    bot = fields.get("actor_is_bot") is True
    person = user(
        fields.get("actor"),
        fields.get("actor_id"),
        fields.get("external_identity_nameid"),
        type="Service" if bot else "User",
        type_id=4 if bot else 1,
        uid_alt=text(fields.get("external_identity_nameid")),
    )
    session = some(
        credential_uid=text(fields.get("token_id")) or text(fields.get("hashed_token")),
        issuer=text(fields.get("programmatic_access_type")),
    )
    found = some(app_name=text(fields.get("oauth_application_name")), session=session, user=person)
    return found or {"app_name": summary.entity or "unknown"}


def _request(fields: Fields, summary: Summary) -> dict[str, Any]:
    path = text(fields.get("request_path")) or text(fields.get("url_path"))
    return some(
        url=some(path=path, query_string=text(fields.get("query_string"))) if path else None,
        user_agent=summary.user_agent,
        uid=text(fields.get("request_id")),
    )


def _resources(fields: Fields) -> list[dict[str, Any]]:
    found = []
    for name, uid, kind in _THINGS:
        named = some(
            name=next(iter(texts(fields.get(name))), ""),
            uid=next(iter(texts(fields.get(uid))), ""),
        )
        if named:
            found.append({**named, "type": kind})
    return found


def _person(fields: Fields, summary: Summary) -> dict[str, Any]:
    """Return the user that was acted on; who acted, where none is named."""
    found = user(
        fields.get("user") or fields.get("invitee") or fields.get("blocked_user"),
        fields.get("user_id"),
        fields.get("email"),
    )
    return found or user(summary.entity) or {"name": text(fields.get("email")) or "unknown"}


def _permissions(fields: Fields) -> list[str]:
    return [value for name in _PERMISSIONS for value in texts(fields.get(name))]


def _api_activity(fields: Fields, summary: Summary) -> OCSF:
    protocol = text(fields.get("transport_protocol_name")) or text(fields.get("protocol_name"))
    return some(
        api=some(operation=summary.operation, service={"name": summary.service}, version=protocol),
        resources=_resources(fields),
    )


def _authentication(fields: Fields, summary: Summary) -> OCSF:
    return {"is_remote": True, "service": {"name": "GitHub"}, "user": _person(fields, summary)}


def _account_change(fields: Fields, summary: Summary) -> OCSF:
    return {"user": _person(fields, summary)}


def _user_access(fields: Fields, summary: Summary) -> OCSF:
    return some(
        privileges=_permissions(fields) or [summary.operation],
        resources=_resources(fields),
        user=_person(fields, summary),
    )


def _group_management(fields: Fields, summary: Summary) -> OCSF:
    group = some(name=text(fields.get("team")), uid=text(fields.get("team_id")))
    repo = some(name=text(fields.get("repo")), uid=text(fields.get("repo_id")))
    return some(
        group=group or {"name": "unknown"},
        privileges=_permissions(fields),
        resource={**repo, "type": "repository"} if repo else None,
        user=user(fields.get("user"), fields.get("user_id")),
    )


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account_change,
    API_ACTIVITY: _api_activity,
    AUTHENTICATION: _authentication,
    GROUP_MANAGEMENT: _group_management,
    USER_ACCESS: _user_access,
}
