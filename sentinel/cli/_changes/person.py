"""Change what PostgreSQL keeps in the name of whoever types the command, for the audit log."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from api.deps import SQL
from sentinel import local, postgres
from sentinel.cli import _common

T = TypeVar("T")


def name() -> str:
    """Return who is logged in; ``unknown`` where the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def transaction(work: Callable[[Any], Awaitable[T]], role: str = postgres.API) -> T:
    """Do something in one transaction of the running stack, of all tenants, as ``cli:<name>``.

    Parameters
    ----------
    role
        That may do it.

    Raises
    ------
    StackError
        PostgreSQL cannot be reached or does not let us in; nothing is changed.
    """

    async def run() -> T:
        settings = local.connect(_common.settings(), "postgres")
        pool = await postgres.open_pool(
            settings.postgres, role, tenant=postgres.ALL_TENANTS, size=1
        )
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(SQL["actor"], f"cli:{name()}", "", "")
                return await work(connection)
        finally:
            await pool.close()

    return asyncio.run(run())
