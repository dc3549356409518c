"""From a record of the unified audit log to OCSF objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from connectors._azure.audit import changed
from connectors._json.fields import Fields, some
from connectors._json.objects import email, items, text, texts, whole
from connectors._json.records import data, inside, opened, said, source
from connectors._json.times import moment
from connectors._m365 import mail
from connectors.base import OCSF, Summary
from schemas.ocsf import (
    ACCOUNT_CHANGE,
    API_ACTIVITY,
    AUTHENTICATION,
    DETECTION_FINDING,
    EMAIL_ACTIVITY,
    ENTITY_MANAGEMENT,
    FILE_HOSTING,
    GROUP_MANAGEMENT,
    USER_ACCESS,
)

_KINDS: Final = frozenset(
    {"User", "Group", "ServicePrincipal", "Application", "Device", "Policy", "Role", "Company"}
)
_UPN, _NAME, _PUID = 5, 1, 3
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GROUP: Final = re.compile("<Group>([^<]*)</Group>")
_SERVICES: Final = frozenset({3, 4, 5, 6, 7, 8})
"""User types of the audit schema that are no people: system, application, service principal…"""
#: What OCSF does not define of a class.
_WITHOUT: Final = {
    DETECTION_FINDING: ("http_request", "src_endpoint"),
    EMAIL_ACTIVITY: ("http_request",),
}
_TENANT: Final = {"type": "M365 Tenant", "type_id": 17}


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of the record's class."""
    actor = _actor(fields, summary)
    tenant = said(fields, "OrganizationId")
    event = some(
        actor=actor,
        cloud=some(
            account={"uid": tenant, **_TENANT} if tenant else None,
            org=some(name=said(fields, "OrganizationName"), uid=tenant),
            provider="Microsoft 365",
        ),
        http_request=some(user_agent=summary.user_agent),
        message=f"{summary.operation} in {summary.service} by {summary.entity}",
        metadata=some(
            correlation_uid=said(fields, "CorrelationId", "InterSystemsId"),
            event_code=said(fields, "RecordType"),
            log_name=summary.service,
            log_version=said(fields, "Version"),
            original_time=said(fields, "CreationTime"),
        ),
        src_endpoint=source(summary.src_ip),
        status_code=said(fields, "ErrorNumber", "ResultStatus"),
        status_detail=said(fields, "LogonError", "ErrorMessage"),
    )
    for name in _WITHOUT.get(summary.class_uid, ()):
        event.pop(name, None)
    return event | _BY_CLASS[summary.class_uid](fields, actor, summary)


def _actor(fields: Fields, summary: Summary) -> OCSF:
    actors = items(fields.get("Actor"))
    uid = next((text(one.get("ID")) for one in actors if _GUID.fullmatch(text(one.get("ID")))), "")
    name = summary.entity or "unknown"
    kind = fields.get("UserType")
    service = kind.__class__ is int and kind in _SERVICES
    key = said(fields, "UserKey")
    return some(
        app_name=said(fields, "ApplicationDisplayName", "ClientProcessName"),
        app_uid=said(fields, "ApplicationId", "AppId", "ClientAppId"),
        session=some(uid=said(fields, "SessionId")),
        user=some(
            name=name,
            email_addr=email(name),
            type=("Service" if service else "Admin") if service or kind == 2 else None,
            type_id=(4 if service else 2) if service or kind == 2 else None,
            uid=uid or (key if _GUID.fullmatch(key) else ""),
            uid_alt=key if not _GUID.fullmatch(key) and key != name else None,
        ),
    )


def _named(fields: Fields, path: str) -> dict[str, str]:
    """Return a list of names and values as a table."""
    rows = items(fields.get(path))
    return {text(one.get("Name")): text(one.get("Value")) for one in rows}


def _authentication(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    extended = _named(fields, "ExtendedProperties")
    device = _named(fields, "DeviceProperties")
    target = next(iter(items(fields.get("Target"))), {})
    resource = text(target.get("ID")) or said(fields, "ObjectId")
    detail = extended.get("ResultStatusDetail", "")
    system = device.get("OS", "")
    compliant = device.get("IsCompliant", device.get("IsCompliantAndManaged", ""))
    known = some(name=device.get("DisplayName"), uid=device.get("Id"))
    return some(
        device=known
        and known
        | some(os={"name": system, "type_id": 99, "type": "Other"} if system else None)
        | {"type": "Unknown", "type_id": 0, "is_compliant": compliant.lower() == "true"},
        dst_endpoint={"svc_name": summary.service},
        is_remote=True,
        logon_type="Unknown",
        logon_type_id=0,
        service={"name": summary.service, **some(uid=resource)},
        session=some(uid=device.get("SessionId")),
        user=actor["user"],
    ) | ({"status_detail": detail} if detail and detail != "Success" else {})


def _directory(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    """Return what a record of the directory changed, as the audit log of Entra ID has it."""
    rows = items(fields.get("Target"))
    ids = [text(one.get("ID")) for one in rows]
    kind = next((uid for uid in ids if uid in _KINDS), "")
    names = {one.get("Type"): text(one.get("ID")) for one in rows if whole(one.get("Type"))}
    changes = [
        {"displayName": text(one.get("Name")), "newValue": text(one.get("NewValue"))}
        for one in items(fields.get("ModifiedProperties"))
    ]
    target = some(
        displayName=names.get(_NAME) or said(fields, "ObjectId"),
        id=next((uid for uid in ids if _GUID.fullmatch(uid)), ""),
        modifiedProperties=changes,
        type=kind or ("User" if _UPN in names else ""),
        userPrincipalName=names.get(_UPN),
    )
    details = data(_named(fields, "ExtendedProperties"))
    api = some(operation=summary.operation, service={"name": summary.service})
    api["request"] = some(data=details, uid=summary.native_id or "unknown")
    return changed([target], actor, summary) | {"api": api}


def _api(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    del actor
    request = fields.get("Parameters") or fields.get("NonPIIParameters")
    target = said(fields, "ObjectId")
    return some(
        api=some(
            operation=summary.operation,
            request=some(data=data(opened(request)), uid=summary.native_id or "unknown"),
            service={"name": summary.service},
        ),
        dst_endpoint={"svc_name": summary.service or "Microsoft 365"},
        resources=[some(name=target, type=said(fields, "ItemType"))] if target else None,
    )


def _change(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    """Return the account, group or access that a cmdlet or a site's owner changed."""
    if fields.record.get("Workload") == "AzureActiveDirectory" or summary.service == "Entra ID":
        return _directory(fields, actor, summary)
    found = _api(fields, actor, summary)
    asked = _named(fields, "Parameters")
    target = said(fields, "ObjectId")
    if summary.class_uid == GROUP_MANAGEMENT:
        return {"api": found["api"], **_group(fields, asked, target, summary)}
    user = _subject(fields, asked, target)
    if summary.class_uid == ACCOUNT_CHANGE:
        return {"api": found["api"], "user": user or actor["user"]}
    rights = asked.get("AccessRights") or text(
        inside(fields, "Item.ParentFolder").get("MemberRights")
    )
    return {
        "api": found["api"],
        "privileges": [rights or summary.operation],
        "user": user or actor["user"],
        **some(resources=found.get("resources")),
    }


def _subject(fields: Fields, asked: dict[str, str], target: str) -> OCSF:
    """Return who gets or loses something: as the cmdlet or the site names them."""
    name = asked.get("User") or asked.get("Trustee") or said(fields, "TargetUserOrGroupName")
    name = name or text(inside(fields, "Item.ParentFolder").get("MemberUpn"))
    name = name or asked.get("Identity") or asked.get("Name") or target
    return some(name=name, email_addr=email(name))


def _group(fields: Fields, asked: dict[str, str], target: str, summary: Summary) -> OCSF:
    named = _GROUP.search(said(fields, "EventData"))
    name = named[1] if named else said(fields, "TeamName") or asked.get("Identity", "")
    member = next(iter(items(fields.get("Members"))), {})
    user = text(member.get("UPN")) or asked.get("Member") or said(fields, "TargetUserOrGroupName")
    group = some(name=name or target, uid=said(fields, "AADGroupId", "TeamGuid"))
    return some(
        group=group or {"name": summary.operation},
        user=some(name=user, email_addr=email(user)) if user else None,
    )


def _file(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    del actor
    where = said(fields, "ObjectId")
    name = said(fields, "SourceFileName") or where.rstrip("/").rpartition("/")[2]
    folder = said(fields, "ItemType") == "Folder"
    new = said(fields, "DestinationFileName")
    to = "/".join(filter(None, (said(fields, "DestinationRelativeUrl"), new)))
    return some(
        dst_endpoint={"svc_name": summary.service},
        file=some(
            name=name or summary.operation,
            ext=said(fields, "SourceFileExtension"),
            path=where,
            size=whole(fields.get("FileSizeBytes")),
            type="Folder" if folder else "Regular File",
            type_id=2 if folder else 1,
            uid=said(fields, "ListItemUniqueId"),
        ),
        file_result={"name": new, "path": to, "type": "Regular File", "type_id": 1}
        if new
        else None,
    )


def _finding(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    about = inside(fields, "Data")
    entity = said(fields, "AlertEntityId") or text(about.get("f3u"))
    evidence = [{"user": some(name=entity, email_addr=email(entity))}] if entity else []
    title = said(fields, "Name") or summary.operation
    policy = said(fields, "PolicyId")
    return some(
        evidences=evidence,
        finding_info=some(
            analytic=some(name=title, type="Rule", type_id=1, uid=policy) if policy else None,
            desc=text(about.get("ad")) or said(fields, "Comments"),
            first_seen_time=moment(about.get("ts")),
            last_seen_time=moment(about.get("te")),
            title=title,
            types=texts(fields.get("Category")),
            uid=said(fields, "AlertId") or summary.native_id or title,
        ),
        is_alert=True,
        actor=actor,
    )


def _mail(fields: Fields, actor: OCSF, summary: Summary) -> OCSF:
    del actor
    return mail.objects(fields, summary)


_BY_CLASS: Final[dict[int, Callable[[Fields, OCSF, Summary], OCSF]]] = {
    ACCOUNT_CHANGE: _change,
    API_ACTIVITY: _api,
    AUTHENTICATION: _authentication,
    DETECTION_FINDING: _finding,
    EMAIL_ACTIVITY: _mail,
    ENTITY_MANAGEMENT: _directory,
    FILE_HOSTING: _file,
    GROUP_MANAGEMENT: _change,
    USER_ACCESS: _change,
}
