"""Each kind of Trivy's findings in OCSF."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from connectors._findings import frame, identity
from connectors._findings.connector import Finding
from connectors._findings.frame import inside, word, words
from connectors._json.fields import Fields, some
from connectors._json.times import moment
from connectors.base import OCSF, Summary

#: Package types of Trivy's class ``os-pkgs`` and of all others, as OCSF ``type_id``.
_APPLICATION, _OPERATING_SYSTEM = (1, "Application"), (2, "Operating System")
#: OCSF ``data_security``: data at rest, found by a tool for developers, about security.
_AT_REST: Final = {
    "category": "Security",
    "category_id": 6,
    "data_lifecycle_state": "Data at-Rest",
    "data_lifecycle_state_id": 1,
    "detection_system": "Developer Security",
    "detection_system_id": 11,
    "confidentiality": "Secret",
    "confidentiality_id": 3,
}
_CODE_LINES: Final = 40


def place(fields: Fields) -> tuple[str, str]:
    """Return the file or layer that a result is of, and what was scanned.

    The target of operating system packages is the image with its tag, so it is none.
    """
    target = fields.text("context.result.Target")
    kind = fields.text("context.result.Class")
    scanned = fields.text("scan.target")
    if fields.get("context.workload"):
        names = [fields.text(f"context.workload.{name}") for name in ("Namespace", "Kind", "Name")]
        scanned = "/".join((scanned, *names))
    return "" if kind == "os-pkgs" else identity.path(target), scanned


def resources(fields: Fields) -> list[OCSF]:
    """Return what was scanned, and the workload that runs it."""
    found: list[OCSF] = []
    if fields.get("context.workload"):
        kind, name = fields.text("context.workload.Kind"), fields.text("context.workload.Name")
        namespace = fields.text("context.workload.Namespace")
        uid = "/".join(part for part in (namespace, kind, name) if part)
        found += frame.resource(uid, name, kind, namespace=namespace)
    named = fields.text("context.artifact.Name") or fields.text("context.result.Target")
    image = {"data": tags} if (tags := fields.get("context.artifact")) else {}
    kind = fields.text("context.artifact.Type") or fields.text("context.result.Type")
    return found + frame.resource(identity.artifact(named), named, kind, **image)


def vulnerability(fields: Fields, columns: Summary) -> Finding:
    """Return a known vulnerability of a package: Vulnerability Finding."""
    name, uid = fields.text("finding.PkgName"), columns.operation
    where, scanned = place(fields)
    path = fields.text("finding.PkgPath")
    fixed = fields.text("finding.FixedVersion")
    title = fields.text("finding.Title")
    system = fields.text("context.result.Class") == "os-pkgs"
    type_id, kind = _OPERATING_SYSTEM if system else _APPLICATION
    package = some(
        name=name or "unknown",
        version=fields.text("finding.InstalledVersion") or "unknown",
        fixed_in_version=fixed,
        path=path,
        purl=fields.text("finding.PkgIdentifier.PURL"),
        uid=fields.text("finding.PkgID"),
        package_manager=fields.text("context.result.Type"),
        type_id=type_id,
        type=kind,
    )
    body = frame.vulnerability(
        uid,
        fields.get("finding.CweIDs"),
        cvss=_scores(fields.get("finding.CVSS")),
        created_time=moment(fields.get("finding.PublishedDate")),
        modified_time=moment(fields.get("finding.LastModifiedDate")),
        title=title,
        desc=word(fields.get("finding.Description")),
        severity=frame.severity_of(columns.severity_id),
        references=words(fields.get("finding.References")),
        related_vulnerabilities=words(fields.get("finding.VendorIDs")),
        vendor_name=fields.text("finding.DataSource.Name"),
        affected_packages=[package],
        is_fix_available=bool(fixed),
        remediation=frame.remediation(f"Upgrade {name} to {fixed}." if fixed else ""),
    )
    return Finding(
        identity=(uid, scanned, name, identity.path(path) or where),
        title=f"{uid}: {title or name}",
        desc=word(fields.get("finding.Description")),
        url=fields.text("finding.PrimaryURL"),
        types=["vulnerability"],
        body=some(
            vulnerabilities=[body],
            resources=resources(fields),
            status_detail=fields.text("context.suppressed.Statement"),
            status_code=fields.text("finding.Status"),
        ),
    )


def misconfiguration(fields: Fields, columns: Summary) -> Finding:
    """Return a failed or passed check of configuration: Compliance Finding."""
    cause = fields.get("finding.CauseMetadata")
    where, scanned = place(fields)
    subject = word(inside(cause, "Resource"))
    status = fields.text("finding.Status")
    message = word(fields.get("finding.Message"))
    lines = frame.affected_code(where, (inside(cause, "StartLine"), inside(cause, "EndLine")))
    found = resources(fields)
    found += frame.resource(f"{where}#{subject}" if subject else "", subject)
    return Finding(
        identity=(columns.operation, scanned, where, subject, _same_message(message, cause)),
        title=fields.text("finding.Title"),
        desc=word(fields.get("finding.Description")),
        url=fields.text("finding.PrimaryURL"),
        types=words(fields.get("finding.Type")),
        body=some(
            compliance=frame.compliance(
                columns.operation,
                frame.result(status) or frame.FAIL,
                message,
                words(fields.text("finding.Namespace")),
                category=word(inside(cause, "Service")),
                status_details=words(message),
            ),
            remediation=frame.remediation(
                word(fields.get("finding.Resolution")), fields.get("finding.References")
            ),
            resources=found,
            evidences=[{"data": {"affected_code": lines}}] if lines else [],
            status_code=status,
            status_detail=fields.text("context.suppressed.Statement") or message,
        ),
    )


def secret(fields: Fields, columns: Summary) -> Finding:
    """Return a secret in a file: Data Security Finding; Trivy has blackened the secret itself."""
    where, scanned = place(fields)
    match = word(fields.get("finding.Match"))
    where = where or identity.path(fields.text("context.result.Target"))
    return Finding(
        identity=(columns.operation, scanned, where, identity.code(match)),
        title=f"{fields.text('finding.Title') or columns.operation} in {where or scanned}",
        types=["secret"],
        body=some(
            data_security=_AT_REST | some(pattern_match=match, detection_pattern=columns.operation),
            file=frame.file(where) if where else None,
            resources=resources(fields),
            status_detail=fields.text("finding.Category"),
        ),
    )


def licence(fields: Fields, columns: Summary) -> Finding:
    """Return a licence that a policy has a class for: Compliance Finding."""
    where, scanned = place(fields)
    package, category = fields.text("finding.PkgName"), fields.text("finding.Category")
    path = identity.path(fields.text("finding.FilePath"))
    title = f"{columns.operation} licence of {package or path or scanned}"
    # Trivy's classes: notice, permissive and unencumbered ask for nothing (severity LOW).
    outcome = frame.WARNING if columns.severity_id <= 2 else frame.FAIL
    return Finding(
        identity=("license", columns.operation, scanned, package, path or where),
        title=title,
        types=["license"],
        url=fields.text("finding.Link"),
        body=some(
            compliance=frame.compliance(
                columns.operation, outcome, title, ["license"], category=category
            ),
            resources=[*resources(fields), *frame.resource(package, package, "package")],
            status_code=category,
        ),
    )


def cyclonedx(fields: Fields, columns: Summary) -> Finding:
    """Return a vulnerability of a software bill of materials: Vulnerability Finding."""
    ref = unquote(fields.text("context.ref"))
    bare = ref.partition("#")[2] or ref  # urn:cdx:serial/version#bom-ref
    name = identity.package(bare)
    version = bare.partition("?")[0].rpartition("@")[2] if "@" in bare else ""
    scores = fields.get("finding.ratings")
    uid = columns.operation
    body = frame.vulnerability(
        uid,
        fields.get("finding.cwes"),
        cvss=[
            score
            for rating in (scores if isinstance(scores, list) else [])
            for score in frame.cvss(
                frame.vector_version(inside(rating, "vector"), "2.0"),
                inside(rating, "score"),
                inside(rating, "vector"),
                word(inside(rating, "source", "name")),
            )
        ],
        created_time=moment(fields.get("finding.published")),
        modified_time=moment(fields.get("finding.updated")),
        desc=word(fields.get("finding.description")),
        severity=frame.severity_of(columns.severity_id),
        affected_packages=[some(name=name or "unknown", version=version or "unknown", purl=bare)],
        remediation=frame.remediation(word(fields.get("finding.recommendation"))),
    )
    scanned = fields.text("scan.target")
    return Finding(
        identity=(uid, scanned, name),
        title=f"{uid}: {name}",
        desc=word(fields.get("finding.description")),
        types=["vulnerability"],
        body=some(vulnerabilities=[body], resources=frame.resource(scanned, kind="sbom")),
    )


def _scores(values: Any) -> list[OCSF]:
    """Return the CVSS scores of every source that Trivy names."""
    found: list[OCSF] = []
    for vendor, scores in list(values.items())[:16] if isinstance(values, dict) else ():
        for generation in ("2", "3", "40"):
            vector = inside(scores, f"V{generation}Vector")
            version = frame.vector_version(
                vector, {"2": "2.0", "3": "3.0", "40": "4.0"}[generation]
            )
            found += frame.cvss(version, inside(scores, f"V{generation}Score"), vector, vendor)
    return found


def _same_message(message: str, cause: Any) -> str:
    """Return what tells two failures of a check in one resource apart: code, else text."""
    lines = inside(cause, "Code", "Lines")
    listed = lines[:_CODE_LINES] if isinstance(lines, list) else []
    content = [word(inside(line, "Content")) for line in listed if inside(line, "IsCause") is True]
    return identity.code(*content) or identity.code(message)
