"""Take Trivy's reports apart, of every kind and age.

Shapes (Trivy's ``pkg/types/report.go``, ``pkg/k8s/report/report.go``, and CycloneDX 1.4+):

- ``{"SchemaVersion": 2, "ArtifactName": …, "Results": […]}``: image, fs, repo, rootfs, vm, sbom;
- ``[{"Target": …, "Vulnerabilities": […]}]``: before 0.20 (whose ``null``, for nothing found, is
  refused: nobody can tell it from a scan that failed);
- ``{"ClusterName": …, "Resources": [{"Kind": …, "Results": […]}]}``: k8s; ``Findings`` in its
  summary, ``Vulnerabilities`` and ``Misconfigurations`` in older ones;
- ``{"bomFormat": "CycloneDX", "vulnerabilities": […]}``: one finding for each package affected;
- ``{"spdxVersion": …}``: packages alone, a scan without findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors._findings import identity
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
from sentinel.errors import DecodeError

#: Lists of findings in a result, and what is in them.
LISTS: Final = {
    "Vulnerabilities": "vulnerability",
    "Misconfigurations": "misconfiguration",
    "Secrets": "secret",
    "Licenses": "license",
}
_K8S: Final = ("Resources", "Findings", "Vulnerabilities", "Misconfigurations")
Findings = list[tuple[bytes, Document]]


def scans(document: Document) -> Iterator[Scan]:
    """Yield the scan that a report is of.

    Raises
    ------
    DecodeError
        Reason ``shape``: this is no report of Trivy.
    """
    if first(document) == b"[":
        yield Scan([pair for result in items(document, "results") for pair in _result(result)])
        return
    found = objects(document, "a report of Trivy")
    if "Results" in found or "ArtifactName" in found:
        yield _artifact(found)
    elif "ClusterName" in found:
        yield _cluster(found)
    elif "bomFormat" in found:
        yield _cyclonedx(found)
    elif "spdxVersion" in found:
        yield Scan([], target=identity.artifact(text(found.get("name"))))
    else:
        raise DecodeError(
            "shape",
            "expected a report of Trivy (Results, ClusterName, CycloneDX or SPDX), found an "
            f"object with {', '.join(list(found)[:6]) or 'nothing in it'}; run trivy with "
            "--format json",
        )


def _artifact(found: dict[str, Document]) -> Scan:
    kind = text(found.get("ArtifactType"))
    name = text(found.get("ArtifactName"))
    metadata = value(found.get("Metadata"))
    metadata = metadata if isinstance(metadata, dict) else {}
    around = {"artifact": {"Name": name, "Type": kind, "ID": text(found.get("ArtifactID"))}}
    for key in ("OS", "ImageID", "RepoTags", "RepoDigests"):
        if metadata.get(key):
            around["artifact"][key] = metadata[key]
    tool = value(found.get("Trivy"))
    version = tool.get("Version") if isinstance(tool, dict) else ""
    findings = [
        pair
        for result in items(found.get("Results"), "Results")
        for pair in _result(result, **around)
    ]
    return Scan(
        findings,
        target=identity.artifact(name) if "image" in kind else name,
        time=value(found.get("CreatedAt")),
        version=version if isinstance(version, str) else "",
        uid=text(found.get("ReportID")),
    )


def _cluster(found: dict[str, Document]) -> Scan:
    findings: Findings = []
    for key in _K8S:
        for item in items(found.get(key), key):
            workload = objects(item, "a resource of the cluster")
            named = {name: text(workload.get(name)) for name in ("Namespace", "Kind", "Name")}
            for result in items(workload.get("Results"), "Results"):
                findings += _result(result, workload=named)
    return Scan(
        findings,
        target=text(found.get("ClusterName")),
        time=value(found.get("CreatedAt")),
        uid=text(found.get("ReportID")),
    )


def _result(raw: Document, **around: object) -> Findings:
    """Return the findings of one result, suppressed ones included."""
    result = objects(raw, "a result")
    named = {name: text(result.get(name)) for name in ("Target", "Class", "Type")}
    found: Findings = []
    for key, kind in LISTS.items():
        made = context(kind=kind, result=named, **around)
        found += [(made, item) for item in items(result.get(key), key)]
    for item in items(result.get("ExperimentalModifiedFindings"), "modified findings"):
        modified = objects(item, "a modified finding")
        if "Finding" in modified:
            why = {name: text(modified.get(name)) for name in ("Status", "Statement", "Source")}
            kind = text(modified.get("Type"))
            made = context(kind=kind, suppressed=why, result=named, **around)
            found.append((made, modified["Finding"]))
    return found


def _cyclonedx(found: dict[str, Document]) -> Scan:
    metadata = value(found.get("metadata"))
    metadata = metadata if isinstance(metadata, dict) else {}
    component = metadata.get("component")
    name = component.get("name") if isinstance(component, dict) else ""
    findings: Findings = []
    for item in items(found.get("vulnerabilities"), "vulnerabilities"):
        affects = items(objects(item, "a vulnerability").get("affects"), "affects")
        for place in affects or [None]:
            ref = text(objects(place, "affects").get("ref")) if place is not None else ""
            findings.append((context(kind="cyclonedx", ref=ref), item))
    return Scan(
        findings,
        target=identity.artifact(name) if isinstance(name, str) else "",
        time=metadata.get("timestamp"),
        uid=text(found.get("serialNumber")),
    )
