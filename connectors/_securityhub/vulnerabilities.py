"""``Vulnerabilities`` of a finding as OCSF ``vulnerabilities``."""

from __future__ import annotations

from typing import Any, Final

from connectors._findings.frame import MOST, inside, remediation, vulnerability, word, words
from connectors._json.fields import some
from connectors._json.times import moment
from connectors.base import OCSF

_YES_NO: Final = {"YES": True, "NO": False}


def vulnerabilities(listed: Any, fix: OCSF | None) -> list[OCSF]:
    """Return the vulnerabilities of a finding.

    Parameters
    ----------
    listed
        ``Vulnerabilities``.
    fix
        The finding's own remediation.
    """
    items = listed[:MOST] if isinstance(listed, list) else ()
    return [made for item in items if (made := _one(item, fix))]


def _one(item: Any, fix: OCSF | None) -> OCSF | None:
    uid = word(inside(item, "Id"))
    if not uid:
        return None
    vendor = inside(item, "Vendor")
    score = inside(item, "EpssScore")
    known = isinstance(score, int | float) and not isinstance(score, bool)
    return vulnerability(
        uid,
        affected_packages=_packages(inside(item, "VulnerablePackages")),
        created_time=moment(inside(vendor, "VendorCreatedAt")),
        cvss=_cvss(inside(item, "Cvss")),
        epss={"score": str(score)} if known else None,
        is_exploit_available=_YES_NO.get(word(inside(item, "ExploitAvailable"))),
        is_fix_available=_fixed(inside(item, "FixAvailable")),
        modified_time=moment(inside(vendor, "VendorUpdatedAt")),
        references=_references(item),
        related_vulnerabilities=words(inside(item, "RelatedVulnerabilities") or []),
        remediation=fix,
        severity=word(inside(vendor, "VendorSeverity")),
        vendor_name=word(inside(vendor, "Name")),
    )


def _fixed(value: Any) -> bool | None:
    return True if value == "PARTIAL" else _YES_NO.get(word(value))


def _references(item: Any) -> list[str]:
    urls = words(inside(item, "ReferenceUrls") or [])
    return [*words(inside(item, "Vendor", "Url") or []), *urls]


def _cvss(listed: Any) -> list[OCSF]:
    found = []
    for item in listed[:MOST] if isinstance(listed, list) else ():
        score, version = inside(item, "BaseScore"), word(inside(item, "Version"))
        if isinstance(score, int | float) and not isinstance(score, bool) and version:
            vector = word(inside(item, "BaseVector"))
            source = word(inside(item, "Source"))
            made = some(vector_string=vector, vendor_name=source, version=version)
            found.append({"base_score": score, **made})
    return found


def _packages(listed: Any) -> list[OCSF]:
    items = listed[:MOST] if isinstance(listed, list) else ()
    return [made for item in items if (made := _package(item))]


def _package(item: Any) -> OCSF | None:
    name = word(inside(item, "Name"))
    if not name:
        return None
    epoch = word(inside(item, "Epoch"))
    fix = word(inside(item, "Remediation"))
    return some(
        architecture=word(inside(item, "Architecture")),
        epoch=int(epoch) if epoch.isdecimal() and epoch.isascii() and len(epoch) < 9 else None,
        fixed_in_version=word(inside(item, "FixedInVersion")),
        name=name,
        package_manager=word(inside(item, "PackageManager")),
        path=word(inside(item, "FilePath")),
        release=word(inside(item, "Release")),
        remediation=remediation(fix),
    ) | {"version": word(inside(item, "Version")) or "unknown"}
