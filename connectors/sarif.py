"""SARIF 2.1: what static analysis of any tool finds in code.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; GitHub's
"SARIF support for code scanning" for ``security-severity`` and fingerprints.

A result about code is an Application Security Posture Finding, one whose rule is a CVE a
Vulnerability Finding, one of a secret scanner a Data Security Finding. Severity: the rule's
``security-severity``, else the result's level, else the rule's, else ``warning`` (3.27.10).
A result that is suppressed (3.27.23) comes as suppressed, one whose baseline says ``absent``
or whose kind is ``pass`` as resolved. Identity: ``fingerprints``, else
``partialFingerprints``, else the code or message without its lines.
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
from connectors._findings.report import Document, Scan
from connectors._findings.severity import cwes, of_score, of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._sarif import runs
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import (
    APPLICATION_SECURITY_POSTURE_FINDING,
    DATA_SECURITY_FINDING,
    VULNERABILITY_FINDING,
)

DEFAULT_LEVEL: Final = "warning"
INFORMATIONAL: Final = 1
#: Tools that find secrets and nothing else, in lower case.
SECRET_TOOLS: Final = frozenset(
    {"gitleaks", "trufflehog", "detect-secrets", "ggshield", "whispers"}
)
_STEPS: Final = 32


class Sarif(ScannerConnector):
    """Results of any tool that writes SARIF 2.1."""

    product: ClassVar[Mapping[str, Any]] = {"name": "SARIF"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="sarif"),)
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {
            *("context.tool", "context.rule.id", "context.rule.level", "context.rule.severity"),
            *("context.rule.word", "context.rule.tags", "finding.ruleId", "finding.rule.id"),
            *(
                "finding.level",
                "finding.kind",
                "finding.suppressions.kind",
                "finding.baselineState",
            ),
            *("finding.properties.security-severity", "finding.suppressions.status"),
        }
    )

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a log apart; see `connectors._sarif.runs`."""
        return runs.scans(document)

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns of a result."""
        rule = unit.text("finding.ruleId", "finding.rule.id", "context.rule.id")
        kind = unit.text("finding.kind")
        level = unit.text("finding.level", "context.rule.level") or DEFAULT_LEVEL
        scored = unit.text("finding.properties.security-severity", "context.rule.severity")
        severity = of_score(scored) or of_word(unit.text("context.rule.word")) or of_word(level)
        if kind in {"pass", "notApplicable", "informational"}:
            severity = INFORMATIONAL
        return Columns(
            self._class(unit, rule), severity, rule or unit.text("context.tool"), self._status(unit)
        )

    @staticmethod
    def _class(unit: View, rule: str) -> int:
        tags = unit.get("context.rule.tags")
        secret = isinstance(tags, list) and "secret" in [str(tag).lower() for tag in tags]
        if secret or unit.text("context.tool").lower() in SECRET_TOOLS:
            return DATA_SECURITY_FINDING
        if rule[:4].upper() == "CVE-":
            return VULNERABILITY_FINDING
        return APPLICATION_SECURITY_POSTURE_FINDING

    @staticmethod
    def _status(unit: View) -> int:
        """Return the status: a suppression counts unless it is under review or rejected."""
        kinds = unit.get("finding.suppressions.kind")
        states = unit.get("finding.suppressions.status")
        states = states if isinstance(states, list) else []
        open_ = [state for state in states if state in ("underReview", "rejected")]
        if isinstance(kinds, list) and len(kinds) > len(open_):
            return SUPPRESSED
        gone = unit.text("finding.baselineState") == "absent"
        passed = unit.text("finding.kind") in {"pass", "notApplicable"}
        return RESOLVED if gone or passed else NEW

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding by its class."""
        rule = columns.operation
        path, region = _location(fields.get("finding.locations"))
        message = word(inside(fields.get("finding.message"), "text"))
        message = message or word(inside(fields.get("finding.message"), "markdown"))
        title = fields.text("context.rule.title") or fields.text("context.rule.name")
        span = inside(region, "startLine"), inside(region, "endLine") or inside(region, "startLine")
        code = frame.affected_code(
            path,
            span,
            rule,
            start_column=frame.number(inside(region, "startColumn")),
            end_column=frame.number(inside(region, "endColumn")),
        )
        suppressions = fields.get("finding.suppressions")
        first = suppressions[0] if isinstance(suppressions, list) and suppressions else None
        target = fields.text("scan.target")
        return Finding(
            identity=(rule, target, path, _fingerprint(fields, region, message)),
            title=title or message.partition("\n")[0][:200] or rule,
            rule_name=fields.text("context.rule.name"),
            desc=fields.text("context.rule.desc") or message,
            url=fields.text("context.rule.url"),
            types=words(fields.get("context.rule.tags")),
            product={"name": fields.text("context.tool") or "SARIF"},
            body=some(
                message=message or title or rule,
                resources=_resources(target or path, path, code, fields.get("finding.codeFlows")),
                status_detail=word(inside(first, "justification")),
                status_code=fields.text("finding.kind") or fields.text("finding.level"),
                **_body(fields, columns, path, code),
            ),
        )


def _body(fields: Fields, columns: Summary, path: str, code: list[OCSF]) -> OCSF:
    """Return the objects of the result's class."""
    rule, target = columns.operation, fields.text("scan.target")
    related = cwes(fields.get("context.rule.cwes"))
    severity = frame.severity_of(columns.severity_id)
    fix = frame.remediation(fields.text("context.rule.help"), fields.text("context.rule.url"))
    if columns.class_uid == DATA_SECURITY_FINDING:
        data = {"data_lifecycle_state_id": 1, "data_lifecycle_state": "Data at-Rest"}
        data |= {"category_id": 6, "category": "Security", "detection_pattern": rule}
        return some(data_security=data, file=frame.file(path) if path else None)
    if columns.class_uid == VULNERABILITY_FINDING:
        found = frame.vulnerability(
            rule,
            [each["uid"] for each in related],
            severity=severity,
            affected_code=code,
            **some(remediation=fix),
        )
        return {"vulnerabilities": [found]}
    named = target or path or fields.text("context.tool") or "unknown"
    about = {"application": {"name": named}} | some(remediation=fix)
    if related:
        weak = some(cwe=related[0], severity=severity, affected_code=code)
        return about | {"vulnerabilities": [weak]}
    return about


def _location(locations: Any) -> tuple[str, Any]:
    """Return the path and region of the first location."""
    place = locations[0] if isinstance(locations, list) and locations else None
    physical = inside(place, "physicalLocation")
    uri = word(inside(physical, "artifactLocation", "uri"))
    region = inside(physical, "region")
    if not uri:
        logical = inside(place, "logicalLocations")
        first = logical[0] if isinstance(logical, list) and logical else None
        uri = word(inside(first, "fullyQualifiedName")) or word(inside(first, "name"))
    return identity.path(uri), region


def _fingerprint(fields: Fields, region: Any, message: str) -> str:
    """Return what tells this result from others of its rule in its file."""
    for name in ("finding.fingerprints", "finding.partialFingerprints"):
        found = fields.get(name)
        if isinstance(found, dict) and found:
            return "|".join(f"{key}={word(found[key])}" for key in sorted(found))[:1024]
    snippet = word(inside(region, "snippet", "text"))
    return identity.code(*snippet.splitlines()) or identity.code(message)


def _resources(uid: str, path: str, code: list[OCSF], flows: Any) -> list[OCSF]:
    """Return the file, with the lines and the steps of a code flow as its data."""
    data = some(affected_code=code, code_flow=_flow(flows))
    return frame.resource(uid, path, "file", **some(data=data))


def _flow(flows: Any) -> list[OCSF]:
    """Return the steps of the first thread of the first code flow."""
    flow = flows[0] if isinstance(flows, list) and flows else None
    threads = inside(flow, "threadFlows")
    thread = threads[0] if isinstance(threads, list) and threads else None
    steps = inside(thread, "locations")
    found = []
    for step in steps[:_STEPS] if isinstance(steps, list) else ():
        place = inside(step, "location")
        path, region = _location([place])
        text = word(inside(place, "message", "text"))
        found.append(some(path=path, line=frame.number(inside(region, "startLine")), text=text))
    return [step for step in found if step]
