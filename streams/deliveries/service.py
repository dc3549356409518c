"""Everything that delivers in one process: pool, subscriptions, outlet, sender, opinions."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Self

from sentinel import postgres
from sentinel.kafka import Producer
from sentinel.settings import Settings
from sentinel.subscribers.egress import Egress
from sentinel.subscribers.vault import Vault
from streams.deliveries.adapters.base import Wire
from streams.deliveries.book import Book
from streams.deliveries.http import Http
from streams.deliveries.outlet import OutboxOutlet
from streams.deliveries.sender import Sender
from streams.opinions.asking import Asking

CONNECTIONS = 4


async def _lazily(connection: Any) -> None:
    """Do not wait for the disk: an attempt that is forgotten is made again, with the same id."""
    await connection.execute("SET synchronous_commit = off")


class Deliveries:
    """Made by `open`; `outlet` is the stage's, `run` sends until it is cancelled."""

    def __init__(self, settings: Settings, pool: Any, lazy: Any) -> None:
        egress = Egress(settings.deliver_allow)
        self._pool, self._lazy = pool, lazy
        self._http = Http(egress)
        self._book = Book(Vault.load(settings))
        self._opinions = Asking(settings, lazy, self._book) if settings.opinions else None
        self._sender = Sender(lazy, self._book, Wire(self._http, egress, time.time))

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect, waiting until PostgreSQL is there.

        Raises
        ------
        SettingsError
            The key for secrets or the list of allowed addresses is not usable.
        """
        async for attempt in postgres.retrying():
            with attempt:
                pool = await _open(settings, 2)
        async for attempt in postgres.retrying():
            with attempt:
                lazy = await _open(settings, CONNECTIONS, _lazily)
        return cls(settings, pool, lazy)

    def outlet(self, producer: Producer) -> OutboxOutlet:
        """Return where the deliver stage writes to."""
        return OutboxOutlet(producer, self._pool, self._book, self._sender.wake)

    async def run(self) -> None:
        """Send what is due, for ever, and ask others about alerts where that is wanted."""
        asking = asyncio.create_task(self._opinions.run()) if self._opinions else None
        try:
            await self._sender.run()
        finally:
            if asking is not None:
                asking.cancel()

    async def close(self) -> None:
        """Disconnect; what was under way is tried again later."""
        await self._http.close()
        if self._opinions is not None:
            await self._opinions.close()
        await self._lazy.close()
        await self._pool.close()


async def _open(settings: Settings, size: int, init: Any = None) -> Any:
    return await postgres.open_pool(
        settings.postgres, postgres.WORKER, tenant=postgres.ALL_TENANTS, size=size, init=init
    )
