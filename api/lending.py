"""Connections to PostgreSQL, lent to one request at a time.

asyncpg's pool makes two tasks for each use, which take longer than a small query. So a
connection that comes back in order is kept here and lent again as it is; the pool is asked
for new ones, and given those that failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from sentinel import postgres

CONNECTIONS: Final = 8
#: Longest time for one query; a broader one should be narrowed, not waited for.
QUERY_S: Final = 15.0


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
        self._slots = asyncio.Semaphore(CONNECTIONS)
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
        if self._slots.locked():
            async with asyncio.timeout(QUERY_S):
                await self._slots.acquire()
        else:
            await self._slots.acquire()
        try:
            connection = await self._take()
            try:
                yield connection
            finally:
                if _sound(connection):
                    self._free.append(connection)
                else:
                    await self._pool.release(connection)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Let go of all."""
        if self._pool is not None:
            while self._free:
                await self._pool.release(self._free.pop())
            await self._pool.close()

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
