"""From a sign-in of Entra ID, in Graph's spelling, to OCSF Authentication."""

from __future__ import annotations

from typing import Any, Final

from connectors._azure.objects import cloud
from connectors._json.fields import Fields, some
from connectors._json.objects import email, items, text, texts, whole
from connectors._json.records import said, source, table
from connectors._json.times import moment
from connectors.base import OCSF, Summary

RISK: Final = {"low": 1, "medium": 2, "high": 3}
_RISK_NAMES: Final = {1: "Low", 2: "Medium", 3: "High"}
_PROTOCOLS: Final = {
    **dict.fromkeys(("oauth2", "ropc", "devicecode", "authenticationtransfer"), (6, "OAUTH 2.0")),
    "saml20": (5, "SAML"),
    "wsfederation": (99, "WS-Federation"),
}
_FACTORS: Final = (  # part of the method's name, OCSF factor type and its caption
    ("password", 11, "Password"),
    ("text message", 1, "SMS"),
    ("sms", 1, "SMS"),
    ("call", 3, "Phone Call"),
    ("notification", 5, "Push Notification"),
    ("oath", 7, "OTP"),
    ("verification code", 7, "OTP"),
    ("temporary access pass", 7, "OTP"),
    ("hello", 4, "Biometric"),
    ("passkey", 10, "WebAuthn"),
    ("fido", 10, "WebAuthn"),
    ("email", 8, "Email"),
)
_SYSTEMS: Final = (
    ("windows", 100, "Windows"),
    ("linux", 200, "Linux"),
    ("android", 201, "Android"),
    ("macos", 300, "macOS"),
    ("ios", 301, "iOS"),
)
_ACCESS: Final = {
    "success": {"action": "Allowed", "action_id": 1, "disposition": "Allowed"},
    "failure": {"action": "Denied", "action_id": 2, "disposition": "Blocked"},
}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of Authentication."""
    user = person(fields, summary)
    protocol = said(fields, "authenticationProtocol")
    kind, caption = _PROTOCOLS.get(protocol.lower(), (99, protocol))
    interactive = fields.get("isInteractive")
    required = said(fields, "authenticationRequirement")
    return some(
        actor=some(
            app_name=said(fields, "appDisplayName"), app_uid=said(fields, "appId"), user=user
        ),
        auth_factors=_factors(fields),
        auth_protocol=caption,
        auth_protocol_id=kind if protocol else None,
        cloud=cloud("", said(fields, "tenantId", "aADTenantId"), ""),
        device=_device(fields),
        dst_endpoint={"svc_name": summary.service or "Entra ID"},
        http_request=some(user_agent=summary.user_agent),
        is_mfa=required == "multiFactorAuthentication" if required else None,
        is_remote=True,
        logon_type="Interactive" if interactive is True else "Network",
        logon_type_id=2 if interactive is True else 3,
        message=f"{summary.operation} of {summary.entity} to {summary.service}",
        metadata=_metadata(fields),
        service=some(name=summary.service or "Entra ID", uid=said(fields, "resourceId")),
        session=some(uid=said(fields, "uniqueTokenIdentifier", "sessionId")),
        src_endpoint=place(fields, summary),
        status_code=said(fields, "status.errorCode", "resultType"),
        status_detail="; ".join(
            filter(
                None,
                (
                    said(fields, "status.failureReason", "resultDescription"),
                    said(fields, "status.additionalDetails"),
                ),
            )
        ),
        user=user,
        **_conditions(fields),
    )


def person(fields: Fields, summary: Summary) -> OCSF:
    """Return who signs in: a user, or a service principal or managed identity."""
    level = RISK.get(said(fields, "riskLevelAggregated", "riskLevel"))
    name = said(fields, "userPrincipalName", "servicePrincipalName", "userDisplayName")
    uid = said(fields, "userId", "servicePrincipalId")
    service = bool(said(fields, "servicePrincipalId")) and not said(fields, "userId")
    known = name or summary.entity or uid or "unknown"
    return some(
        name=known,
        email_addr=email(known),
        full_name=said(fields, "userDisplayName"),
        risk_level=_RISK_NAMES.get(level or 0),
        risk_level_id=level,
        type="Service" if service else said(fields, "userType") and "User",
        type_id=4 if service else 1 if said(fields, "userType") else None,
        uid=uid,
    )


def place(fields: Fields, summary: Summary) -> OCSF:
    """Return where it came from, with the place and network that Entra ID knows of it."""
    at = table(fields.get("location"))
    point = table(at.get("geoCoordinates"))
    location = some(
        city=text(at.get("city")),
        country=text(at.get("countryOrRegion")),
        region=text(at.get("state")),
    )
    if location:
        location |= some(lat=_degrees(point.get("latitude")), long=_degrees(point.get("longitude")))
    number = whole(fields.get("autonomousSystemNumber"), 1 << 31)
    network = {"number": number} if number else None
    return source(summary.src_ip, location=location, autonomous_system=network)


def _degrees(value: Any) -> float | None:
    return value if value.__class__ in (float, int) else None


def _device(fields: Fields) -> OCSF:
    detail = table(fields.get("deviceDetail"))
    uid, name = text(detail.get("deviceId")), text(detail.get("displayName"))
    system = text(detail.get("operatingSystem"))
    if not uid and not name:
        return {}
    kind = next((row for row in _SYSTEMS if row[0] in system.lower()), None)
    os = {"name": system, "type": kind[2] if kind else "Other", "type_id": kind[1] if kind else 99}
    trust = detail.get("isCompliant"), detail.get("isManaged")
    compliant, managed = (value if value.__class__ is bool else None for value in trust)
    return some(
        is_compliant=compliant,
        is_managed=managed,
        name=name,
        os=os if system else None,
        type=text(detail.get("trustType")),
        type_id=99 if detail.get("trustType") else 0,
        uid=uid,
    )


def _factors(fields: Fields) -> list[OCSF]:
    """Return the methods that were used, each once."""
    steps = items(fields.get("authenticationDetails"))
    names = [text(step.get("authenticationMethod")) for step in steps]
    names += texts(fields.get("authenticationMethodsUsed"))
    names.append(said(fields, "mfaDetail.authMethod"))
    rows: dict[str, OCSF] = {}
    for name in filter(None, names):
        known = next((row for row in _FACTORS if row[0] in name.lower()), ("", 99, name))
        rows.setdefault(name, {"factor_type": known[2], "factor_type_id": known[1]})
    return list(rows.values())[:16]


def _conditions(fields: Fields) -> OCSF:
    """Return what conditional access decided, by the policies that had a say."""
    policies = [
        some(name=text(one.get("displayName")), uid=text(one.get("id")))
        | {"result": text(one.get("result"))}
        for one in items(fields.get("appliedConditionalAccessPolicies"))
    ]
    applied = [one for one in policies if one["result"] in ("success", "failure") and len(one) > 1]
    decisions = [{"decision": one.pop("result"), "policy": one} for one in applied]
    status = said(fields, "conditionalAccessStatus").lower()
    found: OCSF = dict(_ACCESS.get(status, {}))
    if found:
        found["disposition_id"] = found["action_id"]
    return found | some(authorizations=decisions[:32])


def _metadata(fields: Fields) -> OCSF:
    kinds = texts(fields.get("signInEventTypes"))
    return some(
        correlation_uid=said(fields, "correlationId"),
        event_code=",".join(kinds),
        log_name=said(fields, "category") or "SignIns",
        original_time=said(fields, "createdDateTime", "timeGenerated"),
        logged_time=moment(fields.get("timeGenerated")),
    )
