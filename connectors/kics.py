"""KICS: infrastructure as code against the queries of Checkmarx.

Sources: KICS documentation, "Results" (JSON report); ``pkg/model/summary.go``.

One finding a file of a query, as ``total_counter`` counts them. ``paths`` says what was
scanned as the scanner saw it, ``/path`` in its container: it names no repository, so a
target comes from an envelope (see `connectors._findings.report`). The bill of materials is
an inventory, not findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame, identity
from connectors._findings.connector import Columns, Finding, ScannerConnector
from connectors._findings.frame import word, words
from connectors._findings.report import Document, Scan, context, items, objects, text, value
from connectors._findings.severity import of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors.base import LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING
from sentinel.errors import DecodeError

#: What a query says of all its files.
QUERY: Final = (
    *("query_name", "query_id", "query_url", "severity", "platform", "cloud_provider", "cwe"),
    *("category", "description", "description_id", "cis_description_id", "cis_description_title"),
)


class Kics(ScannerConnector):
    """Reports of KICS in JSON."""

    product: ClassVar[Mapping[str, Any]] = {"name": "KICS", "vendor_name": "Checkmarx"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="kics"),)
    looks_at: ClassVar[frozenset[str]] = frozenset({"context.query_id", "context.severity"})

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart: one finding a file of a query."""
        found = objects(document, "a report of KICS")
        if "queries" not in found or "kics_version" not in found:
            raise DecodeError(
                "shape",
                "expected a report of KICS (kics_version, queries), found an object with "
                f"{', '.join(list(found)[:6]) or 'nothing in it'}; use --report-formats json",
            )
        findings = []
        for item in items(found["queries"], "queries"):
            query = objects(item, "a query")
            made = context(**{name: word(value(query.get(name))) for name in QUERY})
            findings += [(made, place) for place in items(query.get("files"), "files")]
        uid = text(found.get("scan_id"))
        yield Scan(
            findings,
            time=value(found.get("end")) or value(found.get("start")),
            version=text(found.get("kics_version")),
            uid="" if uid == "console" else uid,
        )

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns: those of the query."""
        severity = of_word(unit.get("context.severity"))
        return Columns(COMPLIANCE_FINDING, severity, unit.text("context.query_id"))

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding: a resource that a query is about."""
        path = identity.path(fields.text("finding.file_name"))
        kind, name = fields.text("finding.resource_type"), fields.text("finding.resource_name")
        key = fields.text("finding.search_key")
        line = fields.get("finding.line")
        code = frame.affected_code(path, (line, line), columns.operation)
        expected, actual = (
            fields.text("finding.expected_value"),
            fields.text("finding.actual_value"),
        )
        desc = fields.text("context.description")
        standards = ["CIS"] if fields.text("context.cis_description_id") else ["KICS"]
        return Finding(
            identity=(
                columns.operation,
                fields.text("scan.target"),
                path,
                f"{kind}.{name}",
                key,
                fields.text("finding.search_value"),
            ),
            title=fields.text("context.query_name"),
            rule_name=fields.text("context.query_name"),
            desc=desc,
            types=words([fields.text("context.category"), fields.text("context.platform")]),
            url=fields.text("context.query_url"),
            info=some(uid_alt=fields.text("finding.similarity_id")),
            body=some(
                compliance=frame.compliance(
                    columns.operation,
                    frame.FAIL,
                    desc,
                    standards,
                    category=fields.text("context.category"),
                    requirements=words(fields.text("context.cis_description_id")),
                    status_details=words([expected, actual]),
                ),
                resources=frame.resource(f"{path}#{kind}.{name}" if name else path, name, kind),
                remediation=frame.remediation(expected),
                evidences=[{"data": {"affected_code": code}}] if code else [],
                status_code=fields.text("finding.issue_type"),
                status_detail=actual,
            ),
        )
