"""PostgreSQL, the system of record: rows and checkpoints in one transaction.

Delivery: effectively once, counts included. A batch is inserted where it is not yet, from
arrays (temporary tables would cost 1.3 ms each at every commit), and the positions are saved
in the same transaction. When the connection breaks, the batch is written again until it is in;
when it broke in the middle of the COMMIT, PostgreSQL is asked first how that transaction
ended, so that what it had written is neither repeated nor counted as duplicate.

Duplicates are recognised by event id over all partitions that are kept, `retention_days`
back; an event that comes again later than that is a new row.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from json import dumps
from pathlib import Path
from typing import Any

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from connectors._mapper import Mapper
from sentinel import log, postgres
from sentinel.settings import Settings
from streams.runtime.checkpoint import save_in
from streams.sinks import _incidents, _storable
from streams.sinks.base import AlertRow, EventRow, Key, Positions, Rows, Sink, Written

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)
PREVIEW_BYTES = 4096
#: Seconds to wait before old partitions are looked at again.
EXPIRE_S = 3600.0
#: Rows deleted at most at such a time because their tenant keeps them for less.
EXPIRE_ROWS = 200_000
CONNECTIONS = 4
#: The data, not the server, is the reason: repeating the same would fail for ever.
_REFUSED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, ValueError)
_log = log.get("streams.sinks.postgres")


@dataclass(slots=True)
class _Attempt:
    """What is known of the last attempt to write a batch, should its COMMIT get lost."""

    transaction: str = ""
    written: Written | None = None


@dataclass(frozen=True, slots=True)
class _Days:
    """The partition of each day number that occurs, and the oldest there may be."""

    of: dict[int, date]
    oldest: date


class PostgresSink(Sink):
    """Writes to the tables that ``infra/postgres/migrations`` describe, as ``sentinel_worker``.

    Parameters
    ----------
    settings
        `postgres` is the DSN, `retention_days` how long events are kept.
    """

    transactional = True

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.postgres
        self._mapper = Mapper(settings, "persist")
        self._keep = timedelta(days=settings.retention_days)
        self._pool: Any = None
        self._partitions: set[date] = set()
        self._expire_at = 0.0

    async def open(self) -> None:
        """Connect, waiting until PostgreSQL is there; partitions past retention are dropped."""
        async for attempt in postgres.retrying():
            with attempt:
                self._pool = await postgres.open_pool(
                    self._dsn,
                    postgres.WORKER,
                    tenant=postgres.ALL_TENANTS,
                    size=CONNECTIONS,
                    init=_prepare,
                )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def write(self, rows: Rows, positions: Positions = ()) -> Written:
        """Write `rows` and save `positions`, all or nothing; see `Sink.write`."""
        last = _Attempt()
        async for attempt in postgres.retrying():
            with attempt:
                return await self._write(rows, positions, last)
        raise AssertionError("retrying ends only by success or error")

    async def _write(self, rows: Rows, positions: Positions, last: _Attempt) -> Written:
        async with self._pool.acquire() as connection:
            if last.written is not None:
                if await _committed(connection, last.transaction):
                    return last.written
                last.written = None
            days = await self._make_partitions(connection, rows.events)
            try:
                return await _write_once(connection, rows, days, positions, last)
            except asyncpg.CheckViolationError:
                if not days.of:
                    raise
                self._partitions.clear()  # one was dropped meanwhile
                days = await self._make_partitions(connection, rows.events)
                return await _write_once(connection, rows, days, positions, last)
            except _REFUSED as error:
                _log.warning("batch refused", action="clean_batch", error=str(error))
            try:
                rows = _storable.clean(rows, self._mapper)
                return await _write_once(connection, rows, days, positions, last)
            except _REFUSED as error:
                _log.warning("batch refused again", action="replace_json", error=str(error))
            rows = await _replace_unstorable(connection, rows)
            return await _write_once(connection, rows, days, positions, last)

    async def _make_partitions(self, connection: Any, events: Sequence[EventRow]) -> _Days:
        """Return the days that occur, after making sure of their partitions.

        Arrival times are the producer's word; they are bounded to the days that are kept,
        so that nobody makes partitions without end, or for a day that is dropped at once.
        """
        today = datetime.now(UTC).date()
        first, last = today - self._keep + timedelta(days=1), today + timedelta(days=1)
        days: dict[int, date] = {}
        for number in {event.arrived // DAY_MS for event in events}:
            bounded = min(max(number, (first - EPOCH).days), (last - EPOCH).days)
            days[number] = EPOCH + timedelta(days=bounded)
        for day in sorted(set(days.values()) - self._partitions):
            await connection.execute(SQL["partition"], day)
            self._partitions.add(day)
        if time.monotonic() >= self._expire_at:
            await self._expire(connection, first)
        return _Days(days, first - timedelta(days=1))  # a day more: expiry may lag

    async def _expire(self, connection: Any, oldest: date) -> None:
        self._expire_at = time.monotonic() + EXPIRE_S
        try:
            dropped = [row[0] for row in await connection.fetch(SQL["expire"], oldest)]
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            _log.info("partitions in use", action="expire_later", error=str(error))
            return
        self._partitions = {day for day in self._partitions if day >= oldest}
        if dropped:
            _log.info("old events dropped", action="expire", partitions=dropped)
        if deleted := await connection.fetchval(SQL["expire_tenants"], EXPIRE_ROWS):
            _log.info("rows past their tenant's retention", action="expire", rows=deleted)


async def _prepare(connection: Any) -> None:
    await connection.execute(SQL["prepare"])


async def _committed(connection: Any, transaction: str) -> bool:
    """Say how an earlier transaction ended; wait (by a passing error) while it runs."""
    outcome = await connection.fetchval(SQL["outcome"], transaction)
    if outcome == "in progress":
        raise asyncpg.LockNotAvailableError("the transaction before is still under way")
    return bool(outcome == "committed")


async def _write_once(
    connection: Any, rows: Rows, days: _Days, positions: Positions, last: _Attempt
) -> Written:
    """Write everything in one transaction."""
    written = Written()
    async with connection.transaction():
        if rows.events:
            columns = _event_columns(rows.events, days)
            written.events = _count(await connection.fetch(SQL["events"], days.oldest, *columns))
        if rows.dead_letters:
            letters = [(*row[:-1], row.value[:PREVIEW_BYTES]) for row in rows.dead_letters]
            written.dead_letters = _count(
                await connection.fetch(SQL["dead_letters"], *zip(*letters, strict=True))
            )
        if rows.alerts:
            await _write_alerts(connection, rows.alerts, written)
        await save_in(connection, positions(written) if callable(positions) else positions)
        last.transaction = await connection.fetchval(SQL["transaction"])
        last.written = written
    return written


async def _write_alerts(connection: Any, alerts: Sequence[AlertRow], written: Written) -> None:
    await connection.execute(SQL["lock_alerts"])  # last of the locks, held for the least time
    columns = zip(*map(_alert_record, alerts), strict=True)
    changed = await connection.fetch(SQL["alerts"], *columns)
    for row in changed:
        counts = written.alerts if row["created"] else written.amended
        counts[row["tenant"], row["source"]] += 1
    if evidence := _evidence_records(alerts):
        written.alert_events = _count(
            await connection.fetch(SQL["alert_events"], *zip(*evidence, strict=True))
        )
    quiet = ("suppressed", "staged")
    opened = [(row["tenant"], row["id"]) for row in changed if row["status"] not in quiet]
    await _incidents.group(connection, alerts, opened)


def _alert_record(row: AlertRow) -> tuple[Any, ...]:
    """Return the columns of ``alerts``; an array of arrays would have to be a rectangle."""
    return (
        *row[:8],
        dumps(list(row.techniques)),
        row.entity,
        _text(row.explanation),
        *row[11:14],
        row.status,
        row.suppression,
    )


def _event_columns(events: Sequence[EventRow], days: _Days) -> list[Sequence[Any]]:
    """Return the columns of ``events``, each event once."""
    first = {(row.uid, row.tenant): row for row in reversed(events)}
    columns: list[Sequence[Any]] = list(zip(*first.values(), strict=True))
    columns[1] = list(map(UUID, columns[1]))
    columns[13] = list(map(bytes.decode, columns[13]))
    columns[14] = [None if json is None else _text(json) for json in columns[14]]
    return [*columns, [days.of[arrived // DAY_MS] for arrived in columns[3]]]


def _evidence_records(alerts: Sequence[AlertRow]) -> list[tuple[Any, ...]]:
    """Return the columns of ``alert_events``."""
    return [
        (alert.tenant, alert.id, UUID(row.uid), *row[1:5], _text(row.ocsf), row.raw)
        for alert in alerts
        for row in alert.events
    ]


def _text(json: str | bytes) -> str:
    return json if isinstance(json, str) else json.decode()


def _count(rows: Iterable[Sequence[Any]]) -> Counter[Key]:
    return Counter({(tenant, source): count for tenant, source, count in rows})


async def _replace_unstorable(connection: Any, rows: Rows) -> Rows:
    """Replace each JSON value that PostgreSQL refuses by a placeholder that says why."""
    replaced: dict[str | bytes, str] = {}
    for value in _storable.json_of(rows):
        try:
            await connection.execute(SQL["json"], _text(value))
        except _REFUSED as error:
            replaced[value] = _storable.placeholder(_text(value), str(error))
    return _storable.replace_json(rows, replaced)
