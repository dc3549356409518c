"""A database with subscriptions, a clock to move, and a receiver that fails when told to."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from sentinel import postgres as pg
from sentinel.subscribers import signing
from sentinel.subscribers.egress import Egress
from sentinel.subscribers.kinds import KINDS, parted
from sentinel.subscribers.model import Clause, Options
from sentinel.subscribers.vault import Vault, bound
from sentinel.testing import Clock
from sentinel.testing.server import ScriptedServer, reply
from streams.deliveries import outbox
from streams.deliveries.adapters.base import Wire
from streams.deliveries.book import Book
from streams.deliveries.http import Http
from streams.deliveries.outbox import Notice
from streams.deliveries.sender import Sender

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
VAULT = Vault([bytes(range(32))])


def make_alert(tenant: str, **changes: Any) -> dict[str, Any]:
    """Return the data of an alert, with what matters changed."""
    return {
        "id": str(uuid4()),
        "tenant": tenant,
        "source": "cloudtrail",
        "kind": "rule",
        "rule_id": "rule-1",
        "title": "Root logged in",
        "severity": "high",
        "score": 0.7,
        "techniques": ["T1078.004"],
        "entity": "root",
        "explanation": {"matched": {"eventName": "ConsoleLogin"}},
        "first_seen": "2026-01-31T12:00:00.000Z",
        "last_seen": "2026-01-31T12:00:00.000Z",
        "count": 1,
        "status": "new",
    } | changes


class World:
    """One tenant with its subscriptions, its outbox, and a sender under a clock of its own."""

    def __init__(self, pool: Any, tenant: str, server: ScriptedServer) -> None:
        self.pool = pool
        self.tenant = tenant
        self.server = server
        self.clock = Clock(1_800_000_000.0)
        self.egress = Egress("127.0.0.1")
        self.http = Http(self.egress)
        self.book = Book(VAULT)
        self.wire = Wire(self.http, self.egress, self.clock)
        self.sender = self.new_sender()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def new_sender(self) -> Sender:
        return Sender(self.pool, Book(VAULT), self.wire, lambda: self.now, random.Random(7))

    async def subscribe(
        self,
        kind: str = "webhook",
        *,
        clauses: list[dict[str, Any]] | None = None,
        tenant: str = "",
        name: str = "",
        config: dict[str, Any] | None = None,
        **options: Any,
    ) -> UUID:
        """Add a subscription and return its id."""
        ident, tenant = uuid4(), tenant or self.tenant
        given = config or {"url": f"{self.server.url}/hook"}
        if kind == "webhook":
            given = {"secrets": [signing.Secret(value=signing.new("v1"))]} | given
        public, secret = parted(KINDS[kind].model_validate(given))
        chosen = Options.model_validate(options)
        async with self.pool.acquire() as connection:
            # as the owner of the database: the role of workers only reads subscriptions
            await connection.execute("RESET ROLE")
            await connection.execute(
                "INSERT INTO subscriptions (tenant, id, name, kind, config, secrets, filter,"
                " options, concurrency, batch_size, created_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                *(tenant, ident, name or str(ident), kind, orjson.dumps(public).decode()),
                VAULT.seal(orjson.dumps(secret), bound(tenant, ident)),
                orjson.dumps([Clause(**each).model_dump() for each in clauses or []]).decode(),
                chosen.model_dump_json(),
                *(chosen.concurrency, chosen.batch_size, NEVER),
            )
            await connection.execute(f"SET ROLE {pg.WORKER}")
        return ident

    async def tell(self, *alerts: dict[str, Any], created: bool = True) -> int:
        """Put alerts into the outbox, as the stage does; return how many deliveries are new."""
        async with self.pool.acquire() as connection, connection.transaction():
            known = await self.book.read(connection)
            notices = [Notice(each, created, -1) for each in alerts]
            found = outbox.rows(notices, self.book.enabled(), self.now)
            found = [row for row in found if row.alert_tenant == self.tenant]
            new = await outbox.insert(connection, found, self.now)
            await outbox.plan_escalations(connection, found, new, known, self.now)
            return len(new)

    async def pass_time(self, seconds: float) -> int:
        """Move the clock and send what is due then."""
        self.clock.move(seconds)
        return await self.sender.drain()

    async def rows(self, query: str, *args: Any) -> list[Any]:
        async with self.pool.acquire() as connection:
            return list(await connection.fetch(query, *args))

    async def clear(self) -> None:
        """Forget every subscription there is, and with it its deliveries."""
        async with self.pool.acquire() as connection:
            await connection.execute("RESET ROLE")
            await connection.execute("DELETE FROM subscriptions")
            await connection.execute(f"SET ROLE {pg.WORKER}")

    async def states(self, ident: UUID) -> list[str]:
        """Return the states of the deliveries of a subscription, in order."""
        query = "SELECT state FROM deliveries WHERE subscription_id = $1 ORDER BY seq"
        return [row[0] for row in await self.rows(query, ident)]

    def sent(self, path: str = "/hook") -> list[Any]:
        """Return what the receiver got, as JSON."""
        return [request.json() for request in self.server.asked(path)]

    def titles(self, path: str = "/hook") -> list[str]:
        """Return the titles of the alerts that the receiver got, in order."""
        found: list[str] = []
        for message in self.sent(path):
            data = message["data"]
            found += [item["data"]["title"] for item in data.get("items", ())] or [data["title"]]
        return found


@pytest.fixture
def alert() -> Callable[..., dict[str, Any]]:
    """Return `make_alert`."""
    return make_alert


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Yield a receiver that takes everything that is posted."""
    with ScriptedServer() as found:
        for method in ("POST", "PUT", "PATCH", "GET"):
            found.route(method, r"/.*", lambda _request: reply({}))
        yield found


@pytest.fixture
async def world(postgres: str, server: ScriptedServer) -> AsyncIterator[World]:
    """Yield a tenant of this test alone, since the database is shared."""
    pool = await pg.open_pool(postgres, pg.WORKER, tenant=pg.ALL_TENANTS, size=4)
    found = World(pool, f"tenant-{uuid4().hex}", server)
    await found.clear()  # tests of other folders leave theirs, with deliveries
    yield found
    await found.http.close()
    await found.clear()
    await pool.close()
