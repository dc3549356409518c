"""From an event of Okta's system log to the objects of its OCSF class.

Follows OCSF's mapping examples for Okta where they keep to the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from connectors._json.fields import Fields, some
from connectors._json.objects import address, endpoint, items, text, texts, user, whole
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    ENTITY_MANAGEMENT,
    GROUP_MANAGEMENT,
    USER_ACCESS,
)

#: What Okta calls kinds of actors and targets, and OCSF's kinds of users.
_USER_KINDS: Final = {
    "User": ("User", 1),
    "SystemPrincipal": ("System", 3),
    "PublicClientApp": ("Service", 4),
    "ServiceAccount": ("Service", 4),
}
_ENTITY_KINDS: Final = {
    "User": ("User", 2),
    "UserGroup": ("Group", 3),
    "PolicyEntity": ("Policy", 5),
    "PolicyRule": ("Policy", 5),
    "NetworkZone": ("Network Zone", 7),
}
#: Okta's providers of second factors, and OCSF's kinds of factors.
_FACTORS: Final = {
    "OKTA_EMAIL": ("Email", 8),
    "SMS": ("SMS", 1),
    "CALL": ("Phone Call", 3),
    "SECURITY_QUESTION": ("Security Question", 2),
    "OTP": ("OTP", 7),
    "PASSWORD": ("Password", 11),
    "IWA": ("Other", 99),
}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return everything of an event but the frame."""
    actor = _actor(fields)
    message = fields.text("displayMessage") or summary.operation
    event = some(
        actor=actor,
        device=_device(fields) if summary.class_uid != ENTITY_MANAGEMENT else None,
        message=message,
        metadata=some(
            event_code=summary.operation,
            correlation_uid=text(fields.get("transaction.id")),
            log_name="System Log",
        ),
        status_code=fields.text("outcome.result"),
        status_detail=fields.text("outcome.reason"),
    )
    if summary.class_uid != DETECTION_FINDING:
        event |= some(http_request=_request(fields), src_endpoint=_source(fields, summary))
    event |= _BY_CLASS[summary.class_uid](fields, summary, actor)
    if "device" in event or "actor" in event:
        event["metadata"]["profiles"] = ["host"]
    return event


def _person(target: dict[str, Any]) -> dict[str, Any]:
    login = text(target.get("alternateId"))
    kind, kind_id = _USER_KINDS.get(text(target.get("type")), ("Unknown", 0))
    return user(
        "" if login == "unknown" else login,
        target.get("id"),
        full_name=text(target.get("displayName")),
        type=kind,
        type_id=kind_id,
    )


def _actor(fields: Fields) -> dict[str, Any]:
    found = fields.get("actor")
    session = fields.text("authenticationContext.externalSessionId")
    return some(
        user=_person(found) if isinstance(found, dict) else None,
        session=some(
            uid=session,
            uid_alt=fields.text("authenticationContext.rootSessionId"),
            issuer=fields.text("authenticationContext.issuer.id"),
        ),
    )


def _location(fields: Fields) -> dict[str, Any]:
    def at(name: str) -> Any:
        return fields.get(f"client.geographicalContext.{name}")

    found = some(
        city=text(at("city")),
        region=text(at("state")),
        country=text(at("country")),
        postal_code=text(at("postalCode")),
    )
    if found:
        for name, short in (("lat", "lat"), ("long", "lon")):
            degrees = at(f"geolocation.{short}")
            if isinstance(degrees, int | float) and not isinstance(degrees, bool):
                found[name] = degrees
    return found


def _source(fields: Fields, summary: Summary) -> dict[str, Any]:
    network = some(
        number=whole(fields.get("securityContext.asNumber"), 1 << 31),
        name=text(fields.get("securityContext.asOrg")),
    )
    hops = [address(hop.get("ip")) for hop in items(fields.get("request.ipChain"))]
    system = text(fields.get("client.userAgent.os"))
    found = endpoint(
        summary.src_ip,
        autonomous_system=network,
        domain=text(fields.get("securityContext.domain")),
        intermediate_ips=[hop for hop in hops if hop and hop != summary.src_ip],
        isp=text(fields.get("securityContext.isp")),
        location=_location(fields),
        os={"name": system, "type_id": _system(system), "type": _SYSTEMS[_system(system)]}
        if system.lower() not in ("", "unknown")
        else None,
        type=text(fields.get("client.device")),
        zone=text(fields.get("client.zone")).removeprefix("null"),  # Okta writes the word
    )
    found |= some(uid=fields.text("client.id"))
    # An endpoint needs a name of some kind; events of the system itself have no client.
    return found if found.keys() & {"ip", "name", "domain", "uid"} else {"name": "Okta"}


_SYSTEMS: Final = {99: "Other", 100: "Windows", 200: "Linux", 300: "macOS", 301: "iOS"} | {
    201: "Android"
}


def _system(name: str) -> int:
    low = name.lower()
    pairs = (("windows", 100), ("android", 201), ("ios", 301), ("mac", 300), ("linux", 200))
    return next((number for word, number in pairs if word in low), 99)


def _device(fields: Fields) -> dict[str, Any]:
    found = some(name=fields.text("device.name"), uid=fields.text("device.id"))
    if not found:
        return {}
    system = fields.text("device.os_platform")
    if system:
        number = 300 if system == "OSX" else _system(system)
        found["os"] = some(
            name=system,
            type=_SYSTEMS[number],
            type_id=number,
            version=fields.text("device.os_version"),
        )
    for name, ours in (("managed", "is_managed"), ("registered", "is_trusted")):
        if isinstance(value := fields.get(f"device.{name}"), bool):
            found[ours] = value
    return found | {"type": "Unknown", "type_id": 0}


def _request(fields: Fields) -> dict[str, Any]:
    path = fields.text("debugContext.debugData.requestUri")
    return some(
        uid=fields.text("debugContext.debugData.requestId"),
        url=some(path=path, url_string=fields.text("debugContext.debugData.url")),
        user_agent=fields.text("client.userAgent.rawUserAgent"),
    )


def _targets(fields: Fields, *kinds: str) -> list[dict[str, Any]]:
    """Return the targets of the types named, of all types where none is."""
    found = items(fields.get("target"))
    return [item for item in found if not kinds or item.get("type") in kinds]


def _named(target: dict[str, Any]) -> dict[str, Any]:
    return some(name=text(target.get("displayName")), uid=text(target.get("id")))


def _resources(fields: Fields) -> list[dict[str, Any]]:
    found = (some(**_named(target), type=text(target.get("type"))) for target in _targets(fields))
    return [item for item in found if item.keys() & {"name", "uid"}]


def _changed(fields: Fields, actor: dict[str, Any], summary: Summary) -> dict[str, Any]:
    """Return the user that was acted on; who acted, where no target says."""
    found = next(filter(None, map(_person, _targets(fields, "User", "AppUser"))), None)
    return found or actor.get("user") or {"name": summary.entity or "unknown"}


def _authentication(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    app = next(filter(None, map(_named, _targets(fields, "AppInstance"))), {"name": "Okta"})
    provider = fields.text("authenticationContext.credentialProvider")
    kind = fields.text("authenticationContext.credentialType")
    factor = _FACTORS.get(kind) or _FACTORS.get(provider)
    found: OCSF = {
        "is_remote": True,
        "service": app,
        # Who signs in is the actor, but where somebody takes on another's account.
        "user": _changed(fields, actor, summary)
        if "impersonation" in summary.operation
        else actor.get("user") or {"name": summary.entity or "unknown"},
    }
    if factor:
        found["auth_factors"] = [
            some(factor_type=factor[0], factor_type_id=factor[1], provider=provider)
        ]
    if "mfa" in summary.operation:
        found["is_mfa"] = True
    return found


def _account_change(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    return {"user": _changed(fields, actor, summary)}


def _privileges(fields: Fields) -> list[str]:
    granted = fields.text("debugContext.debugData.privilegeGranted")
    found = [name.strip() for name in granted.split(",") if name.strip()]
    kinds = ("ROLE", "Role", "CUSTOM_ROLE")
    roles = [text(target.get("displayName")) for target in _targets(fields, *kinds)]
    return [*found, *filter(None, roles)]


def _user_access(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    resources = [item for item in _resources(fields) if item.get("type") != "User"]
    return some(
        privileges=_privileges(fields) or [summary.operation],
        resources=resources,
        user=_changed(fields, actor, summary),
    )


def _group_management(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    groups = filter(None, map(_named, _targets(fields, "UserGroup", "Group")))
    people = filter(None, map(_person, _targets(fields, "User")))
    return some(
        group=next(groups, None) or {"name": "unknown"},
        privileges=_privileges(fields),
        user=next(people, None),
    )


def _entity_management(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    found = _targets(fields)
    named = next((each for each in found if _named(each)), {})
    kind, kind_id = _ENTITY_KINDS.get(text(named.get("type")), (text(named.get("type")), 99))
    entity = _named(named) or {"name": summary.operation}
    return {"entity": entity | some(type=kind, type_id=kind_id)}


def _api_activity(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    return some(
        actor=actor or {"app_name": "Okta"},
        api={"operation": summary.operation, "service": {"name": "Okta"}},
        resources=_resources(fields),
    )


def _detection_finding(fields: Fields, summary: Summary, actor: dict[str, Any]) -> OCSF:
    evidence = some(
        actor=actor, http_request=_request(fields), src_endpoint=_source(fields, summary)
    )
    return {
        "evidences": [evidence],
        "finding_info": some(
            title=fields.text("outcome.reason") or fields.text("displayMessage"),
            types=texts(fields.get("debugContext.debugData.threatDetections")),
            uid=summary.native_id or summary.operation,
        ),
        "is_alert": True,
    }


_BY_CLASS: Final[dict[int, Callable[[Fields, Summary, dict[str, Any]], OCSF]]] = {
    ACCOUNT_CHANGE: _account_change,
    API_ACTIVITY: _api_activity,
    AUTHENTICATION: _authentication,
    DETECTION_FINDING: _detection_finding,
    ENTITY_MANAGEMENT: _entity_management,
    GROUP_MANAGEMENT: _group_management,
    USER_ACCESS: _user_access,
}
