"""From an audit event of Kubernetes to the objects of its OCSF class.

Follows OCSF's mapping example for EKS where it keeps to the schema. What was sent and
answered is kept as JSON text, and not at all where it is a secret.
"""

from __future__ import annotations

from typing import Any, Final

from connectors._json.fields import MAX_DATA, Fields, compact, some
from connectors._json.objects import address, endpoint, items, text, texts, user, whole
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import ACCOUNT_CHANGE, API_ACTIVITY, GROUP_MANAGEMENT, USER_ACCESS

_DECISION: Final = "authorization.k8s.io/decision"
_REASON: Final = "authorization.k8s.io/reason"
#: Resources whose bodies are secret, or hold what others sign in with.
_SECRET: Final = frozenset({"configmaps", "secrets", "tokenreviews"})
_NOT_SHOWN: Final = "(not shown: it may hold a secret)"
_RELATED: Final = {"role": "Related", "role_id": 4}
_CODES: Final = 1 << 15


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of an event but the frame."""
    actor = _actor(fields)
    path, _, query = fields.text("requestURI").partition("?")
    event = some(
        actor=actor,
        http_request=some(
            url=some(path=path, query_string=query) if path else None,
            user_agent=summary.user_agent,
        ),
        message=f"{summary.entity or 'somebody'}: {summary.operation} {_name(fields)}".rstrip(),
        metadata=some(
            correlation_uid=fields.text("auditID"),
            event_code=fields.text("stage"),
            log_level=fields.text("level"),
            log_version=fields.text("apiVersion"),
            profiles=["cloud"] if summary.class_uid != API_ACTIVITY else None,
        ),
        src_endpoint=_source(fields),
        start_time=moment(fields.get("requestReceivedTimestamp")),
        status_code=text(fields.get("responseStatus.code")),
        status_detail=fields.text("responseStatus.message") or fields.text("responseStatus.reason"),
    )
    event |= _BY_CLASS[summary.class_uid](fields, summary)
    fields.get("kind")
    return event


def _name(fields: Fields) -> str:
    """Return ``namespace/name`` of what the request was about."""
    return "/".join(
        filter(None, (fields.text(f"objectRef.{key}") for key in ("namespace", "name")))
    )


def _person(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        return {}
    groups = [{"name": name} for name in texts(found.get("groups"))]
    name = text(found.get("username"))
    system = name.startswith("system:")
    return user(
        name,
        found.get("uid"),
        groups=groups,
        type="System" if system else "Unknown",
        type_id=3 if system else 0,
    )


def _actor(fields: Fields) -> dict[str, Any]:
    annotations = fields.record.get("annotations")
    # Their keys have dots, so that `Fields.get` finds nothing; it only notes them as mapped.
    fields.get(f"annotations.{_DECISION}")
    fields.get(f"annotations.{_REASON}")
    found = annotations if isinstance(annotations, dict) else {}
    decision, reason = text(found.get(_DECISION)), text(found.get(_REASON))
    policy = {"name": reason, "type": "RBAC"} if reason else None
    extra = fields.get("user.extra")
    actor = some(
        authorizations=[some(decision=decision, policy=policy)] if decision or reason else None,
        session=_session(extra) if isinstance(extra, dict) else None,
        user=_person(fields.get("user")),
    )
    return actor if actor.keys() & {"session", "user"} else {"app_name": "unknown"} | actor


def _session(extra: dict[str, Any]) -> dict[str, Any]:
    """Return what the authenticator said: EKS's role session, or a bound token's pod."""

    def first(name: str) -> str:
        return next(iter(texts(extra.get(name))), "")

    return some(
        credential_uid=first("accessKeyId") or first("authentication.kubernetes.io/credential-id"),
        issuer=first("canonicalArn") or first("arn"),
        uid=first("sessionName") or first("authentication.kubernetes.io/pod-name"),
        uid_alt=first("arn") or first("authentication.kubernetes.io/pod-uid"),
    )


def _source(fields: Fields) -> dict[str, Any]:
    first, *others = [ip for ip in texts(fields.get("sourceIPs")) if address(ip)] or [""]
    return endpoint(first, intermediate_ips=others) or {"name": "unknown"}


def _resources(fields: Fields) -> list[dict[str, Any]]:
    kind = fields.text("objectRef.resource")
    below = fields.text("objectRef.subresource")
    group = fields.text("objectRef.apiGroup")
    found = []
    if kind:
        found = [
            some(
                group={"name": group} if group else None,
                name=fields.text("objectRef.name") or kind,
                namespace=fields.text("objectRef.namespace"),
                role="Target",
                role_id=1,
                type=f"{kind}/{below}" if below else kind,
                uid=fields.text("objectRef.uid"),
                version=fields.text("objectRef.resourceVersion"),
            )
        ]
    other = _person(fields.get("impersonatedUser"))
    if other:
        named = some(name=other.get("name"), uid=other.get("uid"))
        found.append({**named, "type": "ImpersonatedUser", **_RELATED})
    return found


def _body(fields: Fields, path: str) -> str:
    """Return a body as JSON text, or nothing where it is none, too long, or secret."""
    body = fields.get(path)
    if not isinstance(body, dict) or not body:
        return ""
    if fields.text("objectRef.resource") in _SECRET or body.get("kind") == "Secret":
        return _NOT_SHOWN
    data = compact(body)
    return data if len(data) <= MAX_DATA else f"(not shown: {len(data)} characters)"


def _containers(fields: Fields) -> list[dict[str, Any]]:
    """Return the containers that a pod, or a pattern for pods, asks for."""
    spec = fields.get("requestObject.spec")
    spec = spec if isinstance(spec, dict) else {}
    template = spec.get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        spec = template["spec"]
    found = []
    for each in items(spec.get("containers"))[:16]:
        image = text(each.get("image"))
        named = some(
            image={"name": image, "uid": image} if image else None, name=text(each.get("name"))
        )
        found += [named] if "name" in named else []
    return found


def _api(fields: Fields, summary: Summary) -> OCSF:
    asked, answered = _body(fields, "requestObject"), _body(fields, "responseObject")
    response = some(
        code=whole(fields.get("responseStatus.code"), _CODES),
        data=answered,
        error=fields.text("responseStatus.reason") if summary.status_id == 2 else None,
        message=fields.text("responseStatus.status"),
    )
    uid = fields.text("auditID") or summary.native_id or "unknown"
    return some(
        operation=summary.operation,
        request=some(containers=_containers(fields), data=asked, uid=uid),
        response=response,
        service={"name": summary.service},
        version=fields.text("objectRef.apiVersion"),
    )


def _api_activity(fields: Fields, summary: Summary) -> OCSF:
    return some(api=_api(fields, summary), resources=_resources(fields))


def _account_change(fields: Fields, summary: Summary) -> OCSF:
    space, name = fields.text("objectRef.namespace"), fields.text("objectRef.name")
    account = f"system:serviceaccount:{space or 'unknown'}:{name or 'unknown'}"
    found = user(account, fields.text("objectRef.uid"), type="Service", type_id=4)
    return {"user": found, "api": _api(fields, summary), "cloud": _CLOUD}


def _subjects(fields: Fields) -> list[dict[str, Any]]:
    return items(fields.get("requestObject.subjects"))


def _role(fields: Fields) -> list[str]:
    kind = fields.text("requestObject.roleRef.kind")
    name = fields.text("requestObject.roleRef.name")
    return [f"{kind}/{name}".strip("/")] if kind or name else ["unknown"]


def _user_access(fields: Fields, summary: Summary) -> OCSF:
    first = next(iter(_subjects(fields)), {})
    name, space = text(first.get("name")) or "unknown", text(first.get("namespace"))
    service = first.get("kind") == "ServiceAccount"
    return {
        "privileges": _role(fields),
        "resources": _resources(fields),
        "user": user(
            f"system:serviceaccount:{space}:{name}" if service else name,
            type="Service" if service else "User",
            type_id=4 if service else 1,
        ),
        "api": _api(fields, summary),
        "cloud": _CLOUD,
    }


def _group_management(fields: Fields, summary: Summary) -> OCSF:
    first = next(iter(_subjects(fields)), {})
    return {
        "group": {"name": text(first.get("name")) or "unknown"},
        "privileges": _role(fields),
        "api": _api(fields, summary),
        "cloud": _CLOUD,
    }


#: The cluster itself; who runs it for others says so in place of this.
_CLOUD: Final = {"provider": "Kubernetes"}
_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account_change,
    API_ACTIVITY: _api_activity,
    GROUP_MANAGEMENT: _group_management,
    USER_ACCESS: _user_access,
}
