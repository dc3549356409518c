"""From a CloudTrail record to an OCSF event.

Where CloudTrail's fields go follows the OCSF mapping examples for AWS. Request and
response stay JSON text, so that no store has to index their thousands of field names.
"""

from __future__ import annotations

from typing import Any, Final

from connectors._cloudtrail.target import auth_session, changed_user, group, policies, resources
from connectors._json.fields import MAX_DATA, Fields, compact, some
from connectors._json.objects import is_address
from connectors._json.observables import observables
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    GROUP_MANAGEMENT,
    STATUS_NAMES,
    VERSION,
)

_IN_SUMMARY: Final = ("awsRegion", "eventName", "eventSource", "userAgent")
_AWS_ACCOUNT: Final = {"type": "AWS Account", "type_id": 10}
_PROTOCOLS: Final = {
    "AssumeRoleWithSAML": {"auth_protocol": "SAML", "auth_protocol_id": 5},
    "AssumeRoleWithWebIdentity": {"auth_protocol": "OpenID", "auth_protocol_id": 4},
}
_OBSERVABLES: Final = (  # path, OCSF observable type
    ("src_endpoint.ip", 2, "IP Address"),
    ("actor.user.name", 4, "User Name"),
    ("actor.user.uid", 31, "User Object: uid"),
    ("user.name", 4, "User Name"),
    ("user.uid", 31, "User Object: uid"),
    ("group.name", 32, "Group Object: name"),
    ("http_request.user_agent", 16, "HTTP User-Agent"),
)


def build(unit: bytes, summary: Summary) -> OCSF:
    """Return the OCSF event of the record `unit`, whose columns are `summary`."""
    fields = Fields(unit)
    event = summary.head()
    actor = _actor(fields, summary)
    event |= some(
        actor=actor,
        api=_api(fields, summary),
        cloud=_cloud(fields, summary),
        http_request=some(user_agent=summary.user_agent),
        message=f"{summary.operation} on {summary.service} by {summary.entity}",
        src_endpoint=_source(fields, summary),
        status=STATUS_NAMES[summary.status_id],
        status_code=fields.text("errorCode"),
        status_detail=fields.text("errorMessage"),
    )
    event["status_id"] = summary.status_id
    event |= _BY_CLASS[summary.class_uid](fields, summary, actor)
    event["metadata"] = _metadata(fields, summary)
    event["observables"] = observables(event, _OBSERVABLES, most=None)
    return event | some(unmapped=fields.left(_IN_SUMMARY))


def _api_activity(fields: Fields, summary: Summary, _: dict[str, Any]) -> dict[str, Any]:
    host = fields.text("tlsDetails.clientProvidedHostHeader")
    return some(
        dst_endpoint=some(svc_name=summary.service, hostname=host), resources=resources(fields)
    )


def _authentication(fields: Fields, summary: Summary, actor: dict[str, Any]) -> dict[str, Any]:
    host = fields.text("tlsDetails.clientProvidedHostHeader")
    mfa = fields.get("additionalEventData.MFAUsed")
    found = some(
        dst_endpoint=some(svc_name=summary.service, hostname=host),
        session=auth_session(fields),
        user=actor.get("user") or {"name": summary.entity},
    )
    if mfa in ("Yes", "No"):
        found["is_mfa"] = mfa == "Yes"
    found["service"] = {"name": summary.service}
    return found | {"is_remote": True} | _PROTOCOLS.get(summary.operation, {})


def _account_change(fields: Fields, summary: Summary, actor: dict[str, Any]) -> dict[str, Any]:
    # IAM takes the caller where the request names nobody.
    user = changed_user(fields) or actor.get("user") or {"name": summary.entity}
    return some(policies=policies(fields), user=user)


def _group_management(fields: Fields, _: Summary, actor: dict[str, Any]) -> dict[str, Any]:
    del actor
    names = [policy.get("uid") or policy["name"] for policy in policies(fields)]
    return some(group=group(fields), privileges=names, user=changed_user(fields))


_BY_CLASS: Final = {
    ACCOUNT_CHANGE: _account_change,
    API_ACTIVITY: _api_activity,
    AUTHENTICATION: _authentication,
    GROUP_MANAGEMENT: _group_management,
}


def _actor(fields: Fields, summary: Summary) -> dict[str, Any]:
    """Return who acted: user, session, identity provider, and the service in between."""
    text = fields.text
    account = text("userIdentity.accountId")
    key = text("userIdentity.accessKeyId")
    user = some(
        account=some(uid=account) and {"uid": account, **_AWS_ACCOUNT},
        name=text("userIdentity.userName")
        or text("userIdentity.sessionContext.sessionIssuer.userName"),
        programmatic_credentials=[{"type": "AWS access key", "uid": key}] if key else None,
        type=text("userIdentity.type"),
        uid=text("userIdentity.arn") or text("userIdentity.onBehalfOf.userId"),
        uid_alt=text("userIdentity.principalId"),
    )
    if not user.keys() & {"account", "name", "uid"}:
        user = {"name": user["uid_alt"], **user} if "uid_alt" in user else {}
    found = some(
        app_name=text("userIdentity.invokedBy"),
        idp=some(
            name=text("userIdentity.identityProvider")
            or text("userIdentity.sessionContext.webIdFederationData.federatedProvider"),
            uid=text("userIdentity.onBehalfOf.identityStoreArn"),
        ),
        session=_session(fields),
        user=user,
    )
    if not found.keys() & {"app_name", "session", "user"}:
        found["app_name"] = summary.service or "unknown"
    return found


def _session(fields: Fields) -> dict[str, Any]:
    """Return the session that the caller's temporary credentials belong to."""
    base = "userIdentity.sessionContext"
    mfa = fields.text(f"{base}.attributes.mfaAuthenticated")
    session = some(
        created_time=moment(fields.text(f"{base}.attributes.creationDate")),
        issuer=fields.text(f"{base}.sessionIssuer.arn"),
    )
    if mfa in ("true", "false"):
        session["is_mfa"] = mfa == "true"
    if session.get("issuer"):
        session |= some(uid=fields.text("userIdentity.arn").rpartition("/")[2])
    return session


def _api(fields: Fields, summary: Summary) -> dict[str, Any]:
    request, response = fields.get("requestParameters"), fields.get("responseElements")
    uid = fields.text("requestID") or summary.native_id or ""
    return some(
        operation=summary.operation or "unknown",
        request=some(data=_data(request), uid=uid) if uid else None,
        response=some(
            data=_data(response),
            error=fields.text("errorCode"),
            error_message=fields.text("errorMessage"),
        ),
        service=some(name=summary.service),
        version=fields.text("apiVersion"),
    )


def _data(value: Any) -> str:
    """Return `value` as JSON text, or nothing where it is too long to embed."""
    text = compact(value) if value else ""
    return text if len(text) <= MAX_DATA else ""


def _cloud(fields: Fields, summary: Summary) -> dict[str, Any]:
    uid = fields.text("recipientAccountId") or fields.text("userIdentity.accountId")
    account = {"uid": uid, **_AWS_ACCOUNT} if uid else None
    return some(account=account, provider="AWS", region=summary.region)


def _source(fields: Fields, summary: Summary) -> dict[str, Any]:
    """Return where the call came from: an address, or the AWS service that made it."""
    address = fields.text("sourceIPAddress")
    found = some(uid=fields.text("vpcEndpointId"))
    if is_address(address):
        return found | {"ip": address}
    if address.endswith(".amazonaws.com") or address.startswith("AWS "):
        return found | {"svc_name": address}
    if address:
        return found | {"name": address}
    return found | {"svc_name": fields.text("userIdentity.invokedBy") or summary.service or "AWS"}


def _metadata(fields: Fields, summary: Summary) -> dict[str, Any]:
    category = fields.text("eventCategory")
    return some(
        correlation_uid=fields.text("sharedEventID"),
        event_code=fields.text("eventType"),
        log_name=category,
        log_version=fields.text("eventVersion"),
        original_time=fields.text("eventTime") or fields.text("@timestamp"),
        product=some(name="CloudTrail", vendor_name="AWS", feature=some(name=category)),
        profiles=["cloud"],
        uid=fields.text("eventID") and summary.native_id,
        version=VERSION,
    )
