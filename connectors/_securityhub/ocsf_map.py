"""From a finding in ASFF to the OCSF objects of its class.

Fields go where AWS's own mapping puts them (OCSF examples, "Security Hub").
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors._findings.frame import (
    MOST,
    WARNING,
    inside,
    remediation,
    result,
    vulnerability,
    word,
    words,
)
from connectors._findings.frame import compliance as compliance_of
from connectors._json.fields import MAX_DATA, Fields, compact, some
from connectors._json.objects import address
from connectors._json.times import moment
from connectors._securityhub.kinds import attacks
from connectors._securityhub.vulnerabilities import vulnerabilities
from connectors.base import OCSF, Summary
from schemas.ocsf import COMPLIANCE_FINDING, DETECTION_FINDING, VULNERABILITY_FINDING

#: Where GuardDuty's part of ``ProductFields`` has the API call it saw.
CALL: Final = "aws/guardduty/service/action/awsApiCallAction/"
#: Where an address may be that a finding names as the source.
SOURCES: Final = (
    "Action.AwsApiCallAction.RemoteIpDetails.IpAddressV4",
    "Action.NetworkConnectionAction.RemoteIpDetails.IpAddressV4",
    "Network.SourceIpV4",
    "Network.SourceIpV6",
    f"ProductFields.{CALL}remoteIpDetails/ipAddressV4",
)
#: CVE, GitHub and Alpine, Debian, Red Hat advisories by their spelling.
_ID: Final = re.compile(r"CVE-\d{4}-\d{4,19}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}|RHSA-\d{4}:\d+")
_RESULTS: Final = {"NOT_AVAILABLE": 0, "INFOED": WARNING}  # Prowler says INFOED


def objects(fields: Fields, summary: Summary) -> OCSF:
    """Return what the class of a finding has beyond the frame."""
    text, get = fields.text, fields.get
    account = text("AwsAccountId")
    fix = remediation(
        text("Remediation.Recommendation.Text"), get("Remediation.Recommendation.Url") or []
    )
    confidence = get("Confidence")
    event = some(
        cloud=some(
            account=some(name=text("AwsAccountName"), uid=account)
            | {"type": "AWS Account", "type_id": 10}
            if account
            else None,
            provider="AWS",
            region=summary.region,
        ),
        comment=text("Note.Text"),
        confidence_score=confidence if confidence.__class__ is int else None,
        finding_info=_info(fields),
        message=text("Title"),
        metadata=_metadata(fields),
        resources=_resources(get("Resources")),
    )
    return event | _BY_CLASS[summary.class_uid](fields, fix)


def _compliance(fields: Fields, fix: OCSF | None) -> OCSF:
    text, get = fields.text, fields.get
    listed = get("Compliance.AssociatedStandards")
    items = listed[:MOST] if isinstance(listed, list) else ()
    reasons = get("Compliance.StatusReasons")
    said = [word(inside(each, "Description")) for each in reasons] if _is_list(reasons) else []
    word_of = text("Compliance.Status")
    control = text("Compliance.SecurityControlId") or text("ProductFields.ControlId")
    return some(
        compliance=compliance_of(
            control or text("GeneratorId"),
            _RESULTS.get(word_of, result(word_of)),
            text("Title"),
            words([inside(each, "StandardsId") for each in items]),
            requirements=words(get("Compliance.RelatedRequirements") or []),
            status_code=word_of,
            status_details=[each for each in said if each][:MOST],
        ),
        remediation=fix,
    )


def _vulnerability(fields: Fields, fix: OCSF | None) -> OCSF:
    found = vulnerabilities(fields.get("Vulnerabilities"), fix)
    return {"vulnerabilities": found or [_named(fields, fix)]}


def _named(fields: Fields, fix: OCSF | None) -> OCSF:
    """Return the vulnerability that a finding names only in its texts, as Trivy's do."""
    text = " ".join(fields.text(path) for path in ("GeneratorId", "Id", "Title"))
    found = _ID.search(text)
    listed = fields.get("Resources")
    first = listed[0] if isinstance(listed, list) and listed else None
    other = inside(first, "Details", "Other")
    name, version = word(inside(other, "PkgName")), word(inside(other, "Installed Package"))
    fixed = word(inside(other, "Patched Package"))
    package = some(name=name, fixed_in_version=fixed) | {"version": version or "unknown"}
    return vulnerability(
        found[0] if found else "unknown",
        affected_packages=[package] if name else None,
        remediation=fix,
    )


def _detection(fields: Fields, fix: OCSF | None) -> OCSF:
    return some(
        evidences=_evidences(fields), is_alert=True, remediation=fix, malware=_malware(fields)
    )


_BY_CLASS: Final = {
    COMPLIANCE_FINDING: _compliance,
    DETECTION_FINDING: _detection,
    VULNERABILITY_FINDING: _vulnerability,
}


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _info(fields: Fields) -> OCSF:
    text, get = fields.text, fields.get
    types = get("Types") or get("FindingProviderFields.Types") or []
    related = get("RelatedFindings")
    uids = [word(inside(each, "Id")) for each in related] if _is_list(related) else []
    generator = text("GeneratorId")
    return some(
        analytic={"type": "Rule", "type_id": 1, "uid": generator} if generator else None,
        attacks=attacks(types),
        created_time=moment(get("CreatedAt")),
        desc=text("Description"),
        first_seen_time=moment(get("FirstObservedAt")),
        last_seen_time=moment(get("LastObservedAt")),
        modified_time=moment(get("UpdatedAt")),
        related_events=[{"uid": uid} for uid in uids if uid][:MOST],
        src_url=text("SourceUrl"),
        title=text("Title"),
        types=words(types),
        uid=text("Id"),
    )


def _metadata(fields: Fields) -> OCSF:
    text = fields.text
    arn = text("ProductArn")
    name = text("ProductName") or text("ProductFields.ProviderName") or arn.rpartition("/")[2]
    company = text("CompanyName") or arn.rpartition("/")[0].rpartition("/")[2]
    version = text("ProductFields.ProviderVersion") or text(
        "ProductFields.aws/inspector/ProductVersion"
    )
    generator = text("GeneratorId")
    return some(
        log_version=text("SchemaVersion"),
        processed_time=moment(fields.get("ProcessedAt")),
        product=some(
            feature=some(uid=generator),
            name=name or "Security Hub",
            uid=arn,
            vendor_name=company,
            version=version,
        ),
    )


def _resources(listed: Any) -> list[OCSF]:
    found = []
    for item in listed[:MOST] if isinstance(listed, list) else ():
        uid = word(inside(item, "Id"))
        if not uid:
            continue
        details = inside(item, "Details")
        data = compact(details) if details else ""
        found.append(
            some(
                cloud_partition=word(inside(item, "Partition")),
                data=data if len(data) <= MAX_DATA else "",
                region=word(inside(item, "Region")),
                tags=_tags(inside(item, "Tags")),
                type=word(inside(item, "Type")),
                uid=uid,
            )
        )
    return found


def _tags(tags: Any) -> list[OCSF]:
    named = list(tags.items())[:MOST] if isinstance(tags, dict) else ()
    return [{"name": name, "value": word(value)} for name, value in named if isinstance(value, str)]


def _malware(fields: Fields) -> list[OCSF]:
    listed = fields.get("Malware")
    names = [word(inside(each, "Name")) for each in listed] if _is_list(listed) else []
    return [{"classification_ids": [0], "name": name} for name in names if name][:MOST]


def _evidences(fields: Fields) -> list[OCSF]:
    """Return the call and the connection that a finding names."""
    text, get = fields.text, fields.get
    old = f"ProductFields.{CALL}"
    operation = text("Action.AwsApiCallAction.Api") or text(f"{old}api")
    service = text("Action.AwsApiCallAction.ServiceName") or text(f"{old}serviceName")
    source = next((found for path in SOURCES if (found := address(get(path)))), "")
    country = text(f"{old}remoteIpDetails/country/countryName")
    port, target = get("Network.SourcePort"), address(get("Network.DestinationIpV4"))
    start = some(ip=source, location=some(country=country), port=_port(port))
    end = some(
        domain=text("Network.DestinationDomain"),
        ip=target or address(get("Network.DestinationIpV6")),
        port=_port(get("Network.DestinationPort")),
    )
    process = _process(get("Process"))
    evidence = some(
        api=some(operation=operation, service=some(name=service)) if operation else None,
        dst_endpoint=end if end.keys() & {"domain", "ip"} else None,
        process=process,
        src_endpoint=start if source else None,
    )
    return [evidence] if evidence else []


def _port(value: Any) -> int | None:
    return value if value.__class__ is int and 0 < value < 65_536 else None


def _process(value: Any) -> OCSF | None:
    pid = inside(value, "Pid")
    if pid.__class__ is not int or not 0 <= pid < 2**31:
        return None
    path = word(inside(value, "Path"))
    name = path.rpartition("/")[2]
    file = {"name": name, "path": path, "type": "Regular File", "type_id": 1} if name else None
    return some(file=file, name=word(inside(value, "Name"))) | {"pid": pid}
