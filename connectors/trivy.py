"""Trivy: vulnerabilities, misconfigurations, secrets and licences of images, files and clusters.

Sources: Trivy's documentation, "Reporting"; ``pkg/types/report.go``; CycloneDX 1.5.

Counts are Trivy's own: one finding an entry of ``Vulnerabilities``, ``Misconfigurations``,
``Secrets`` and ``Licenses``; findings that a ``.trivyignore`` or VEX document took out come
as suppressed (``--show-suppressed``). Trivy's SARIF goes to the source ``sarif``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings.connector import (
    NEW,
    SUPPRESSED,
    Columns,
    Finding,
    ScannerConnector,
)
from connectors._findings.report import Document, Scan
from connectors._findings.severity import of_score, of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields
from connectors._trivy import kinds, reports
from connectors.base import LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING, DATA_SECURITY_FINDING, VULNERABILITY_FINDING
from sentinel.errors import MappingError

#: Kind, its OCSF class, the field with the rule's id, and what makes the rest.
KINDS: Final[dict[str, tuple[int, str, Callable[[Fields, Summary], Finding]]]] = {
    "vulnerability": (VULNERABILITY_FINDING, "finding.VulnerabilityID", kinds.vulnerability),
    "cyclonedx": (VULNERABILITY_FINDING, "finding.id", kinds.cyclonedx),
    "misconfiguration": (COMPLIANCE_FINDING, "finding.ID", kinds.misconfiguration),
    "secret": (DATA_SECURITY_FINDING, "finding.RuleID", kinds.secret),
    "license": (COMPLIANCE_FINDING, "finding.Name", kinds.licence),
}


class Trivy(ScannerConnector):
    """Reports of Trivy in JSON, of every kind."""

    product: ClassVar[Mapping[str, Any]] = {"name": "Trivy", "vendor_name": "Aqua Security"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="trivy"),)
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {"context.kind", "context.suppressed", "finding.Severity", "finding.ratings.severity"}
        | {"finding.ratings.score", "finding.Status"}
        | {rule for _, rule, _ in KINDS.values()}
    )

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart; see `connectors._trivy.reports`."""
        return reports.scans(document)

    def finding_columns(self, unit: View) -> Columns:
        """Return class, severity and rule by the kind of finding."""
        kind = unit.get("context.kind")
        known = KINDS.get(kind) if kind.__class__ is str else None
        if known is None:
            raise MappingError(
                "unknown_kind",
                f"expected a finding of kind {', '.join(KINDS)}, found {kind!r:.40}",
            )
        severity = _worst(unit) if kind == "cyclonedx" else of_word(unit.get("finding.Severity"))
        excepted = unit.get("finding.Status") == "EXCEPTION"
        accepted = excepted or unit.get("context.suppressed") is not None
        return Columns(known[0], severity, unit.text(known[1]), SUPPRESSED if accepted else NEW)

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding by its kind."""
        return KINDS[fields.text("context.kind")][2](fields, columns)


def _worst(unit: View) -> int:
    """Return the worst severity of a CycloneDX vulnerability's ratings."""
    found = unit.get("finding.ratings.severity")
    scores = unit.get("finding.ratings.score")
    named = [of_word(word) for word in (found if isinstance(found, list) else [found])]
    scored = [of_score(score) for score in (scores if isinstance(scores, list) else [scores])]
    return max(named, default=0) or max(scored, default=0)
