"""From a record of the Azure activity log, in any spelling, to OCSF objects."""

from __future__ import annotations

from typing import Any, Final

from connectors._azure.objects import cloud, resource, subscription
from connectors._json.fields import Fields, some
from connectors._json.objects import email, http_method, text
from connectors._json.records import data, found, inside, opened, said, source, table, took
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import USER_ACCESS

_CLAIM: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_UPN, _NAME, _EMAIL = f"{_CLAIM}upn", f"{_CLAIM}name", f"{_CLAIM}emailaddress"
_OBJECT: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_METHODS: Final = "http://schemas.microsoft.com/claims/authnmethodsreferences"
#: What of the properties is in ``api``, in the status, or said by the frame.
_IN_API: Final = ("requestbody", "requestBody", "responseBody", "responsebody", "statusMessage")
_WHO: Final = (_UPN, _EMAIL, _NAME, "upn", "unique_name", "name", "appid", _OBJECT, "oid")


def who(claims: Any) -> str:
    """Return who the claims of a token name: user, else application, else object."""
    claims = table(claims)
    return next(filter(None, (text(claims.get(name)) for name in _WHO)), "")


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of API Activity or User Access."""
    uid = said(fields, "resourceId", "ResourceId", "_ResourceId", "resourceid")
    properties = inside(fields, "properties", "Properties_d", "Properties")
    subscribed = said(fields, "subscriptionId", "SubscriptionId") or subscription(uid)
    tenant = said(fields, "tenantId", "tenantid")
    actor = _actor(fields, summary)
    event = some(
        actor=actor,
        api=_api(fields, summary, properties),
        cloud=cloud(subscribed, tenant, summary.region),
        http_request=_http(fields, properties),
        message=said(fields, "resultDescription", "description", "operationName.localizedValue")
        or f"{summary.operation} by {summary.entity}",
        metadata=_metadata(fields),
        src_endpoint=source(summary.src_ip),
        status_code=took(properties, "statusCode")
        or said(fields, "subStatus.value", "resultSignature", "ActivitySubstatusValue"),
        status_detail=text(properties.get("statusMessage"))[:512],
        resources=[resource(uid, summary.region)] if uid else None,
    )
    if summary.class_uid == USER_ACCESS:
        event |= _access(properties, actor, summary)
    for name in _IN_API:
        properties.pop(name, None)
    if summary.class_uid == USER_ACCESS:
        return event
    return event | {"dst_endpoint": {"svc_name": summary.service or "Azure Resource Manager"}}


def _actor(fields: Fields, summary: Summary) -> OCSF:
    """Return the caller with what its token says of it."""
    claims = inside(fields, "claims", "identity.claims", "Claims_d", "Claims")
    allowed = inside(
        fields, "authorization", "identity.authorization", "Authorization_d", "Authorization"
    )
    evidence = table(allowed.get("evidence"))
    role = took(allowed, "role") or took(evidence, "role")
    caller = said(fields, "caller", "Caller") or summary.entity or "unknown"
    application = took(claims, "appid")
    session = some(
        uid=took(claims, "uti"),
        created_time=moment(claims.pop("iat", None)),
        expiration_time=moment(claims.pop("exp", None)),
        issuer=took(claims, "iss"),
    )
    if "mfa" in took(claims, _METHODS):
        session["is_mfa"] = True
    return some(
        app_uid=application,
        authorizations=[{"decision": "allowed", "policy": {"name": role}}] if role else None,
        session=session,
        user=some(
            name=caller,
            email_addr=email(caller),
            full_name=took(claims, "name"),
            uid=took(claims, _OBJECT, "oid") or text(evidence.get("principalId")),
            uid_alt=took(claims, "puid"),
            **(
                {"type": "Service", "type_id": 4}
                if took(claims, "idtyp") == "app" or caller == application
                else {}
            ),
        ),
    )


def _api(fields: Fields, summary: Summary, properties: dict[str, Any]) -> OCSF:
    body = properties.get("requestbody") or properties.get("requestBody")
    uid = said(fields, "correlationId", "CorrelationId", "correlationid") or summary.native_id
    answer = properties.get("responseBody") or properties.get("responsebody")
    return some(
        operation=summary.operation,
        request=some(uid=uid, data=data(opened(body))) if uid else None,
        response=some(
            data=data(opened(answer)), message=text(properties.get("statusMessage"))[:512]
        ),
        service=some(name=summary.service),
        version=said(fields, "operationVersion", "operationversion"),
    )


def _http(fields: Fields, properties: dict[str, Any]) -> OCSF:
    asked = inside(fields, "httpRequest", "HTTPRequest")
    uri = took(asked, "uri") or said(fields, "uri")
    agent = took(properties, "userAgentHeader")
    asked.pop("clientIpAddress", None)
    method = http_method(asked.get("method"))
    if method:  # what else is there stays unmapped
        del asked["method"]
    return some(
        http_method=method,
        uid=took(asked, "clientRequestId"),
        url=some(url_string=uri),
        user_agent=agent,
    )


def _access(properties: dict[str, Any], actor: OCSF, summary: Summary) -> OCSF:
    """Return whom a role was given to or taken from."""
    asked = table(opened(properties.get("requestbody") or properties.get("requestBody")))
    asked = table(asked.get("Properties") or asked.get("properties")) or asked
    answer = table(opened(properties.get("responseBody")))
    answer = table(answer.get("properties")) or answer
    both = {name.lower(): value for name, value in (answer | asked).items()}
    principal = text(both.get("principalid"))
    role = text(both.get("roledefinitionid")).rpartition("/")[2] or summary.operation
    user = {"uid": principal, "type": text(both.get("principaltype"))} if principal else None
    return {"privileges": [role], "user": some(**user) if user else actor["user"]}


def _metadata(fields: Fields) -> OCSF:
    return some(
        correlation_uid=said(fields, "correlationId", "CorrelationId", "correlationid"),
        event_code=said(fields, "eventName.value"),
        log_name=said(fields, "category.value", "category", "CategoryValue", "Category"),
        log_level=said(fields, "level", "Level"),
        logged_time=moment(found(fields, "submissionTimestamp", "EventSubmissionTimestamp")),
        original_time=said(fields, "eventTimestamp", "time", "TimeGenerated"),
    )
