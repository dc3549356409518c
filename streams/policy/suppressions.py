"""Suppressions and tunings as a worker has them: read from PostgreSQL, swapped whole.

It looks every few seconds; while PostgreSQL is away the last known stay in force. A row begins
to hold, and ceases to, some seconds after it was written (`sentinel.suppressions.SETTLE_S`),
which is when every worker has it: so they decide alike, and so does a replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from detectors.suppress.draft import read
from detectors.suppress.policy import Policy, Suppression
from sentinel import log, metrics, postgres, suppressions
from sentinel.errors import SettingsError
from streams.runtime import telemetry

LOG = log.get(__name__)


class Board:
    """Where the present policy hangs; `policy` is replaced, never changed."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._seen: Any = None

    def take(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Put up what `rows` say and return whether that is news; a bad row is left out."""
        rows = list(rows)
        seen = msgspec.msgpack.encode(rows)
        if seen == self._seen:
            return False
        self._seen = seen
        self.policy = Policy(_read(rows))
        LOG.info("suppressions read", action="suppressions", count=len(self.policy.rows))
        return True


def _read(rows: Iterable[Mapping[str, Any]]) -> list[Suppression]:
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except SettingsError as error:
            telemetry.failed("correlate", "", "suppression")
            LOG.warning("a suppression is left out", action="suppression_bad", error=str(error))
    return found


class Reader:
    """Keeps a `Board` up to date with the table, for a stage.

    Parameters
    ----------
    also
        Called with the connection at each look: what else the stage reads of the database.
    """

    def __init__(
        self,
        board: Board,
        dsn: str,
        stage: str,
        also: Callable[[Any], Awaitable[object]] | None = None,
    ) -> None:
        self._board, self._dsn, self._stage, self._also = board, dsn, stage, also
        self._pool: Any = None

    async def open(self) -> None:
        """Connect and read for the first time, waiting until PostgreSQL is there."""
        async for attempt in postgres.retrying():
            with attempt:
                self._pool = await postgres.open_pool(
                    self._dsn, postgres.WORKER, tenant=postgres.ALL_TENANTS, size=1
                )
        async for attempt in postgres.retrying():
            with attempt:
                await self.look()

    async def look(self) -> bool:
        """Read the table, and what else there is; return whether the table had news."""
        async with self._pool.acquire() as connection:
            news = self._board.take(await suppressions.load(connection))
            if self._also:
                await self._also(connection)
            return news

    async def run(self) -> None:
        """Read it again and again, until cancelled; then disconnect."""
        if self._pool is None:
            await self.open()
        try:
            while True:
                await asyncio.sleep(suppressions.REFRESH_S)
                await self._try()
        finally:
            await self.close()

    async def _try(self) -> None:
        """Read it, or go on with what was read while PostgreSQL is away."""
        try:
            await self.look()
        except Exception as error:
            if not postgres.is_passing(error):
                raise
            metrics.ERRORS.labels(self._stage, "", "suppressions").inc()

    async def close(self) -> None:
        """Disconnect."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()
