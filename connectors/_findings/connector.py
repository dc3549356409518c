"""The frame of a connector whose source is a scanner.

A subclass takes reports apart (`ScannerConnector.scans`) and says two things of a finding:
its columns (`finding_columns`) and what it is in OCSF (`finding`). Scan, identity, severity,
status and the unit that ends a scan are the same for all.

The id of the *event* is the scan's id and the number in it, so that a finding is a new event
in every scan; ``finding_info.uid`` is who the finding *is* (`connectors._findings.identity`).
``metadata.correlation_uid`` is the scan, ``metadata.sequence`` the number in it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Final, NamedTuple

from connectors._findings import frame, identity, report
from connectors._findings.document import SMALL, whole
from connectors._findings.report import SCOPE_LABEL, Document, Scan
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.fields import Fields, some
from connectors._json.times import milliseconds, moment
from connectors.base import OCSF, Summary
from schemas.ocsf import SCAN_ACTIVITY
from sentinel.errors import DecodeError, MappingError, RecordError, SettingsError

#: Activity of a finding: Create; what it means in the light of earlier scans is said by
#: `detectors.findings`. Activity of a scan: Completed.
CREATE, COMPLETED = 1, 2
#: OCSF ``status_id`` of findings.
NEW, SUPPRESSED, RESOLVED = 1, 3, 4
SUCCESS, INFORMATIONAL = 1, 1
_SCAN_FIELDS: Final = frozenset({"done"})
_MEMO: Final = 1024


class _Scan(NamedTuple):
    """A scan as its units name it; `service` is the tool, with the scan's scope."""

    uid: str
    time: int
    target: str
    service: str


class Columns(NamedTuple):
    """The columns of a finding that are not those of its scan.

    Attributes
    ----------
    class_uid, severity_id
        OCSF ids.
    rule
        Id of the check, rule or vulnerability.
    status_id
        OCSF status of a finding: new, suppressed (someone accepted it), resolved (the report
        itself says that it is gone).
    region
        As in `Summary`.
    """

    class_uid: int
    severity_id: int
    rule: str
    status_id: int = NEW
    region: str = ""


_DONE: Final = Columns(SCAN_ACTIVITY, INFORMATIONAL, "scan", SUCCESS)


@dataclass(slots=True)
class Finding:
    """What a finding is, beyond its columns.

    Attributes
    ----------
    identity
        Names that stay while it is the same finding; see `connectors._findings.identity`.
    title, desc
        For people.
    body
        The objects of its OCSF class, top-level attributes included.
    rule_name, types, url, tags
        Of the rule: what it is called, kinds of it, where it is explained.
    product
        What ``metadata.product`` has beyond the connector's own.
    info
        Other attributes of ``finding_info``.
    profiles
        OCSF profiles that `body` applies.
    """

    identity: tuple[str, ...]
    title: str
    body: OCSF
    desc: str = ""
    rule_name: str = ""
    types: list[str] = field(default_factory=list)
    url: str = ""
    tags: list[OCSF] = field(default_factory=list)
    product: OCSF = field(default_factory=dict)
    info: OCSF = field(default_factory=dict)
    profiles: list[str] = field(default_factory=list)


class ScannerConnector(JsonConnector):
    """A scanner whose reports are cut up into findings."""

    required: ClassVar[dict[str, type]] = {"at": int, "scan": dict}
    whole: ClassVar[bool] = True
    #: Fields of a unit that `finding_columns` looks at.
    looks_at: ClassVar[frozenset[str]] = frozenset()
    #: Those of them that are the time of the finding itself, the first of them that says
    #: something; an event without is of the time of its scan.
    times: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Name the fields that are decoded: the scan's, and what the subclass looks at."""
        super().__init_subclass__()
        cls.reads = cls.looks_at | _SCAN_FIELDS | set(cls.times)
        cls.own |= {"at", *cls.times}

    def __init__(self) -> None:
        super().__init__()
        self._scans: dict[tuple[Any, ...], _Scan] = {}

    @abstractmethod
    def scans(self, document: Document) -> Iterable[Scan]:
        """Take a report apart; DecodeError ``shape`` where it is none of this scanner."""

    @abstractmethod
    def finding_columns(self, unit: View) -> Columns:
        """Return the columns of the finding of a unit."""

    @abstractmethod
    def finding(self, fields: Fields, columns: Summary) -> Finding:
        """Return what the finding of a unit is."""

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the units of a message; see `connectors._findings.report`."""
        if report.is_units(value):
            return [line for line in value.split(b"\n") if line.strip()]
        if (
            b'"at"' in value
            and b'"scan"' in value
            and {"at", "scan"} <= report.members(value).keys()
        ):
            return (value,)
        return list(self._units(value, None))

    def records(
        self, stream: IO[bytes], time_ms: int | None = None, scope: str = ""
    ) -> Iterator[bytes]:
        """Cut a report of any size into messages that `split` understands.

        What is no report goes on as it is, or the start of it: `split` says what is wrong.

        Parameters
        ----------
        stream, time_ms
            As of every connector.
        scope
            What part of the target the scan covered (`report.Given`); it goes before what an
            envelope says.

        Raises
        ------
        SettingsError
            A scope for what is cut into units already: each of them says whose it is.
        """
        with whole(stream) as document:
            try:
                if report.is_units(document):
                    if scope:
                        raise SettingsError(
                            f"expected a report for the scope {scope!r}, found units that were "
                            "cut from one, with its scope; leave the scope out"
                        )
                    found: Iterable[bytes] = bytes(memoryview(document)).splitlines()
                else:
                    found = self._units(document, time_ms, scope)
                yield from report.messages(found)
            except RecordError:
                yield bytes(memoryview(document)[:SMALL])

    def _units(self, document: Document, time_ms: int | None, scope: str = "") -> Iterator[bytes]:
        inner, given = report.opened(document)
        if not report.first(inner):
            raise DecodeError(
                "empty", f"expected a report of {self.product['name']}, found no text at all"
            )
        given = given._replace(fallback=time_ms, scope=scope or given.scope)
        return report.units(str(self.product["name"]), self.scans(inner), given)

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time: the number in the scan, and when the finding was seen."""
        scan = self._scan(event.get("scan"))
        when = next(filter(None, map(event.get, self.times)), None) if self.times else None
        time = None if when is None else moment(when)
        return f"{scan.uid}:{event.get('at')}", scan.time if time is None else time

    def columns_of(self, event: View) -> Summary:
        """Return the columns: of the scan where this unit ends one, else of the finding."""
        scan = self._scan(event.get("scan"))
        if event.get("done") is True:
            found, activity = _DONE, COMPLETED
        else:
            found, activity = self.finding_columns(event), CREATE
        if not found.rule:
            raise MappingError(
                "missing_field",
                f"expected a finding of {self.product['name']} with the id of its rule or "
                f"vulnerability, found number {event.get('at')!s:.20} of scan {scan.uid!s:.40}"
                " without one",
            )
        native_id, time = self.identity_of(event)
        return Summary(
            native_id=native_id,
            time=time,
            class_uid=found.class_uid,
            activity_id=activity,
            status_id=found.status_id,
            severity_id=found.severity_id,
            entity=scan.target,
            operation=found.rule,
            service=scan.service,
            src_ip="",
            user_agent="",
            region=found.region,
        )

    def _scan(self, head: Any) -> _Scan:
        """Return what a unit says of its scan; the units of one scan say the same."""
        uid, time = head.get("id"), head.get("time")
        target, scope = head.get("target"), head.get("scope")
        if uid.__class__ is not str or time.__class__ is not int:
            raise MappingError(
                "missing_field",
                "expected a unit of a report with id and time of its scan, found none; send "
                "whole reports, Sentinel cuts them up",
            )
        target = target if target.__class__ is str else ""
        scope = scope if scope.__class__ is str else ""
        key = (uid, time, target, scope)
        if key in self._scans:
            return self._scans[key]
        service = f"{self.product['name']}/{scope}" if scope else str(self.product["name"])
        if len(self._scans) >= _MEMO:
            self._scans.clear()
        made = _Scan(uid, milliseconds(time, "scan.time"), target, service)
        self._scans[key] = made
        return made

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return the OCSF objects of a finding, or of the end of a scan."""
        target = fields.text("scan.target")
        metadata: OCSF = {"correlation_uid": fields.text("scan.id")}
        if scope := fields.text("scan.within"):
            metadata["labels"] = [f"{SCOPE_LABEL}{scope}"]
        product = dict(self.product) | some(version=fields.text("scan.version"))
        if summary.class_uid == SCAN_ACTIVITY:
            total = frame.number(fields.get("scan.total"))
            scan = {"uid": fields.text("scan.id"), "name": f"{summary.service} {target}".strip()}
            return {
                "metadata": metadata | {"product": product},
                "scan": scan | {"type_id": 0, "type": "Unknown"},
                **some(num_detections=total, total=total, end_time=summary.time),
                "message": f"{summary.service} scanned {target or 'something'}: {total} findings",
            }
        found = self.finding(fields, summary)
        info = some(
            uid=identity.uid(*found.identity),
            title=found.title or summary.operation,
            desc=found.desc,
            types=found.types,
            src_url=found.url,
            tags=found.tags,
            product=some(**(product | found.product)),
            **found.info,
        )
        if summary.operation:
            rule = some(uid=summary.operation, name=found.rule_name, type="Rule", type_id=1)
            info["analytic"] = rule
        metadata |= some(
            event_code=summary.operation,
            product=product | found.product,
            sequence=frame.number(fields.get("at")),
            profiles=found.profiles,
        )
        about = {"finding_info": info, "message": found.title or summary.operation or "finding"}
        return about | found.body | {"metadata": metadata}
