"""kube-bench: nodes and control planes of Kubernetes against the CIS benchmark.

Source: kube-bench's ``check/controls.go`` (JSON output).

One finding a check, passed ones included, as ``Totals`` counts them. The report names
neither the node nor the time: an envelope does (see `connectors._findings.report`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame
from connectors._findings.connector import Columns, Finding, ScannerConnector
from connectors._findings.frame import word, words
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
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors.base import LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING
from sentinel.errors import DecodeError

#: kube-bench has no severities: a failed check of a hardening benchmark is of medium one, one
#: that a person must look at (WARN) of low one.
SEVERITY: Final = {"FAIL": 3, "WARN": 2}
INFORMATIONAL: Final = 1


class KubeBench(ScannerConnector):
    """Reports of kube-bench in JSON."""

    product: ClassVar[Mapping[str, Any]] = {"name": "kube-bench", "vendor_name": "Aqua Security"}
    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="kubernetes", service="kube-bench"),
    )
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {"context.control.version", "finding.test_number", "finding.status"}
    )

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart: ``Controls``, a list of controls, or one of them."""
        if first(document) == b"[":
            controls = items(document, "controls")
        else:
            found = objects(document, "a report of kube-bench")
            if "Controls" not in found and "tests" not in found:
                raise DecodeError(
                    "shape",
                    "expected a report of kube-bench (Controls), found an object with "
                    f"{', '.join(list(found)[:6]) or 'nothing in it'}; use --json",
                )
            controls = items(found.get("Controls"), "Controls") if "Controls" in found else []
            controls += [document] if "tests" in found else []
        findings = []
        for control in controls:
            findings += _checks(objects(control, "a control"))
        yield Scan(findings)

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns by the state of the check."""
        severity = SEVERITY.get(unit.text("finding.status"), INFORMATIONAL)
        return Columns(COMPLIANCE_FINDING, severity, unit.text("finding.test_number"))

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding: a check of the node that was scanned."""
        node = fields.text("scan.target")
        benchmark = fields.text("context.control.version")
        role = fields.text("context.control.node_type")
        title, status = fields.text("finding.test_desc"), fields.text("finding.status")
        told = words([fields.text("finding.reason"), fields.text("finding.actual_value")])
        section = fields.text("context.section.desc")
        return Finding(
            identity=("kube-bench", benchmark, columns.operation, node, role),
            title=title,
            types=words([section]),
            body=some(
                compliance=frame.compliance(
                    columns.operation,
                    frame.result(status),
                    title,
                    [benchmark or "CIS Kubernetes Benchmark"],
                    category=fields.text("context.control.text"),
                    requirements=words(fields.text("finding.expected_result")),
                    status_details=told,
                ),
                resources=frame.resource(node or role, kind=role or "node"),
                remediation=frame.remediation(fields.text("finding.remediation")),
                status_code=status,
                status_detail=" ".join(told),
            ),
        )


def _checks(control: dict[str, Document]) -> list[tuple[bytes, Document]]:
    """Return the checks of a control, each with its section."""
    names = ("id", "version", "detected_version", "text", "node_type")
    named = {name: word(value(control.get(name))) for name in names}
    found = []
    for item in items(control.get("tests"), "tests"):
        group = objects(item, "a section")
        section = {name: text(group.get(name)) for name in ("section", "desc")}
        made = context(control=named, section=section)
        found += [(made, check) for check in items(group.get("results"), "results")]
    return found
