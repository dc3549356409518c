"""Prowler: accounts of AWS, Azure and Google Cloud and Kubernetes clusters against benchmarks.

Sources: Prowler's documentation, "Reporting"; OCSF 1.7.0, Compliance Finding.

Read are JSON-OCSF and CSV of versions 3 to 5, the native JSON of version 3, and JSON lines
and CSV of version 2. Prowler itself writes Detection Findings (2004) of OCSF 1.4; a check
against a benchmark is a Compliance Finding (2003) by OCSF's definition, which is what comes
out here, passed and manual checks included. Its own id of a finding has the resource in it
and is kept as ``finding_info.uid_alt``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from connectors._findings import frame
from connectors._findings.connector import NEW, SUPPRESSED, Columns, Finding, ScannerConnector
from connectors._findings.frame import word, words
from connectors._findings.report import Document, Scan
from connectors._findings.severity import of_word
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._prowler import shapes
from connectors._prowler.shapes import SHAPES
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import COMPLIANCE_FINDING

#: What the columns need.
#: What columns are made of, and where it is in each shape.
_COLUMNS: Final = ("check", "severity", "muted", "region")
_PATHS: Final = {
    kind: {
        name: tuple(f"finding.{path}" for path in shape.get(name, ()))
        for name in (*_COLUMNS, "time")
    }
    for kind, shape in SHAPES.items()
}
_NOWHERE: Final[dict[str, tuple[str, ...]]] = dict.fromkeys(_COLUMNS, ())
_MUTED: Final = frozenset({"true", "suppressed", "muted"})
_PROVIDERS: Final = {"aws": "AWS", "azure": "Azure", "gcp": "GCP", "kubernetes": "Kubernetes"}
#: OCSF ``account.type_id``.
_ACCOUNTS: Final = {
    "aws": (10, "AWS Account"),
    "gcp": (5, "GCP Account"),
    "azure": (6, "Azure AD Account"),
}


class Prowler(ScannerConnector):
    """Reports of Prowler: JSON-OCSF, JSON and CSV."""

    product: ClassVar[Mapping[str, Any]] = {"name": "Prowler", "vendor_name": "Prowler"}
    logsources: ClassVar[tuple[LogSource, ...]] = (LogSource(product="prowler"),)
    times: ClassVar[tuple[str, ...]] = tuple(
        dict.fromkeys(path for paths in _PATHS.values() for path in paths["time"])
    )
    own: ClassVar[frozenset[str]] = frozenset(
        path for paths in _PATHS.values() for name in _COLUMNS for path in paths[name]
    )
    looks_at: ClassVar[frozenset[str]] = own | {"context.kind"}

    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart: one scan an account."""
        return shapes.scans(document)

    def besides(self, event: View) -> list[str]:
        """Return the values of `_COLUMNS` in the shape that a finding has."""
        paths = _PATHS.get(event.text("context.kind"), _NOWHERE)
        return [event.text(*paths[name]) for name in _COLUMNS]

    def finding_columns(self, unit: View) -> Columns:
        """Return the columns."""
        check, severity, muted, region = self.besides(unit)
        return Columns(
            COMPLIANCE_FINDING,
            of_word(severity),
            check,
            SUPPRESSED if muted.lower() in _MUTED else NEW,
            region=region,
        )

    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return the finding: a resource that a check is about."""
        shape = SHAPES[fields.text("context.kind")]
        row = fields.record.get("finding")
        said = {name: shapes.look(row, paths) for name, paths in shape.items()}
        for path in (*shapes.FRAME, *(path for paths in shape.values() for path in paths)):
            fields.get(f"finding.{path}")
        read = {name: word(found) for name, found in said.items()}
        uid = read.get("resource_uid", "") or read.get("resource_name", "")
        result, detail = read.get("result", ""), read.get("detail", "")
        title = read.get("title", "")
        account = fields.text("scan.target")
        standards = _standards(said.get("compliance"))
        return Finding(
            identity=(columns.operation, account, uid or detail, columns.region),
            title=title or columns.operation,
            desc=read.get("desc", ""),
            types=words(said.get("types")),
            url=read.get("url", ""),
            info=some(uid_alt=read.get("uid")),
            body=some(
                cloud=_cloud(read, columns.region),
                compliance=frame.compliance(
                    columns.operation,
                    frame.result(result),
                    title,
                    list(standards),
                    requirements=[one for each in standards.values() for one in each][:64],
                    category=read.get("service", ""),
                    status_code=result,
                ),
                resources=_resources(read, columns.region),
                remediation=frame.remediation(
                    read.get("fix", ""), said.get("references") or read.get("url", "")
                ),
                status_code=result,
                status_detail=detail,
                message=detail or title or columns.operation,
                risk_details=read.get("risk", ""),
            ),
            profiles=["cloud", "security_control"],
        )


def _resources(read: Mapping[str, str], region: str) -> list[OCSF]:
    group = {"name": read["service"]} if read.get("service") else None
    more = some(region=region, cloud_partition=read.get("partition", ""), group=group)
    return frame.resource(
        read.get("resource_uid", ""),
        read.get("resource_name", ""),
        read.get("resource_type", ""),
        **more,
    )


def _cloud(read: Mapping[str, str], region: str) -> OCSF:
    """Return ``cloud``: provider, account, organisation and region."""
    provider = read.get("provider", "").lower() or "aws"
    account: OCSF = some(uid=read.get("account"), name=read.get("account_name"))
    if account and provider in _ACCOUNTS:
        account |= dict(zip(("type_id", "type"), _ACCOUNTS[provider], strict=True))
    org = {"uid": read["org"]} if read.get("org") else None
    named = _PROVIDERS.get(provider, provider)
    return some(provider=named, account=account, region=region, org=org)


def _standards(value: Any) -> dict[str, list[str]]:
    """Return the requirements by standard: a JSON object, or ``CIS-1.4: 1.1, 1.2 | …``.

    >>> _standards("CIS-1.4: 1.1, 1.2 | SOC2: cc_6_7")
    {'CIS-1.4': ['1.1', '1.2'], 'SOC2': ['cc_6_7']}
    """
    if isinstance(value, dict):
        return {word(name): words(of) for name, of in list(value.items())[: frame.MOST]}
    found: dict[str, list[str]] = {}
    for part in word(value).split(" | ")[: frame.MOST]:
        name, _, requirements = part.partition(":")
        if name.strip():
            found[name.strip()] = words([each.strip() for each in requirements.split(",")])
    return found
