"""Connections to PostgreSQL, lent to one request at a time.

asyncpg's pool makes two tasks for each use, which take longer than a small query. So a
connection that comes back in order is kept here and lent again as it is; the pool is asked
for new ones, and given those that failed.

While all are lent, reads of one statement that wait for the same (their transaction begins with
the same words, so it is of the same tenant) get a connection within the transaction of the one
before: to begin and to end it costs more than most statements. It ends as soon as nobody waits
for it, and never is in a connection that waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import asyncpg

from sentinel import postgres

CONNECTIONS: Final = 8
#: Longest time for one query; a broader one should be narrowed, not waited for.
QUERY_S: Final = 15.0
#: Statements of one transaction of several requests, and its age, in seconds, when the last begins:
#: others wait for the connection too, and ``now()`` is when the transaction began.
MOST_JOINED, JOINED_S = 32, 0.25


class Begun(NamedTuple):
    """A transaction that is handed from one read to the next.

    Attributes
    ----------
    connection
        What it is in.
    words
        What it began with: isolation, tenant.
    at
        When, in seconds of the monotonic clock.
    statements
        How many there were in it.
    """

    connection: Any
    words: str
    at: float
    statements: int = 0


class _Waiting(NamedTuple):
    """Someone who waits: for a transaction begun with `words`, or (None) a place to begin one."""

    words: str
    came: asyncio.Future[Begun | None]


class Connections:
    """Connections in the role `sentinel_api`, made at first use.

    Parameters
    ----------
    dsn
        As libpq takes it.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: Any = None
        self._free: list[Any] = []
        self._places = CONNECTIONS
        self._line: deque[_Waiting] = deque()
        self._connecting = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """Lend a connection; whoever has it ends its transaction.

        Raises
        ------
        TimeoutError
            None was free within `QUERY_S`.
        StackError, OSError, asyncpg.PostgresError
            A new one was needed and cannot be made.
        """
        await self._enter("")
        try:
            connection = await self._take()
            try:
                yield connection
            finally:
                await self._put(connection)
        finally:
            self._leave()

    async def fetch(self, begin: str, sql: str, *args: Any) -> list[Any]:
        """Return the rows of one statement that reads, in a transaction begun with `begin`.

        It may share the transaction with others that began with the same, so `begin` names the
        tenant, and an isolation in which each statement sees what was committed before it.

        Raises
        ------
        TimeoutError
            No connection was free, or the statement did not end, within `QUERY_S`.
        StackError, OSError, asyncpg.PostgresError
            As `one`, and of the statement.
        """
        begun = await self._enter(begin) or await self._begin(begin)
        try:
            if not begun.statements:
                await begun.connection.execute(begin)
            rows: list[Any] = await begun.connection.fetch(sql, *args)
        except BaseException:
            await self._end(begun, "ROLLBACK")
            raise
        if not self._hand_on(begun._replace(statements=begun.statements + 1)):
            await self._end(begun, "COMMIT")
        return rows

    async def close(self) -> None:
        """Let go of all."""
        if self._pool is not None:
            while self._free:
                await self._pool.release(self._free.pop())
            await self._pool.close()

    async def _enter(self, words: str) -> Begun | None:
        """Wait for a place; return the transaction that comes with it, if any does."""
        if self._places:
            self._places -= 1
            return None
        waiting = _Waiting(words, asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        try:
            async with asyncio.timeout(QUERY_S):
                return await waiting.came
        except BaseException:
            if waiting.came.cancelled():
                self._line.remove(waiting)
            elif begun := waiting.came.result():  # it came in the moment that nobody waited for it
                await self._end(begun, "COMMIT")
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to who waits longest."""
        for waiting in self._line:
            if not waiting.came.done():
                self._line.remove(waiting)
                waiting.came.set_result(None)
                return
        self._places += 1

    def _hand_on(self, begun: Begun) -> bool:
        """Give place and transaction to who waits for the same; say whether anybody does."""
        if begun.statements >= MOST_JOINED or time.monotonic() - begun.at > JOINED_S:
            return False
        for waiting in self._line:
            if waiting.words == begun.words and not waiting.came.done():
                self._line.remove(waiting)
                waiting.came.set_result(begun)
                return True
        return False

    async def _begin(self, words: str) -> Begun:
        try:
            return Begun(await self._take(), words, time.monotonic())
        except BaseException:
            self._leave()
            raise

    async def _end(self, begun: Begun, how: str) -> None:
        try:
            await begun.connection.execute(how)
        finally:
            try:
                await self._put(begun.connection)
            finally:
                self._leave()

    async def _put(self, connection: Any) -> None:
        if _sound(connection):
            self._free.append(connection)
        else:
            await self._pool.release(connection)

    async def _take(self) -> Any:
        while self._free:
            connection = self._free.pop()
            if _sound(connection):
                return connection
            await self._pool.release(connection)
        async with self._connecting:
            if self._pool is None:
                self._pool = await postgres.open_pool(
                    self._dsn, postgres.API, size=CONNECTIONS, timeout_s=QUERY_S, init=_prepare
                )
        return await self._pool.acquire(timeout=QUERY_S)


def _sound(connection: Any) -> bool:
    """Say whether it can be lent; one that PostgreSQL has closed the pool has taken back."""
    try:
        return not (connection.is_closed() or connection.is_in_transaction())
    except asyncpg.InterfaceError:
        return False


async def _prepare(connection: Any) -> None:
    # what `api.deps.Database` says in the name of whom, it says as a literal
    await connection.execute("SET standard_conforming_strings = on")
    # Which filters are given decides which index is right: plan each call anew.
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    await connection.execute("SET default_transaction_read_only = on")
    # it would take longer than any query that is answered in time saves by it
    await connection.execute("SET jit = off")
