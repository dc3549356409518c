"""Checkov: infrastructure as code against policies, dependencies and secrets in files.

Sources: Checkov's documentation, "Reviewing scan results" (JSON); ``checkov/common/output``.

A report is one framework, a list of frameworks, or counts alone where nothing was checked.
Checkov names neither time nor repository: send it in an envelope that does (see
`connectors._findings.report`), else the time is that of the file or of its arrival, and no
finding is concluded to be resolved.

Failed, passed and skipped checks are Compliance Findings; the framework ``secrets`` gives
Data Security Findings, ``sca_package`` and ``sca_image`` Vulnerability Findings. What could
not be parsed (``parsing_errors``) is in the ``context`` of nothing and is not a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame, identity
from connectors._findings.connector import NEW, SUPPRESSED, Columns, Finding, ScannerConnector
from connectors._findings.frame import inside, word, words
from connectors._findings.report import (
    Document,
    Scan,
    context,
    first,
    items,
    objects,
    text,
    value,
)
from connectors._findings.severity import of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._json.times import moment
from connectors.base import LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING, DATA_SECURITY_FINDING, VULNERABILITY_FINDING
from sentinel.errors import DecodeError

LISTS: Final = ("failed_checks", "passed_checks", "skipped_checks")
MEDIUM: Final = 3
"""Severity of a failed check that Checkov gives none (it does so only with an API key)."""
INFORMATIONAL: Final = 1
_SCA: Final = frozenset({"sca_package", "sca_image"})


class Checkov(ScannerConnector):
    """Reports of Checkov in JSON: one framework or several."""

    product: ClassVar[Mapping[str, Any]] = {"name": "Checkov", "vendor_name": "Prisma Cloud"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="checkov"),)
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {
            *("context.check_type", "finding.check_id", "finding.severity"),
            *("finding.check_result.result", "finding.vulnerability_details.id"),
            "finding.vulnerability_details.severity",
        }
    )

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart: one scan a framework, so that each is compared with its like."""
        listed = items(document, "frameworks") if first(document) == b"[" else [document]
        for framework in listed:
            yield self._framework(objects(framework, "a framework"))

    def _framework(self, found: dict[str, Document]) -> Scan:
        kind = text(found.get("check_type"))
        if "results" not in found and "checkov_version" not in found:
            raise DecodeError(
                "shape",
                "expected a report of Checkov (check_type, results, summary), found an object "
                f"with {', '.join(list(found)[:6]) or 'nothing in it'}; use --output json",
            )
        results = objects(found["results"], "results") if "results" in found else {}
        made = context(check_type=kind)
        summary = value(found.get("summary"))
        version = inside(summary, "checkov_version") or text(found.get("checkov_version"))
        return Scan(
            [(made, item) for name in LISTS for item in items(results.get(name), name)],
            target=text(found.get("repo_id")),
            version=word(version),
            scope=kind,
        )

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns; a check that passed is informational."""
        outcome = unit.text("finding.check_result.result").upper()
        kind = unit.text("context.check_type")
        severity = of_word(unit.get("finding.severity"), MEDIUM)
        status = SUPPRESSED if outcome == "SKIPPED" else NEW
        vulnerability = unit.text("finding.vulnerability_details.id")
        if kind in _SCA and vulnerability:
            severity = of_word(unit.get("finding.vulnerability_details.severity"), severity)
            return Columns(VULNERABILITY_FINDING, severity, vulnerability, status)
        rule = unit.text("finding.check_id")
        class_uid = DATA_SECURITY_FINDING if kind == "secrets" else COMPLIANCE_FINDING
        return Columns(class_uid, INFORMATIONAL if outcome == "PASSED" else severity, rule, status)

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding by its class."""
        path = identity.path(
            fields.text("finding.repo_file_path") or fields.text("finding.file_path")
        )
        lines = fields.get("finding.file_line_range")
        span = tuple(lines[:2]) if isinstance(lines, list) and len(lines) > 1 else (None, None)
        code = frame.affected_code(path, (span[0], span[1]), columns.operation)
        if columns.class_uid == VULNERABILITY_FINDING:
            return _vulnerability(fields, columns, path)
        if columns.class_uid == DATA_SECURITY_FINDING:
            return _secret(fields, columns, path, code)
        return _check(fields, columns, path, code)


def _check(fields: Fields, columns: Summary, path: str, code: list[dict[str, Any]]) -> Finding:
    """Return a check of a resource."""
    name, subject = fields.text("finding.check_name"), fields.text("finding.resource")
    subject = fields.text("finding.resource_address") or subject
    benchmarks = fields.get("finding.benchmarks")
    outcome = fields.text("finding.check_result.result")
    status = frame.result(outcome) or frame.FAIL
    standards = list(benchmarks)[:64] if isinstance(benchmarks, dict) else []
    scanned = fields.text("scan.target")
    return Finding(
        identity=(columns.operation, scanned, path, subject),
        title=name,
        rule_name=fields.text("finding.check_class"),
        types=words([fields.text("context.check_type"), fields.text("finding.bc_category")]),
        url=fields.text("finding.guideline"),
        desc=fields.text("finding.description") or fields.text("finding.short_description"),
        body=some(
            compliance=frame.compliance(
                columns.operation,
                status if columns.status_id == NEW else 0,
                name,
                standards or ["Checkov"],
                category=fields.text("finding.bc_category"),
            ),
            resources=frame.resource(
                f"{path}#{subject}", subject, fields.text("context.check_type")
            ),
            remediation=frame.remediation(
                fields.text("finding.fixed_definition"), fields.text("finding.guideline")
            ),
            evidences=[{"data": {"affected_code": code}}] if code else [],
            status_code=outcome,
            status_detail=word(inside(fields.get("finding.check_result"), "suppress_comment")),
        ),
    )


def _secret(fields: Fields, columns: Summary, path: str, code: list[dict[str, Any]]) -> Finding:
    """Return a secret in a file; `resource` is a hash that Checkov makes of it."""
    name = fields.text("finding.check_name")
    where = some(data=some(affected_code=code))
    return Finding(
        identity=(
            columns.operation,
            fields.text("scan.target"),
            path,
            fields.text("finding.resource"),
        ),
        title=f"{name} in {path}",
        types=["secret"],
        url=fields.text("finding.guideline"),
        body=some(
            data_security={
                "category": "Security",
                "category_id": 6,
                "data_lifecycle_state": "Data at-Rest",
                "data_lifecycle_state_id": 1,
                "detection_pattern": columns.operation,
            },
            file=frame.file(path) if path else None,
            resources=frame.resource(path, path, "file", **where),
            status_code=fields.text("finding.check_result.result"),
        ),
    )


def _vulnerability(fields: Fields, columns: Summary, path: str) -> Finding:
    """Return a known vulnerability of a dependency."""
    details = fields.get("finding.vulnerability_details")
    package = word(inside(details, "package_name"))
    fixed = word(inside(details, "lowest_fixed_version")) or word(inside(details, "status"))
    fixed = fixed.removeprefix("fixed in ") if fixed.startswith("fixed in ") else ""
    vector = inside(details, "vector")
    body = frame.vulnerability(
        columns.operation,
        cvss=frame.cvss(
            frame.vector_version(vector, "2.0"), inside(details, "cvss"), vector, "Checkov"
        ),
        created_time=moment(inside(details, "published_date")),
        desc=word(inside(details, "description")),
        severity=frame.severity_of(columns.severity_id),
        references=words(inside(details, "link")),
        affected_packages=[
            some(
                name=package or "unknown",
                version=word(inside(details, "package_version")) or "unknown",
                fixed_in_version=fixed,
                path=path,
            )
        ],
        is_fix_available=bool(fixed),
    )
    return Finding(
        identity=(columns.operation, fields.text("scan.target"), package, path),
        title=f"{columns.operation}: {package}",
        types=["vulnerability"],
        url=word(inside(details, "link")),
        body=some(vulnerabilities=[body], resources=frame.resource(path)),
    )
