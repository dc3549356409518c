"""From a finding of Security Command Center to the OCSF finding it is."""

from __future__ import annotations

from typing import Any, Final

from connectors._google.objects import cloud, project
from connectors._json.fields import Fields, some
from connectors._json.objects import address, email, items, text, texts
from connectors._json.records import data, inside, said, table, took
from connectors._json.times import moment
from connectors.base import OCSF, Summary
from schemas.ocsf import COMPLIANCE_FINDING, DETECTION_FINDING, VULNERABILITY_FINDING

#: Which class a ``findingClass`` is; what is not here is a detection.
CLASSES: Final = {
    **dict.fromkeys(
        ("MISCONFIGURATION", "POSTURE_VIOLATION", "OBSERVATION", "SCC_ERROR"), COMPLIANCE_FINDING
    ),
    **dict.fromkeys(("THREAT", "TOXIC_COMBINATION", "CHOKEPOINT"), DETECTION_FINDING),
    "VULNERABILITY": VULNERABILITY_FINDING,
}
_MOST: Final = 32


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return the objects of the finding's class."""
    finding = inside(fields, "finding") or fields.record
    about = inside(fields, "resource")
    uid = text(finding.get("name")) or text(finding.get("canonicalName")) or summary.operation
    where = took(finding, "resourceName") or took(about, "name")
    event = some(
        cloud=cloud(
            project(uid) or project(where) or took(about, "projectDisplayName", "project"),
            summary.region,
            "",
            uid.split("/")[1] if uid.startswith("organizations/") else "",
        ),
        finding_info=_info(finding, uid, summary),
        message=took(finding, "description") or f"{summary.operation} on {where}",
        metadata=some(
            correlation_uid=said(fields, "notificationConfigName"),
            log_name=text(finding.get("findingClass")),
        ),
        resources=_resources(about, where),
        status_detail=" ".join(
            filter(None, (text(finding.get("state")), text(finding.get("mute"))))
        ),
    )
    finding.pop("findingClass", None)
    if summary.class_uid == COMPLIANCE_FINDING:
        return event | _compliance(finding, summary)
    if summary.class_uid == VULNERABILITY_FINDING:
        return event | {"vulnerabilities": [_vulnerability(finding, summary)]}
    return event | some(evidences=_evidences(finding), is_alert=True)


def _info(finding: dict[str, Any], uid: str, summary: Summary) -> OCSF:
    attack = table(finding.pop("mitreAttack", None))
    return some(
        attacks=_attacks(attack),
        created_time=moment(finding.pop("createTime", None)),
        desc=text(finding.get("description")),
        last_seen_time=summary.time,
        product=some(name=took(finding, "sourceDisplayName", "parentDisplayName")),
        src_url=took(finding, "externalUri"),
        title=summary.operation,
        types=texts(finding.get("findingClass")),
        uid=uid,
    )


def _attacks(attack: dict[str, Any]) -> list[OCSF]:
    """Return tactic and techniques; Google names them in capitals, without their ids."""
    tactic = _words(attack.get("primaryTactic"))
    names = [_words(name) for name in texts(attack.get("primaryTechniques"))]
    rows = [some(tactic=some(name=tactic), technique=some(name=name)) for name in names if name]
    return rows or ([{"tactic": {"name": tactic}}] if tactic else [])


def _words(value: Any) -> str:
    return text(value).replace("_", " ").title()


def _resources(about: dict[str, Any], where: str) -> list[OCSF]:
    kind = took(about, "type", "resourceType")
    name = took(about, "displayName") or where.rpartition("/")[2]
    return [some(name=name, type=kind, uid=where)] if where or name else []


def _compliance(finding: dict[str, Any], summary: Summary) -> OCSF:
    rows = items(finding.pop("compliances", None))[:_MOST]
    standards = [
        " ".join(filter(None, (text(row.get("standard")), text(row.get("version")))))
        for row in rows
    ]
    controls = [control for row in rows for control in texts(row.get("ids"))]
    advice = took(finding, "nextSteps")
    passed = summary.status_id == 4
    return some(
        compliance=some(
            control=summary.operation,
            requirements=controls[:_MOST],
            standards=list(filter(None, standards)) or ["Security Command Center"],
            status="Pass" if passed else "Fail",
            status_id=1 if passed else 3,
        ),
        remediation=some(desc=advice),
    )


def _vulnerability(finding: dict[str, Any], summary: Summary) -> OCSF:
    about = table(finding.pop("vulnerability", None))
    cve = table(about.get("cve"))
    score = table(cve.get("cvssv3"))
    base = score.get("baseScore")
    uid = text(cve.get("id"))
    package, fixed = table(about.get("offendingPackage")), table(about.get("fixedPackage"))
    advice = took(finding, "nextSteps")
    links = [text(row.get("uri")) for row in items(cve.get("references"))]
    known = (
        {
            "cve": some(
                uid=uid,
                cvss=[{"base_score": base, "version": "3.1"}]
                if base.__class__ in (int, float)
                else None,
            )
        }
        if uid
        else {"advisory": {"uid": summary.operation}}
    )
    name, version = text(package.get("packageName")), text(package.get("packageVersion"))
    return known | some(
        affected_packages=[
            some(
                name=name,
                version=version or "unknown",
                fixed_in_version=text(fixed.get("packageVersion")),
            )
        ]
        if name
        else None,
        is_fix_available=cve.get("upstreamFixAvailable") is True or bool(fixed) or None,
        references=list(filter(None, links))[:_MOST],
        remediation=some(desc=advice),
        severity=text(finding.get("severity")),
        title=summary.operation,
    )


def _evidences(finding: dict[str, Any]) -> list[OCSF]:
    """Return who and what a threat was seen with."""
    access = table(finding.pop("access", None))
    who, ip = text(access.get("principalEmail")), address(access.get("callerIp"))
    rows = [
        some(
            api=some(
                operation=text(access.get("methodName")),
                service=some(name=text(access.get("serviceName"))),
            )
            if text(access.get("methodName"))
            else None,
            src_endpoint=some(ip=ip),
            user=some(name=who, email_addr=email(who)) if who else None,
        )
    ]
    indicator = table(finding.get("indicator"))
    rows += [
        {"src_endpoint": {"ip": ip}}
        for ip in map(address, texts(indicator.get("ipAddresses")))
        if ip
    ]
    rows += [{"dst_endpoint": {"hostname": name}} for name in texts(indicator.get("domains"))]
    for process in items(finding.get("processes"))[:_MOST]:
        line = " ".join(texts(process.get("args")))
        path = text(table(process.get("binary")).get("path"))
        if text(process.get("name")) or path:
            rows.append(
                {"data": data({"process": text(process.get("name")) or path, "args": line})}
            )
    return [row for row in rows if row][:_MOST]
