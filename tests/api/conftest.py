"""The application on the real database, rows to find, and a client with the first token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import create
from api.sending.joined import Protocol
from sentinel.settings import Settings
from streams.sinks.base import AlertEventRow, AlertRow, DeadLetterRow, EventRow, Rows, Sink
from streams.sinks.postgres import PostgresSink

NOW = time.time_ns() // 1_000_000
TOKEN = "a token of one tenant, long enough".replace(" ", "-")

Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def tenant() -> str:
    """Return a tenant of this test alone, since the database is shared."""
    return f"tenant-{uuid4().hex}"


@pytest.fixture
def home(tmp_path: Path, tenant: str) -> Path:
    """Return a SENTINEL_HOME with a token for `tenant`."""
    (tmp_path / "tenant-tokens").write_text(f"{tenant} {TOKEN}\n")
    return tmp_path


@pytest.fixture
def api_settings(
    postgres: str, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Settings:
    """Return settings of an API with the real database and no broker, which waits briefly.

    With a broker, that is in tests that ask for `kafka`, it waits longer.
    """
    for module in ("api.deps", "api.routes.operations"):
        wait_s = 8.0 if "kafka" in request.fixturenames else 4.0
        monkeypatch.setattr(f"{module}.BROKER_S", wait_s)
    return Settings(home=home, postgres=postgres, kafka="127.0.0.1:1", elasticsearch="")


@pytest.fixture
def app(api_settings: Settings) -> FastAPI:
    """Return the application."""
    return create(api_settings)


@asynccontextmanager
async def connected(app: FastAPI, home: Path, token: str | None) -> AsyncIterator[Any]:
    """Run the application and yield a client of it; without a token where `token` is empty."""
    found = (home / "api-token").read_text().strip() if token is None else token
    headers = {"Authorization": f"Bearer {found}"} if found else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client,
    ):
        yield client


@pytest.fixture
def connect(app: FastAPI, home: Path) -> Client:
    """Return ``connect(token=None)``: a client with the first token, or the one given."""

    def run(token: str | None = None, application: FastAPI | None = None) -> Any:
        return connected(application or app, home, token)

    return run


@pytest.fixture
async def client(connect: Client) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that has the first token."""
    async with connect() as found:
        yield found


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """Serve the application with uvicorn and yield its address."""
    config = uvicorn.Config(
        app, http=Protocol, port=0, log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 # uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


class Seed:
    """Writes rows of one tenant, with what matters to a test changed."""

    def __init__(self, tenant: str, *sinks: Sink) -> None:
        self._sinks = sinks
        self.tenant = tenant

    async def alert(self, events: int = 1, **changes: Any) -> AlertRow:
        evidence = [
            AlertEventRow(uuid4().bytes, NOW + i, NOW, 0.7, "cloudtrail", '{"n": 1}', b'{"r": 1}')
            for i in range(events)
        ]
        row = AlertRow(
            tenant=self.tenant,
            id=str(uuid4()),
            kind="rule",
            rule_id="rule-1",
            title="Root logged in",
            source="cloudtrail",
            severity_id=4,
            score=0.7,
            techniques=["T1078.004"],
            entity="root",
            explanation='{"matched": {"eventName": "ConsoleLogin"}}',
            count=events,
            first_seen=NOW,
            last_seen=NOW,
            events=evidence,
        )._replace(**changes)
        await self.write(row)
        return row

    async def write(self, *rows: AlertRow) -> None:
        await self._write(Rows(alerts=rows))

    async def _write(self, rows: Rows) -> None:
        for sink in self._sinks:
            await sink.write(rows)

    async def event(self, **changes: Any) -> EventRow:
        row = EventRow(
            tenant=self.tenant,
            uid=uuid4().bytes,
            time=NOW,
            arrived=NOW,
            source="cloudtrail",
            class_uid=6003,
            activity_id=1,
            status_id=1,
            severity_id=1,
            entity="ada",
            operation="ListBuckets",
            service="s3.amazonaws.com",
            src_ip="192.0.2.1",
            raw=b'{"eventName": "ListBuckets"}',
            ocsf='{"class_uid": 6003}',
        )._replace(**changes)
        await self._write(Rows(events=[row]))
        return row

    async def letter(self, **changes: Any) -> DeadLetterRow:
        row = DeadLetterRow(
            topic="dead_letter",
            partition=0,
            offset=uuid4().int >> 70,
            origin_topic="raw.cloudtrail",
            origin_partition=1,
            origin_offset=uuid4().int >> 70,
            origin_index=0,
            stage="normalize",
            reason="json",
            detail="expected JSON, found '{'",
            tenant=self.tenant,
            source="cloudtrail",
            time=NOW,
            size=1,
            value=b"{",
        )._replace(**changes)
        await self._write(Rows(dead_letters=[row]))
        return row


@pytest.fixture
async def seed(postgres: str, tenant: str) -> AsyncIterator[Seed]:
    """Yield what writes rows of `tenant`."""
    sink = PostgresSink(Settings(postgres=postgres))
    await sink.open()
    yield Seed(tenant, sink)
    await sink.close()


@pytest.fixture
async def owner(postgres: str) -> AsyncIterator[Any]:
    """Yield a connection of the database's owner that sees every tenant."""
    connection = await asyncpg.connect(postgres)
    await connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
    yield connection
    await connection.close()


@pytest.fixture
def new_seed() -> type[Seed]:
    """Return `Seed`, for tests that choose the sinks."""
    return Seed


@pytest.fixture(scope="session")
def shared_seed() -> type[Seed]:
    """Return `Seed`, for rows that all tests of a module read."""
    return Seed
