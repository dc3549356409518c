"""kubescape: clusters and manifests against NSA, MITRE and CIS frameworks.

Sources: kubescape's documentation, "Output formats"; ``opa-utils/reporthandling`` (report of
version 1: ``frameworks``/a list of them; of version 2: ``results`` and ``summaryDetails``).

Version 2 has one finding a control of a resource, passed ones included; version 1 one an
alert of a rule, for each Kubernetes object in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame, identity
from connectors._findings.connector import NEW, SUPPRESSED, Columns, Finding, ScannerConnector
from connectors._findings.frame import inside, word, words
from connectors._findings.report import Document, Scan, context, first, items, objects, text, value
from connectors._findings.severity import of_score, of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors.base import LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING
from sentinel.errors import DecodeError

INFORMATIONAL: Final = 1
_PATHS: Final = 16
Findings = list[tuple[bytes, Document]]


class Kubescape(ScannerConnector):
    """Reports of kubescape in JSON, of format versions 1 and 2."""

    product: ClassVar[Mapping[str, Any]] = {"name": "Kubescape", "vendor_name": "Kubescape"}
    logsources: ClassVar[tuple[LogSource, ...]] = (
        LogSource(product="kubernetes", service="kubescape"),
    )
    looks_at: ClassVar[frozenset[str]] = frozenset(
        {
            *("context.control.id", "context.control.severity", "context.control.score"),
            *("finding.controlID", "finding.severity", "finding.status.status"),
            *("finding.status.subStatus", "context.status"),
        }
    )

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart."""
        if first(document) == b"[":
            yield Scan(
                [pair for item in items(document, "frameworks") for pair in _framework(item)]
            )
            return
        found = objects(document, "a report of kubescape")
        if "results" in found and "summaryDetails" in found:
            yield _second(found)
        elif key := next((k for k in ("frameworks", "frameworkReports") if k in found), ""):
            yield Scan(
                [pair for item in items(found[key], key) for pair in _framework(item)],
                target=text(found.get("clusterName")),
                time=value(found.get("generationTime")),
                uid=text(found.get("reportGUID")) or text(found.get("reportID")),
            )
        elif "controlReports" in found:
            yield Scan(_framework(document))
        else:
            raise DecodeError(
                "shape",
                "expected a report of kubescape (results and summaryDetails, or frameworks), "
                f"found an object with {', '.join(list(found)[:6]) or 'nothing in it'}; use "
                "--format json --format-version v2",
            )

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns; a control that passed is informational."""
        outcome = unit.text("finding.status.status", "context.status").lower()
        word_ = unit.text("finding.severity", "context.control.severity")
        severity = of_word(word_) or of_score(unit.get("context.control.score")) or 3
        ignored = outcome == "skipped" or unit.text("finding.status.subStatus") == "w/exceptions"
        return Columns(
            COMPLIANCE_FINDING,
            INFORMATIONAL if outcome == "passed" else severity,
            unit.text("finding.controlID", "context.control.id"),
            SUPPRESSED if ignored else NEW,
        )

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding: a Kubernetes object that a control is about."""
        outcome = fields.text("finding.status.status") or fields.text("context.status")
        named = fields.get("context.resource")
        kind, name = word(inside(named, "kind")), word(inside(named, "name"))
        namespace = word(inside(named, "namespace"))
        uid = "/".join(part for part in (namespace, kind, name) if part)
        uid = uid or word(inside(named, "id"))
        path = identity.path(word(inside(named, "path")))
        title = fields.text("finding.name") or fields.text("context.control.name")
        message = fields.text("finding.alertMessage")
        result = frame.result(outcome) or frame.FAIL
        where = list(_failed_paths(fields))
        return Finding(
            identity=(columns.operation, fields.text("scan.target"), path, uid),
            title=title or message,
            rule_name=title,
            desc=fields.text("context.control.description"),
            types=words(fields.text("context.control.category")),
            body=some(
                compliance=frame.compliance(
                    columns.operation,
                    result if columns.status_id == NEW else 0,
                    title,
                    words(fields.get("context.frameworks")) or ["Kubescape"],
                    status_details=words([message, *where]),
                ),
                resources=frame.resource(
                    f"{path}#{uid}" if path else uid, name, kind, namespace=namespace
                ),
                remediation=frame.remediation(fields.text("context.control.remediation")),
                status_code=outcome,
                status_detail=message or ", ".join(where),
            ),
        )


def _second(found: dict[str, Document]) -> Scan:
    """Return the scan of a report of version 2: controls of each resource."""
    named = {}
    for item in items(found.get("resources"), "resources"):
        members = objects(item, "a resource")
        named[text(members.get("resourceID"))] = members
    summary = value(found.get("summaryDetails"))
    controls = inside(summary, "controls")
    frameworks = inside(summary, "frameworks")
    listed = frameworks if isinstance(frameworks, list) else []
    standards = [word(inside(each, "name")) for each in listed]
    findings: Findings = []
    for item in items(found.get("results"), "results"):
        members = objects(item, "a result")
        uid = text(members.get("resourceID"))
        resource = _resource(uid, named.get(uid, {}))
        for control in items(members.get("controls"), "controls"):
            known = inside(controls, text(objects(control, "a control").get("controlID")))
            made = context(resource=resource, control=_control(known), frameworks=standards)
            findings.append((made, control))
    metadata = value(found.get("metadata"))
    cluster = inside(metadata, "contextMetadata", "clusterContextMetadata", "contextName")
    repository = inside(metadata, "contextMetadata", "repoContextMetadata", "repo")
    return Scan(
        findings,
        target=text(found.get("clusterName")) or word(cluster) or word(repository),
        time=value(found.get("generationTime")),
        version=word(inside(metadata, "scanMetadata", "kubescapeVersion")),
        uid=text(found.get("reportGUID")),
    )


def _framework(raw: Document) -> Findings:
    """Return the findings of one framework of a report of version 1."""
    members = objects(raw, "a framework")
    if "controlReports" not in members:
        raise DecodeError("shape", "expected a framework with controlReports, found none in it")
    standards = [text(members.get("name"))]
    findings: Findings = []
    for item in items(members.get("controlReports"), "controlReports"):
        control = objects(item, "a control")
        said = {name: value(control.get(name)) for name in ("controlID", "id", "name", "baseScore")}
        said |= {name: text(control.get(name)) for name in ("description", "remediation")}
        for report in items(control.get("ruleReports"), "ruleReports"):
            answers = objects(report, "a rule").get("ruleResponses")
            for response in items(answers, "ruleResponses"):
                for resource in _alerted(response):
                    made = context(
                        resource=resource,
                        control=_control(said),
                        frameworks=standards,
                        status="failed",
                    )
                    findings.append((made, response))
    return findings


def _alerted(response: Document) -> Iterator[dict[str, str]]:
    """Yield the Kubernetes objects of an alert; one without a name where it has none."""
    alert = value(objects(response, "a response").get("alertObject"))
    listed = inside(alert, "k8sApiObjects")
    for each in listed if isinstance(listed, list) and listed else [None]:
        yield _object(each)


def _resource(uid: str, members: dict[str, Document]) -> dict[str, str]:
    source = value(members.get("source"))
    path = inside(source, "relativePath") or inside(source, "path")
    return _object(value(members.get("object"))) | some(id=uid, path=word(path))


def _object(each: Any) -> dict[str, str]:
    return some(
        kind=word(inside(each, "kind")),
        name=word(inside(each, "metadata", "name")) or word(inside(each, "name")),
        namespace=word(inside(each, "metadata", "namespace")) or word(inside(each, "namespace")),
    )


def _control(known: Any) -> dict[str, Any]:
    """Return what a report says of a control, under one set of names."""
    category = inside(known, "category")
    return some(
        id=word(inside(known, "controlID")) or word(inside(known, "id")),
        name=word(inside(known, "name")),
        description=word(inside(known, "description")),
        remediation=word(inside(known, "remediation")),
        score=inside(known, "scoreFactor") or inside(known, "baseScore"),
        severity=word(inside(known, "severity")),
        category=word(inside(category, "name")) or word(category),
    )


def _failed_paths(fields: Fields) -> Iterator[str]:
    """Yield which fields of the object failed."""
    rules = fields.get("finding.rules")
    listed = rules if isinstance(rules, list) else [{"paths": fields.get("finding.failedPaths")}]
    for rule in listed[:_PATHS]:
        paths = inside(rule, "paths")
        for path in paths[:_PATHS] if isinstance(paths, list) else ():
            failed = inside(path, "failedPath") or inside(path, "fixPath", "path")
            if found := word(path) or word(failed):
                yield found
