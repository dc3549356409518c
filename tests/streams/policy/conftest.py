"""A tenant of a test's own, and the database as a worker sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from sentinel import postgres as database


@pytest.fixture
def tenant() -> str:
    """Return a name that no other test has."""
    return f"t-{uuid4().hex}"


@pytest.fixture
async def worker(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection as a worker has it, of all tenants."""
    pool = await database.open_pool(postgres, database.WORKER, tenant="*", size=1)
    async with pool, pool.acquire() as connection:
        yield connection
