"""Where each of Prowler's output formats has what a finding says.

Sources: Prowler's documentation, "Reporting" (CSV columns, JSON-OCSF mapping);
``prowler/lib/outputs`` of versions 2 to 5.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any, Final

import msgspec

from connectors._findings.report import Document, Scan, context, first, items, value
from sentinel.errors import DecodeError

#: Longest CSV cell, in characters; csv's own limit is 128 Ki.
CELL: Final = 1 << 20
csv.field_size_limit(CELL)

#: Shape, and where it has what; the first that is there counts.
SHAPES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "ocsf": {
        "uid": ("finding_info.uid", "finding.uid"),
        "check": ("metadata.event_code",),
        "title": ("finding_info.title", "finding.title"),
        "desc": ("finding_info.desc", "finding.desc"),
        "result": ("status_code", "compliance.status"),
        "severity": ("severity",),
        "detail": ("status_detail", "message"),
        "muted": ("status",),
        # Seconds since the epoch first: the texts are in the zone of whoever ran it, unnamed.
        "time": ("time", "finding_info.created_time", "event_time", "time_dt"),
        "account": ("cloud.account.uid", "cloud.account_uid"),
        "account_name": ("cloud.account.name",),
        "org": ("cloud.org.uid",),
        "provider": ("cloud.provider", "unmapped.provider"),
        "region": ("cloud.region", "resources.region", "resources.namespace"),
        "service": ("resources.group.name",),
        "resource_uid": ("resources.uid",),
        "resource_name": ("resources.name",),
        "resource_type": ("resources.type",),
        "resource_tags": ("resources.labels",),
        "partition": ("resources.cloud_partition",),
        "risk": ("risk_details",),
        "fix": ("remediation.desc", "finding.remediation.desc"),
        "references": ("remediation.references",),
        "url": ("unmapped.related_url", "finding.src_url"),
        "compliance": ("unmapped.compliance",),
        "types": ("finding_info.types", "finding.types"),
        "version": ("metadata.product.version",),
    },
    "native": {
        "uid": ("FindingUniqueId",),
        "check": ("CheckID",),
        "title": ("CheckTitle",),
        "desc": ("Description",),
        "result": ("Status",),
        "severity": ("Severity",),
        "detail": ("StatusExtended",),
        "time": ("AssessmentStartTime",),
        "account": ("AccountId", "SubscriptionId", "ProjectId"),
        "provider": ("Provider",),
        "region": ("Region", "Location"),
        "service": ("ServiceName",),
        "resource_uid": ("ResourceArn", "ResourceId"),
        "resource_name": ("ResourceId", "ResourceName"),
        "resource_type": ("ResourceType",),
        "risk": ("Risk",),
        "fix": ("Remediation.Recommendation.Text",),
        "references": ("Remediation.Recommendation.Url",),
        "url": ("RelatedUrl",),
        "compliance": ("Compliance",),
        "types": ("CheckType",),
    },
    "csv": {
        "uid": ("FINDING_UID", "FINDING_UNIQUE_ID"),
        "check": ("CHECK_ID",),
        "title": ("CHECK_TITLE",),
        "desc": ("DESCRIPTION",),
        "result": ("STATUS",),
        "severity": ("SEVERITY",),
        "detail": ("STATUS_EXTENDED",),
        "muted": ("MUTED",),
        "time": ("TIMESTAMP", "ASSESSMENT_START_TIME"),
        "account": ("ACCOUNT_UID", "ACCOUNT_ID", "SUBSCRIPTION_ID", "PROJECT_ID"),
        "account_name": ("ACCOUNT_NAME",),
        "org": ("ACCOUNT_ORGANIZATION_UID",),
        "provider": ("PROVIDER",),
        "region": ("REGION", "LOCATION"),
        "service": ("SERVICE_NAME",),
        "resource_uid": ("RESOURCE_UID", "RESOURCE_ARN", "RESOURCE_ID"),
        "resource_name": ("RESOURCE_NAME", "RESOURCE_ID"),
        "resource_type": ("RESOURCE_TYPE",),
        "partition": ("PARTITION",),
        "risk": ("RISK",),
        "fix": ("REMEDIATION_RECOMMENDATION_TEXT",),
        "references": ("REMEDIATION_RECOMMENDATION_URL",),
        "url": ("RELATED_URL",),
        "compliance": ("COMPLIANCE",),
        "types": ("CHECK_TYPE",),
        "version": ("PROWLER_VERSION",),
    },
    "v2": {
        "check": ("Control ID", "TITLE_ID"),
        "title": ("Control", "TITLE_TEXT"),
        "result": ("Status", "CHECK_RESULT", "RESULT"),
        "severity": ("Severity", "CHECK_SEVERITY", "SEVERITY"),
        "detail": ("Message", "CHECK_RESULT_EXTENDED", "NOTES"),
        "time": ("Timestamp",),
        "account": ("Account Number", "ACCOUNT_NUM"),
        "region": ("Region", "REGION"),
        "service": ("Service", "CHECK_SERVICENAME", "SERVICENAME"),
        "resource_uid": ("Resource ID", "CHECK_RESOURCE_ID", "RESOURCE_ID"),
        "resource_type": ("CHECK_ASFF_RESOURCE_TYPE", "ASFF_RESOURCE_TYPE"),
        "risk": ("Risk", "CHECK_RISK"),
        "fix": ("Remediation", "CHECK_REMEDIATION"),
        "references": ("Doc link", "CHECK_DOC"),
        "types": ("Compliance", "CHECK_ASFF_COMPLIANCE_TYPE"),
    },
}
#: A field that only this shape has, in the order in which they are asked.
_MARKS: Final = {
    "ocsf": ("class_uid", "finding_info"),
    "native": ("CheckID",),
    "csv": ("CHECK_ID",),
    "v2": ("Control ID", "TITLE_ID"),
}
#: What Prowler's OCSF has that ours says in its own way.
FRAME: Final = (
    *("class_uid", "class_name", "category_uid", "category_name", "type_uid", "type_name"),
    *("activity_id", "activity_name", "status_id", "severity_id", "metadata", "message", "time"),
    *("finding_info", "resources", "cloud.account.type", "cloud.account.type_id", "time_dt"),
)
Row = tuple[str, Document]


def scans(document: Document) -> Iterator[Scan]:
    """Yield one scan for each account that a report has findings of.

    Raises
    ------
    DecodeError
        Reason ``shape`` or ``csv``: this is no report of Prowler.
    """
    by_account: dict[tuple[str, str], list[tuple[bytes, Document]]] = {}
    about: dict[tuple[str, str], dict[str, Any]] = {}
    for shape, raw in _rows(document):
        row = value(raw)
        said = {
            name: look(row, SHAPES[shape].get(name, ()))
            for name in ("account", "provider", "time", "version")
        }
        key = (_word(said["provider"]), _word(said["account"]))
        about.setdefault(key, said)
        by_account.setdefault(key, []).append((context(kind=shape), raw))
    for (provider, account), findings in by_account.items():
        said = about[provider, account]
        yield Scan(
            findings,
            target="/".join(part for part in (provider, account) if part),
            time=said["time"],
            version=_word(said["version"]),
        )
    if not by_account:
        yield Scan([])


def look(row: Any, paths: Iterable[str]) -> Any:
    """Return the first value at `paths` that says something; lists stand for their first item."""
    for path in paths:
        found = row
        for name in path.split("."):
            if isinstance(found, list):
                found = found[0] if found else None
            found = found.get(name) if isinstance(found, dict) else None
        if found not in (None, "", [], {}):
            return found
    return None


def _word(found: Any) -> str:
    return found[:512] if isinstance(found, str) else ""


def _rows(document: Document) -> Iterator[Row]:
    start = first(document)
    if start == b"[":
        for item in items(document, "findings"):
            yield _shape(value(item)), item
    elif start == b"{":
        yield from _objects(document)
    else:
        yield from _csv(document)


def _objects(document: Document) -> Iterator[Row]:
    """Yield one finding, or those of JSON lines."""
    data = bytes(memoryview(document)).strip()
    lines = data.splitlines()
    every = all(line.strip()[:1] == b"{" and line.strip()[-1:] == b"}" for line in lines)
    for line in lines if len(lines) > 1 and every else [data]:
        yield _shape(value(line)), line


def _shape(row: Any) -> str:
    """Return which shape a finding has."""
    for shape, marks in _MARKS.items():
        if isinstance(row, dict) and any(mark in row for mark in marks):
            return shape
    kind = ", ".join(list(row)[:6]) if isinstance(row, dict) else type(row).__name__
    raise DecodeError(
        "shape",
        "expected a finding of Prowler (JSON-OCSF, JSON or CSV), found "
        f"{kind or 'an empty object'}; run prowler with -M json-ocsf",
    )


def _csv(document: Document) -> Iterator[Row]:
    """Yield the rows of a CSV report as JSON objects, with the names in its first line."""
    try:
        lines = bytes(memoryview(document)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecodeError(
            "utf8", f"expected a CSV report in UTF-8, found {error!s:.200}"
        ) from error
    header = lines.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(StringIO(lines, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        shape = _shape(dict.fromkeys(names))
        for cells in reader:
            if not any(cells):
                continue
            # Version 2 wrote more cells than names: none is lost.
            more = (f"column {at}" for at in range(len(names) + 1, len(cells) + 1))
            yield shape, msgspec.json.encode(dict(zip([*names, *more], cells, strict=False)))
    except csv.Error as error:
        raise DecodeError("csv", f"expected a CSV report of Prowler, found: {error}") from error
