"""Findings of scanners, each once, with its state over all scans, in PostgreSQL.

Delivery: idempotent. A scan's id and the numbers of its findings are those of the report, so
that a batch written twice adds nothing, and a finding changes its state only by a scan that
is not the one that gave it its state (`detectors.findings`). A scan is judged, and what it
lacks resolved, in the transaction in which the last of its findings arrives, whatever the
order; it may take as many batches as it likes. Keeps no positions: the caller saves them.

A scan may say what part of its target it covered (`SCOPE_LABEL` in ``metadata.labels``): it
resolves only what scans of that part found, while one that says nothing covers all. What a
whole scan has seen is its, though one of a part sees it too.

Taken are events that say which scan they are of (``metadata.correlation_uid``) and their
number in it (``metadata.sequence``); findings of services that keep states of their own
(Security Hub, GuardDuty) are events like any other.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from connectors._findings.report import SCOPE_LABEL
from connectors._mapper import Mapper
from detectors.findings import Known, Sighting, missing, seen
from detectors.suppress.policy import Policy
from schemas.ocsf import (
    APPLICATION_SECURITY_POSTURE_FINDING,
    COMPLIANCE_FINDING,
    DATA_SECURITY_FINDING,
    DETECTION_FINDING,
    SCAN_ACTIVITY,
    VULNERABILITY_FINDING,
)
from sentinel import postgres, suppressions
from sentinel.settings import Settings
from streams.policy.suppressions import Board
from streams.sinks import _storable
from streams.sinks.base import EventRow, Positions, Rows, Sink, Written

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
CLASSES: Final = frozenset(
    {
        *(VULNERABILITY_FINDING, COMPLIANCE_FINDING, DETECTION_FINDING, DATA_SECURITY_FINDING),
        *(APPLICATION_SECURITY_POSTURE_FINDING, SCAN_ACTIVITY),
    }
)
#: OCSF ``status_id`` of findings, and ``compliance.status_id`` of a check that passed.
SUPPRESSED, RESOLVED, PASS = 3, 4, 1
#: Days that the book on a scan is kept.
KEEP_DAYS: Final = 30
FORGET_S: Final = 3600.0


class _Metadata(msgspec.Struct):
    correlation_uid: str = ""
    sequence: int | None = None
    labels: list[str] | None = None


class _Info(msgspec.Struct):
    uid: str = ""
    title: str = ""


class _Compliance(msgspec.Struct):
    status_id: int = 0


class _Event(msgspec.Struct):
    """What is read of an event."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    finding_info: _Info = msgspec.field(default_factory=_Info)
    compliance: _Compliance = msgspec.field(default_factory=_Compliance)
    num_detections: int | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode


class _Row(NamedTuple):
    """A finding: who it is, its row and what was read of it."""

    uid: UUID
    row: EventRow
    event: _Event


@dataclass(slots=True)
class _Part:
    """The findings of one scan in a batch, by number; and how many it has, if its end is here."""

    time: int = 0
    total: int | None = None
    scope: str = ""
    rows: dict[int, _Row] = field(default_factory=dict)


#: Tenant, tool, target and scan.
_Key = tuple[str, str, str, str]


class FindingsSink(Sink):
    """Writes to the tables ``findings`` and ``finding_scans``, as ``sentinel_worker``.

    Parameters
    ----------
    settings
        `findings` switches it on, `postgres` is the DSN.
    """

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.postgres
        self._mapper = Mapper(settings, "persist")
        self._pool: Any = None
        self._forget_at = 0.0
        self._board = Board()
        self._look_at = 0.0

    async def open(self) -> None:
        """Connect, waiting until PostgreSQL is there."""
        async for attempt in postgres.retrying():
            with attempt:
                self._pool = await postgres.open_pool(
                    self._dsn,
                    postgres.WORKER,
                    tenant=postgres.ALL_TENANTS,
                    size=2,
                    init=_prepare,
                )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def write(self, rows: Rows, positions: Positions = ()) -> Written:
        """Write the findings of a batch; other rows are not ours. Positions are the caller's."""
        parts = _parts(map(self._written_out, filter(_is_finding, rows.events)))
        if parts:
            async for attempt in postgres.retrying():
                with attempt:
                    await self._write(parts)
        return Written()

    def _written_out(self, row: EventRow) -> EventRow:
        """Return the row with its OCSF."""
        if row.ocsf is not None:
            return row
        return row._replace(ocsf=self._mapper.ocsf(row.source, row.tenant, row.uid, row.raw))

    async def _write(self, parts: dict[_Key, _Part]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            if time.monotonic() >= self._look_at:
                self._board.take(await suppressions.load(connection))
                self._look_at = time.monotonic() + suppressions.REFRESH_S
            for key in sorted(parts):  # always in the same order, so that no two wait in a ring
                await _write_part(connection, key, parts[key], self._board.policy)
            if time.monotonic() >= self._forget_at:
                await connection.execute(SQL["forget"], KEEP_DAYS)
                self._forget_at = time.monotonic() + FORGET_S


async def _prepare(connection: Any) -> None:
    await connection.execute(SQL["prepare"])


def _is_finding(row: EventRow) -> bool:
    return row.class_uid in CLASSES


def _parts(events: Iterable[EventRow]) -> dict[_Key, _Part]:
    """Return the findings in a batch, by scan."""
    found: dict[_Key, _Part] = defaultdict(_Part)
    for row in events:
        try:
            event = _decode(row.ocsf or b"")
            scan = str(UUID(event.metadata.correlation_uid))
            uid = UUID(event.finding_info.uid) if event.finding_info.uid else None
        except (msgspec.DecodeError, ValueError):
            continue  # no scan of ours
        key = (row.tenant, _storable.text(row.service), _storable.text(row.entity), scan)
        labels = event.metadata.labels or ()
        scope = next((each for each in labels if each.startswith(SCOPE_LABEL)), "")
        if row.class_uid == SCAN_ACTIVITY and event.num_detections is not None:
            found[key].total, found[key].time = event.num_detections, row.time
            found[key].scope = _storable.text(scope.removeprefix(SCOPE_LABEL))
        elif event.metadata.sequence is not None and uid is not None:
            part = found[key]
            part.rows[event.metadata.sequence] = _Row(uid, row, event)
            part.time = part.time or row.time
            part.scope = _storable.text(scope.removeprefix(SCOPE_LABEL))
    return found


async def _write_part(connection: Any, key: _Key, part: _Part, policy: Policy) -> None:
    """Write the findings of one scan; judge it where it is whole now."""
    tenant, tool, target, scan = key
    ranges = "{" + ",".join(f"[{start},{end})" for start, end in _ranges(sorted(part.rows))) + "}"
    whole, when = await connection.fetchrow(
        SQL["scan"], tenant, UUID(scan), tool, target, part.time, part.total, ranges
    )
    await _see(connection, key, part, when, policy)
    if not whole:
        return
    if target:
        await _miss(connection, key, part.scope, when)
    await connection.execute(SQL["judged"], tenant, UUID(scan))


async def _see(connection: Any, key: _Key, part: _Part, when: int, policy: Policy) -> None:
    """Bring the state of every finding that was seen up to date."""
    tenant, tool, target, scan = key
    uids = sorted({each.uid for each in part.rows.values()})
    rows = await connection.fetch(SQL["known"], tenant, tool, uids)
    known = {row[0]: Known(*row[1:]) for row in rows}
    changed: dict[UUID, _Row] = {}
    for each in part.rows.values():
        passed = each.event.compliance.status_id == PASS or each.row.status_id == RESOLVED
        after = seen(known.get(each.uid), Sighting(str(each.uid), scan, when, passed))
        if after is not None:
            known[each.uid] = after
            changed[each.uid] = each
    if changed:
        rows = [(known[uid], changed[uid]) for uid in sorted(changed)]
        columns = _columns(rows, target, policy)
        await connection.execute(SQL["upsert"], tenant, tool, target, *columns, part.scope)


def _columns(changed: Sequence[tuple[Known, _Row]], target: str, policy: Policy) -> list[list[Any]]:
    """Return the columns that `upsert` takes, one list each."""
    rows = [
        (
            uid,
            row.source,
            row.class_uid,
            _storable.text(row.operation),
            _storable.text(event.finding_info.title),
            row.severity_id,
            row.status_id == SUPPRESSED or _suppressed(row, target, policy),
            known.state,
            UUID(known.scan),
            known.first_seen,
            known.last_seen,
            known.judged,
            _json(row.ocsf or b""),
        )
        for known, (uid, row, event) in changed
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _suppressed(row: EventRow, target: str, policy: Policy) -> bool:
    """Return whether a suppression holds for a finding: its entity is what was scanned."""
    said = {"tenant": row.tenant, "kind": "finding", "rule_id": row.operation, "entity": target}
    return bool(policy.suppressed(said | {"source": row.source}, row.arrived, [row.time]))


async def _miss(connection: Any, key: _Key, scope: str, when: int) -> None:
    """Resolve what the scan does not have though it covered it."""
    tenant, tool, target, scan = key
    rows = await connection.fetch(SQL["others"], tenant, tool, target, UUID(scan), scope)
    gone = [
        (row[0], after)
        for row in rows
        if (after := missing(known := Known(*row[1:]), scan, when)) != known
    ]
    if gone:
        await connection.execute(
            SQL["missing"],
            tenant,
            tool,
            [uid for uid, _ in gone],
            [after.state for _, after in gone],
            [UUID(after.scan) for _, after in gone],
            [after.judged for _, after in gone],
        )


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return sorted numbers as ranges without their ends.

    >>> _ranges([0, 1, 2, 5])
    [(0, 3), (5, 6)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


def _json(ocsf: str | bytes) -> str:
    """Return JSON without what ``jsonb`` refuses."""
    found = ocsf if isinstance(ocsf, str) else ocsf.decode("utf-8", "replace")
    return _storable.json(found) if "\\u" in found else found
