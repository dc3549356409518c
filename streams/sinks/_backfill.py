"""Fill Elasticsearch with what PostgreSQL has, once, when it is switched on.

In the background, newest first, while new rows come in by the usual way: all documents are
idempotent, so both may send the same. One process at a time (an advisory lock); one that is
stopped half-way begins anew at the next start, and what is there already costs little. Done,
it leaves a note in Elasticsearch itself: an emptied store is filled again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import elasticsearch

from sentinel import log, postgres
from sentinel.errors import StackError
from streams.sinks._documents import STATE
from streams.sinks.base import AlertEventRow, AlertRow, EventRow, Rows, Written

SQL = postgres.queries(Path(__file__).with_name("_backfill.sql"))
DONE = "backfill"
EVENTS_AT_ONCE, ALERTS_AT_ONCE = 1000, 100
_log = log.get("streams.sinks.backfill")


class Backfill:
    """Copies rows from PostgreSQL.

    Parameters
    ----------
    client
        Of Elasticsearch.
    dsn
        Of PostgreSQL.
    write
        Writes rows to Elasticsearch.
    """

    def __init__(self, client: Any, dsn: str, write: Callable[[Rows], Awaitable[Written]]) -> None:
        self._client = client
        self._dsn = dsn
        self._write = write

    async def run(self) -> None:
        """Copy everything, unless that was done or another process is at it; log the outcome."""
        try:
            if await self._client.options(ignore_status=404).exists(index=STATE, id=DONE):
                return
            pool = await postgres.open_pool(
                self._dsn, postgres.WORKER, tenant=postgres.ALL_TENANTS, size=1
            )
            try:
                async with pool.acquire() as connection:
                    if await connection.fetchval(SQL["lock"]):
                        await self._copy(connection)
            finally:
                await pool.close()
        except (
            *(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, StackError),
            *(elasticsearch.ApiError, elasticsearch.TransportError),
        ) as error:
            _log.warning("back-fill stopped", action="backfill_later", error=str(error))

    async def _copy(self, connection: Any) -> None:
        count = 0
        _log.info("back-fill begins", action="backfill")
        async for rows in self._pages(connection):
            await self._write(rows)
            count += len(rows.events) + len(rows.alerts)
        now = time.time_ns() // 1_000_000
        await self._client.index(index=STATE, id=DONE, document={"done": DONE, "time": now})
        _log.info("back-fill done", action="backfilled", rows=count)

    async def _pages(self, connection: Any) -> AsyncIterator[Rows]:
        tenant, identity = "", "00000000-0000-0000-0000-000000000000"
        while found := await connection.fetch(SQL["alerts"], tenant, identity, ALERTS_AT_ONCE):
            tenant, identity = found[-1]["tenant"], str(found[-1]["id"])
            ids = [row["id"] for row in found]
            evidence = await connection.fetch(SQL["evidence"], ids)
            yield Rows(alerts=[_alert(row, evidence) for row in found])
        for (day,) in await connection.fetch(SQL["days"]):
            uid = "00000000-0000-0000-0000-000000000000"
            while found := await connection.fetch(SQL["events"], day, uid, EVENTS_AT_ONCE):
                uid = str(found[-1]["uid"])
                yield Rows(events=[_event(row) for row in found])


def _event(row: Any) -> EventRow:
    given = dict(row)
    return EventRow(**given | {"uid": row["uid"].bytes, "raw": row["raw"].encode()})


def _alert(row: Any, evidence: list[Any]) -> AlertRow:
    events = [
        AlertEventRow(each["uid"].bytes, *list(each.values())[3:])
        for each in evidence
        if (each["tenant"], each["alert_id"]) == (row["tenant"], row["id"])
    ]
    return AlertRow(**dict(row) | {"id": str(row["id"]), "events": events})
