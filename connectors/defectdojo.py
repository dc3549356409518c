"""DefectDojo's generic findings: what any tool's findings are brought into.

Source: DefectDojo documentation, "Generic Findings Import" (JSON).

A finding with a CVE is a Vulnerability Finding, any other an Application Security Posture
Finding. False positives, accepted risks, duplicates and what is out of scope come as
suppressed, what is mitigated or no longer active as resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame, identity
from connectors._findings.connector import (
    NEW,
    RESOLVED,
    SUPPRESSED,
    Columns,
    Finding,
    ScannerConnector,
)
from connectors._findings.frame import inside, word, words
from connectors._findings.report import Document, Scan, context, items, objects, text, value
from connectors._findings.severity import cwes, of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._json.times import moment
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import APPLICATION_SECURITY_POSTURE_FINDING, VULNERABILITY_FINDING
from sentinel.errors import DecodeError

_SUPPRESSED: Final = ("false_p", "risk_accepted", "duplicate", "out_of_scope")
#: Fields with the id of a vulnerability, in order of preference.
_CVES: Final = ("finding.cve", "finding.vulnerability_ids")


class DefectDojo(ScannerConnector):
    """Findings in DefectDojo's generic JSON."""

    product: ClassVar[Mapping[str, Any]] = {"name": "DefectDojo", "vendor_name": "DefectDojo"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="defectdojo"),)
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {
            *("context.type", "finding.title", "finding.severity", "finding.cve"),
            *("finding.vuln_id_from_tool", "finding.vulnerability_ids", "finding.active"),
            *(f"finding.{name}" for name in (*_SUPPRESSED, "is_mitigated", "cwe")),
        }
    )

    times: ClassVar[tuple[str, ...]] = ("finding.date",)

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a document apart."""
        found = objects(document, "generic findings")
        if "findings" not in found:
            raise DecodeError(
                "shape",
                "expected DefectDojo's generic findings (findings), found an object with "
                f"{', '.join(list(found)[:6]) or 'nothing in it'}",
            )
        kind = text(found.get("type")) or text(found.get("name"))
        made = context(name=text(found.get("name")), type=kind)
        yield Scan(
            [(made, item) for item in items(found["findings"], "findings")],
            time=value(found.get("scan_date")) or value(found.get("date")),
            version=text(found.get("version")),
            scope=kind,
        )

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns."""
        vulnerability = _vulnerability_id(unit.get("finding.cve"), unit.get(_CVES[1]))
        weakness = cwes(unit.get("finding.cwe"))
        rule = vulnerability or unit.text("finding.vuln_id_from_tool")
        rule = rule or (weakness[0]["uid"] if weakness else unit.text("finding.title"))
        status = NEW
        if unit.get("finding.is_mitigated") is True or unit.get("finding.active") is False:
            status = RESOLVED
        if any(unit.get(f"finding.{name}") is True for name in _SUPPRESSED):
            status = SUPPRESSED
        return Columns(
            VULNERABILITY_FINDING if vulnerability else APPLICATION_SECURITY_POSTURE_FINDING,
            of_word(unit.get("finding.severity")),
            rule[:256],
            status,
        )

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding."""
        title = fields.text("finding.title")
        path = identity.path(fields.text("finding.file_path"))
        component = fields.text("finding.component_name")
        endpoints = [_endpoint(each) for each in _list(fields.get("finding.endpoints"))]
        target = fields.text("scan.target") or fields.text("finding.service")
        own = fields.text("finding.unique_id_from_tool")
        line = fields.get("finding.line")
        code = frame.affected_code(path, (line, line), columns.operation)
        where = some(data=some(affected_code=code))
        names = (component, path, *sorted(endpoints)[:16])
        return Finding(
            identity=(columns.operation, target, *(names if any(names) else (own, title))),
            title=title,
            desc=fields.text("finding.description"),
            types=words([fields.text("context.type"), *words(fields.get("finding.tags"))]),
            info=some(uid_alt=own),
            body=some(
                **_body(fields, columns, target or component or path, component, code),
                resources=[
                    *frame.resource(target or path, path or target, **where),
                    *(
                        each
                        for name in endpoints[:16]
                        for each in frame.resource(name, name, "url")
                    ),
                ],
                status_detail=fields.text("finding.impact"),
            ),
        )


def _body(fields: Fields, columns: Summary, target: str, component: str, code: list[OCSF]) -> OCSF:
    """Return the objects of the finding's class."""
    severity = frame.severity_of(columns.severity_id)
    fix = frame.remediation(
        fields.text("finding.mitigation"), fields.text("finding.references").split()
    )
    weakness = cwes(fields.get("finding.cwe"))
    package = some(
        name=component,
        version=fields.text("finding.component_version") or "unknown",
        fixed_in_version=fields.text("finding.fix_version"),
    )
    common = some(
        severity=severity,
        affected_code=code,
        affected_packages=[package] if component else [],
        desc=fields.text("finding.description"),
    )
    if columns.class_uid == VULNERABILITY_FINDING:
        vector = fields.get("finding.cvssv3")
        score = fields.get("finding.cvssv3_score")
        epss, percentile = fields.get("finding.epss_score"), fields.get("finding.epss_percentile")
        scored = isinstance(percentile, int | float) and not isinstance(percentile, bool)
        found = frame.vulnerability(
            columns.operation,
            [each["uid"] for each in weakness],
            **some(remediation=fix),
            cvss=frame.cvss(frame.vector_version(vector, "3.0"), score, vector),
            epss=some(score=word(epss), percentile=percentile if scored else None)
            if word(epss)
            else None,
            created_time=moment(fields.get("finding.publish_date")),
            **common,
        )
        return {"vulnerabilities": [found]}
    named = target or fields.text("context.name") or "unknown"
    about: OCSF = {"application": {"name": named}} | some(remediation=fix)
    if not weakness:
        return about
    return about | {"vulnerabilities": [{"cwe": weakness[0]} | common]}


def _vulnerability_id(cve: Any, listed: Any) -> str:
    """Return the first id of a vulnerability: ``cve``, or ``vulnerability_ids``."""
    for each in (cve, *(listed if isinstance(listed, list) else [listed])):
        found = word(each) or word(inside(each, "vulnerability_id"))
        if found:
            return found
    return ""


def _endpoint(each: Any) -> str:
    """Return an endpoint as a URL: it is a text, or an object of its parts."""
    if isinstance(each, str):
        return each[:2048]
    host, path = word(inside(each, "host")), word(inside(each, "path"))
    protocol, port = word(inside(each, "protocol")), word(inside(each, "port"))
    start = f"{protocol}://" if protocol else ""
    return f"{start}{host}{f':{port}' if port else ''}{'/' if path else ''}{path.lstrip('/')}"


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
