"""Rows to write, and a proxy that cuts the connection where a test wants it cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import pytest
from psycopg.conninfo import conninfo_to_dict


@pytest.fixture
def tenant() -> str:
    """Return a tenant of this test alone, since the database is shared."""
    return f"tenant-{uuid4().hex}"


@pytest.fixture
async def owner(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection of the database's owner that sees all tenants."""
    connection = await asyncpg.connect(postgres)
    await connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
    yield connection
    await connection.close()


class Proxy:
    """Passes bytes between a client and PostgreSQL; cuts at the first COMMIT that it is told to.

    ``cut`` is ``"before"`` (the COMMIT never arrives), ``"after"`` (it is carried out, the
    reply never arrives) or empty. `cuts` counts.
    """

    def __init__(self, dsn: str) -> None:
        self.target = conninfo_to_dict(dsn)
        self.cut = ""
        self.cuts = 0
        self.dsn = ""

    async def connect(self) -> Any:
        host, port = str(self.target.get("host", "127.0.0.1")), self.target.get("port", 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    async def serve(self, reader: Any, writer: Any) -> None:
        up = await self.connect()
        cutting = asyncio.Event()

        async def forth() -> None:
            while data := await reader.read(65536):
                if self.cut and b"COMMIT;" in data:
                    cutting.set()
                    if self.cut == "before":
                        return
                up[1].write(data)

        async def back() -> None:
            while data := await up[0].read(65536):
                if cutting.is_set():
                    return
                writer.write(data)

        ways = [asyncio.create_task(forth()), asyncio.create_task(back())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if cutting.is_set():
            self.cut = ""
            self.cuts += 1
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        up[1].close()


@pytest.fixture
def proxy(postgres: str) -> Callable[[], Any]:
    """Return a context manager that yields a running `Proxy`, `dsn` leading through it."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Proxy]:
        made = Proxy(postgres)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user, password, name = (
            quote(str(made.target.get(key, "")), safe="") for key in ("user", "password", "dbname")
        )
        made.dsn = f"postgresql://{user}:{password}@127.0.0.1:{port}/{name}"
        yield made
        server.close()

    return run
