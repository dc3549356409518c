"""From an audit log entry of Google Cloud to OCSF objects."""

from __future__ import annotations

from typing import Any, Final

from connectors._google.objects import cloud, member, project, scope
from connectors._json.fields import Fields, some
from connectors._json.objects import email, items, text, texts
from connectors._json.records import data, inside, opened, said, source, table, took
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    GROUP_MANAGEMENT,
    USER_ACCESS,
)

_MOST: Final = 64


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of the entry's class."""
    payload = inside(fields, "protoPayload", "jsonPayload")
    labels = inside(fields, "resource.labels")
    log = said(fields, "logName")
    actor = _actor(payload, summary)
    status = table(payload.get("status"))
    for name in ("status",):
        payload.pop(name, None)
    event = some(
        actor=actor,
        api=_api(fields, payload, summary, status),
        cloud=cloud(
            took(labels, "project_id") or project(log),
            summary.region,
            took(labels, "zone"),
            took(labels, "organization_id") or scope(log, "organizations"),
        ),
        http_request=some(user_agent=summary.user_agent),
        message=f"{summary.operation} on {summary.service} by {summary.entity or 'unknown'}",
        metadata=_metadata(fields, log),
        src_endpoint=_source(payload, summary),
        status_code=text(status.get("code")),
        status_detail=text(status.get("message"))[:1024],
    )
    if summary.class_uid == DETECTION_FINDING:
        return _finding(event, payload, summary)
    return event | _BY_CLASS[summary.class_uid](payload, actor, summary)


def _actor(payload: dict[str, Any], summary: Summary) -> OCSF:
    who = table(payload.pop("authenticationInfo", None))
    name = summary.entity or "unknown"
    key = text(who.get("serviceAccountKeyName"))
    service = name.endswith(".gserviceaccount.com")
    allowed = [
        some(
            decision="granted" if one.get("granted") is True else "denied",
            policy=some(name=text(one.get("permission")), uid=text(one.get("resource"))),
        )
        for one in items(payload.get("authorizationInfo"))[:_MOST]
    ]
    return some(
        authorizations=[one for one in allowed if "policy" in one],
        user=some(
            name=name,
            email_addr=email(name),
            programmatic_credentials=[{"type": "Service account key", "uid": key}] if key else None,
            type="Service" if service else "User",
            type_id=4 if service else 1,
            uid=text(who.get("principalSubject")),
            uid_alt=text(who.get("authoritySelector")) or text(who.get("oauthInfo")),
        ),
    )


def _api(fields: Fields, payload: dict[str, Any], summary: Summary, status: Any) -> OCSF:
    request, answer = payload.pop("request", None), payload.pop("response", None)
    uid = said(fields, "operation.id") or summary.native_id
    return some(
        operation=summary.operation,
        request=some(data=data(request), uid=uid) if uid else None,
        response=some(data=data(answer), error_message=text(table(status).get("message"))[:1024]),
        service=some(name=summary.service),
    )


def _metadata(fields: Fields, log: str) -> OCSF:
    name = log.rpartition("/logs/")[2].replace("%2F", "/")
    return some(
        correlation_uid=said(fields, "operation.id", "trace"),
        event_code=name.rpartition("/")[2],
        log_level=said(fields, "severity"),
        log_name=name,
        logged_time=moment(fields.get("receiveTimestamp")),
        original_time=said(fields, "timestamp"),
    )


def _source(payload: dict[str, Any], summary: Summary) -> OCSF:
    asked = table(payload.get("requestMetadata"))
    network = text(asked.get("callerNetwork")).rpartition("/")[2]
    found = source(summary.src_ip)
    if "ip" not in found and summary.src_ip in ("private", "gce-internal-ip", ""):
        found["svc_name"] = "Google Cloud"
    payload.pop("requestMetadata", None)
    return found | some(vpc_uid=network)


def _resources(payload: dict[str, Any]) -> list[OCSF]:
    """Return the resource of the call, and those whose permissions were asked for."""
    rows: dict[str, OCSF] = {}
    name = took(payload, "resourceName")
    if name:
        rows[name] = {"name": name.rpartition("/")[2] or name, "uid": name}
    for one in items(payload.pop("authorizationInfo", None))[:_MOST]:
        uid = text(one.get("resource"))
        kind = text(table(one.get("resourceAttributes")).get("type"))
        if uid:
            rows.setdefault(uid, {"name": uid.rpartition("/")[2] or uid, "uid": uid})
            rows[uid] |= some(type=kind)
    return list(rows.values())


def _call(payload: dict[str, Any], actor: OCSF, summary: Summary) -> OCSF:
    del actor
    return some(
        dst_endpoint={"svc_name": summary.service or "Google Cloud"}, resources=_resources(payload)
    )


def _authentication(payload: dict[str, Any], actor: OCSF, summary: Summary) -> OCSF:
    found = parameters(payload)
    target = took(payload, "resourceName")
    mfa = found.get("is_second_factor")
    kind = found.get("login_type", "")
    return some(
        auth_protocol="SAML" if kind == "saml" else kind,
        auth_protocol_id=5 if kind == "saml" else 99 if kind else None,
        dst_endpoint={"svc_name": summary.service},
        is_mfa=mfa == "true" if mfa else None,
        is_remote=True,
        service=some(name=summary.service, uid=target),
        user=actor["user"],
    )


def parameters(payload: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of Workspace's event in an entry, as text."""
    found: dict[str, str] = {}
    events = items(opened(table(payload.get("metadata")).get("event")))
    for one in (row for event in events for row in items(event.get("parameter"))):
        value = one.get("value", one.get("boolValue", one.get("intValue")))
        value = value if value is not None else next(iter(texts(one.get("multiStrValue"))), None)
        if value is not None:
            found[text(one.get("name"))] = (
                str(value).lower() if value in (True, False) else str(value)
            )
    return found


def _account(payload: dict[str, Any], actor: OCSF, summary: Summary) -> OCSF:
    found = parameters(payload)
    target = took(payload, "resourceName")
    name = found.get("USER_EMAIL") or found.get("affected_email_address") or _account_name(target)
    del summary
    if not name:
        return {"user": actor["user"]}
    return {"user": some(name=name, email_addr=email(name), uid=target)}


def _account_name(resource: str) -> str:
    """Return the service account in ``projects/-/serviceAccounts/<name>/keys/<id>``."""
    _, _, rest = resource.partition("/serviceAccounts/")
    return rest.partition("/")[0]


def _group(payload: dict[str, Any], actor: OCSF, summary: Summary) -> OCSF:
    del actor
    found = parameters(payload)
    name = found.get("GROUP_EMAIL") or took(payload, "resourceName") or summary.operation
    user = found.get("USER_EMAIL", "")
    return some(
        group={"name": name}, user=some(name=user, email_addr=email(user)) if user else None
    )


def _access(payload: dict[str, Any], actor: OCSF, summary: Summary) -> OCSF:
    """Return who got or lost which roles: those of the first member, and the rest beside it."""
    deltas = items(table(table(payload.get("serviceData")).get("policyDelta")).get("bindingDeltas"))
    wanted = "ADD" if summary.activity_id == 1 else "REMOVE"
    chosen = [one for one in deltas if one.get("action") == wanted] or deltas
    roles = [text(one.get("role")) for one in chosen if text(one.get("role"))]
    found = parameters(payload)
    user = member(chosen[0].get("member")) if chosen else None
    name = found.get("USER_EMAIL", "")
    if user is None:
        user = some(name=name, email_addr=email(name)) if name else actor["user"]
    if len(deltas) == len(chosen) == 1:
        payload.pop("serviceData", None)
    return some(
        privileges=list(dict.fromkeys(roles)) or [found.get("ROLE_NAME") or summary.operation],
        resources=_resources(payload),
        user=user,
    )


def _finding(event: OCSF, payload: dict[str, Any], summary: Summary) -> OCSF:
    """Return what Google says it noticed of an account."""
    found = parameters(payload)
    who = found.get("affected_email_address") or summary.entity or "unknown"
    evidence = {
        "user": some(name=who, email_addr=email(who)),
        "src_endpoint": event["src_endpoint"],
    }
    for name in ("actor", "http_request", "src_endpoint"):
        event.pop(name, None)
    return event | {
        "evidences": [evidence],
        "finding_info": {
            "title": summary.operation.rpartition(".")[2],
            "uid": summary.native_id or summary.operation,
        },
        "is_alert": True,
    }


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account,
    API_ACTIVITY: _call,
    AUTHENTICATION: _authentication,
    GROUP_MANAGEMENT: _group,
    USER_ACCESS: _access,
}
