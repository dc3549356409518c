"""Connections to PostgreSQL, lent to one request at a time.

asyncpg's pool makes two tasks for each use, which take longer than a small query. So a
connection that comes back in order is kept here and lent again as it is; the pool is asked
for new ones, and given those that failed.

What a session was told, such as whose rows it sees, is kept beside its connection: who borrows
says what it needs, and gets a connection whose session was told exactly that. A transaction of
one statement then needs one round trip, where it is asked in the same name as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import asyncpg

from sentinel import postgres

CONNECTIONS: Final = 8
#: Longest time for one query; a broader one should be narrowed, not waited for.
QUERY_S: Final = 15.0


class Session(NamedTuple):
    """What a session was told: whose rows it sees, and how its statements are planned.

    Attributes
    ----------
    tenant
        Empty: nobody's.
    by_id
        False plans each call anew, since it depends on the filters which index is right; True
        says that there is no question, which saves the planning.
    """

    tenant: str = ""
    by_id: bool = False

    def statements(self) -> str:
        """Return what tells a session."""
        tenant = self.tenant.replace("'", "''")
        mode = "force_generic_plan" if self.by_id else "force_custom_plan"
        return f"SET sentinel.tenant = '{tenant}'; SET plan_cache_mode = {mode}"


NOBODYS: Final = Session()


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
        #: Each with what its session was told, in the order in which they came back.
        self._free: list[tuple[Session, Any]] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._connecting = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """Lend a connection that sees nobody's rows; whoever has it ends its transaction.

        Raises
        ------
        TimeoutError
            None was free within `QUERY_S`.
        StackError, OSError, asyncpg.PostgresError
            A new one was needed and cannot be made.
        """
        connection = await self._lend(NOBODYS)
        try:
            yield connection
        finally:
            await self._take_back(NOBODYS, connection)

    async def fetch(self, session: Session, sql: str, *args: Any) -> list[Any]:
        """Return the rows of one statement, in a transaction of its own; raises as `one`."""
        connection = await self._lend(session)
        try:
            rows: list[Any] = await connection.fetch(sql, *args)
        finally:
            await self._take_back(session, connection)
        return rows

    async def close(self) -> None:
        """Let go of all."""
        if self._pool is not None:
            while self._free:
                await self._pool.release(self._free.pop()[1])
            await self._pool.close()

    async def _lend(self, session: Session) -> Any:
        if self._slots.locked():
            async with asyncio.timeout(QUERY_S):
                await self._slots.acquire()
        else:
            await self._slots.acquire()
        try:
            return await self._told(session)
        except BaseException:
            self._slots.release()
            raise

    async def _take_back(self, session: Session, connection: Any) -> None:
        try:
            if _sound(connection):
                self._free.append((session, connection))
            else:
                await self._pool.release(connection)
        finally:
            self._slots.release()

    async def _told(self, session: Session) -> Any:
        """Return a connection whose session was told `session`, and nothing else."""
        found = self._kept(session)
        while found is not None:
            told, connection = found
            if _sound(connection):
                break
            await self._pool.release(connection)
            found = self._kept(session)
        else:
            told, connection = None, await self._new()
        if told != session:
            try:
                await connection.execute(session.statements())
            except BaseException:
                # nobody knows what it was told: it is not lent again
                connection.terminate()
                await self._pool.release(connection)
                raise
        return connection

    def _kept(self, session: Session) -> tuple[Session, Any] | None:
        """Take the last that was told `session`, else the one that waits longest."""
        for place in range(len(self._free) - 1, -1, -1):
            if self._free[place][0] == session:
                return self._free.pop(place)
        return self._free.pop(0) if self._free else None

    async def _new(self) -> Any:
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
    # in the name of whom a session speaks, is said as a literal
    await connection.execute("SET standard_conforming_strings = on")
    # a statement alone is a transaction of this kind
    await connection.execute("SET default_transaction_read_only = on")
    await connection.execute("SET default_transaction_isolation = 'repeatable read'")
    # it would take longer than any query that is answered in time saves by it
    await connection.execute("SET jit = off")
