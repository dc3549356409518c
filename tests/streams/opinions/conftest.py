"""A database with alerts, services that answer over HTTP, and a clock to move."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
import yaml

from sentinel import postgres as pg
from sentinel.settings import Settings
from sentinel.subscribers.vault import Vault
from sentinel.testing import Clock
from sentinel.testing.reputation import ReputationDouble
from sentinel.testing.server import ScriptedServer
from streams.deliveries.book import Book
from streams.opinions.asking import Asking

ALERT = """
INSERT INTO alerts (tenant, id, revision, kind, rule_id, title, source, severity_id, score,
  techniques, entity, explanation, status, count, first_seen, last_seen)
VALUES ($1, $2, nextval('alerts_seq'), 'rule', 'r', 't', 's', $3, 0.7, '{}', 'e', '{}', $4, 1,
  now(), now())
"""
EVENT = """
INSERT INTO alert_events (tenant, alert_id, event_uid, time, arrived, score, source, ocsf, raw)
VALUES ($1, $2, $3, now(), now(), 0.7, 's', $4, '')
"""


class World:
    """Alerts of one tenant, and who is asked about them."""

    def __init__(self, pool: Any, server: ScriptedServer, folder: Any, monkeypatch: Any) -> None:
        self.pool, self.server, self.folder = pool, server, folder
        self.tenant = f"tenant-{uuid4().hex}"
        # at noon, since quotas are of a day, which must not end while a test moves the clock
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0)
        self.clock = Clock(noon.timestamp())
        self.double = ReputationDouble(server, {})
        self.book = Book(Vault([bytes(range(32))]))
        self._made: list[Asking] = []
        monkeypatch.setenv("REPUTATION_KEY", self.double.key)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    async def asking(self, *names: str, allow: str = "127.0.0.1", **more: Any) -> Asking:
        """Return who asks these services; alerts from before are not asked about."""
        services = {
            name: {"key": "env:REPUTATION_KEY", "url": self.double.url(name)} for name in names
        }
        for name, options in more.pop("options", {}).items():
            services[name] |= options
        path = self.folder / f"{uuid4().hex}.yml"
        path.write_text(yaml.safe_dump({"services": services, **more}))
        settings = Settings(opinions=str(path), deliver_allow=allow)
        made = Asking(settings, self.pool, self.book, self.now)
        self._made.append(made)
        return made

    async def alert(self, *ips: str, severity: int = 4, status: str = "new") -> UUID:
        """Store an alert with an event for each address."""
        ident = uuid4()
        async with self.pool.acquire() as connection:
            await connection.execute(ALERT, self.tenant, ident, severity, status)
            for ip in ips:
                ocsf = orjson.dumps({"src_endpoint": {"ip": ip}}).decode()
                await connection.execute(EVENT, self.tenant, ident, uuid4(), ocsf)
        return ident

    async def said(self, ident: UUID) -> dict[str, tuple[str, str]]:
        """Return state and text, or reason, by ``service value``."""
        rows = await self.pool.fetch("SELECT * FROM opinions WHERE alert_id = $1", ident)
        return {
            f"{row['service']} {row['value']}": (row["state"], row["said"] or row["error"])
            for row in rows
        }

    async def answered(self, ident: UUID, service: str) -> None:
        """Return once a service has answered, which only the database knows."""
        query = "SELECT count(*) FROM opinions WHERE (alert_id, service, state) = ($1, $2, $3)"
        while not await self.pool.fetchval(query, ident, service, "answered"):
            pass

    async def forget(self) -> None:
        """Make it as if nobody had ever looked: no questions, no quota used, no place."""
        async with self.pool.acquire() as connection:
            await connection.execute("RESET ROLE")
            await connection.execute("DELETE FROM opinions")
            await connection.execute("DELETE FROM opinion_services")
            await connection.execute(f"SET ROLE {pg.WORKER}")

    async def close(self) -> None:
        for each in self._made:
            await each.close()


@pytest.fixture
async def world(postgres: str, tmp_path: Any, monkeypatch: Any) -> Any:
    """Yield it, with nothing asked and no quota used."""
    pool = await pg.open_pool(postgres, pg.WORKER, tenant=pg.ALL_TENANTS, size=4)
    with ScriptedServer() as server:
        found = World(pool, server, tmp_path, monkeypatch)
        await found.forget()
        yield found
        await found.close()
    await pool.close()
