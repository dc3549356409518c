"""tfsec: Terraform against its rules (its successor is ``trivy config``).

Source: tfsec's ``internal/pkg/formatters/json.go``; status numbers of ``defsec/pkg/scan``.

The report names neither time nor version nor repository: an envelope does (see
`connectors._findings.report`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame, identity
from connectors._findings.connector import NEW, SUPPRESSED, Columns, Finding, ScannerConnector
from connectors._findings.frame import words
from connectors._findings.report import EMPTY, Document, Scan, items, objects
from connectors._findings.severity import of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors.base import LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING
from sentinel.errors import DecodeError

FAILED, PASSED, IGNORED = 0, 1, 2
INFORMATIONAL: Final = 1
_OUTCOMES: Final = {FAILED: frame.FAIL, PASSED: frame.PASS, IGNORED: 0}


class Tfsec(ScannerConnector):
    """Reports of tfsec in JSON."""

    product: ClassVar[Mapping[str, Any]] = {"name": "tfsec", "vendor_name": "Aqua Security"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="tfsec"),)
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {"finding.rule_id", "finding.long_id", "finding.severity", "finding.status"}
    )

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart."""
        found = objects(document, "a report of tfsec")
        if "results" not in found:
            raise DecodeError(
                "shape",
                "expected a report of tfsec (results), found an object with "
                f"{', '.join(list(found)[:6]) or 'nothing in it'}; use --format json",
            )
        yield Scan([(EMPTY, item) for item in items(found["results"], "results")])

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns; a rule that passed is informational."""
        status = unit.get("finding.status")
        severity = INFORMATIONAL if status == PASSED else of_word(unit.get("finding.severity"))
        return Columns(
            COMPLIANCE_FINDING,
            severity,
            unit.text("finding.rule_id", "finding.long_id"),
            SUPPRESSED if status == IGNORED else NEW,
        )

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding: a resource that a rule is about."""
        path = identity.path(fields.text("finding.location.filename"))
        subject = fields.text("finding.resource")
        span = fields.get("finding.location.start_line"), fields.get("finding.location.end_line")
        code = frame.affected_code(path, span, columns.operation)
        desc, title = fields.text("finding.description"), fields.text("finding.rule_description")
        status = fields.get("finding.status")
        known = status if isinstance(status, int) and not isinstance(status, bool) else FAILED
        provider, service = (
            fields.text("finding.rule_provider"),
            fields.text("finding.rule_service"),
        )
        return Finding(
            identity=(
                columns.operation,
                fields.text("scan.target"),
                path,
                subject,
                identity.code(desc),
            ),
            title=title or desc,
            rule_name=fields.text("finding.long_id"),
            desc=desc,
            types=words([provider, service]),
            body=some(
                compliance=frame.compliance(
                    columns.operation, _OUTCOMES.get(known, frame.FAIL), title, ["tfsec"]
                ),
                resources=frame.resource(f"{path}#{subject}", subject, provider),
                remediation=frame.remediation(
                    fields.text("finding.resolution"), fields.get("finding.links")
                ),
                evidences=[{"data": {"affected_code": code}}] if code else [],
                status_detail=fields.text("finding.impact"),
            ),
        )
