"""The way out of the deliver stage: the outbox and the position, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sentinel import postgres
from sentinel.kafka import Producer
from streams.deliveries import outbox
from streams.deliveries.book import Book
from streams.deliveries.outbox import Notice
from streams.runtime.checkpoint import Position, save_in
from streams.runtime.outlets import ProducerOutlet
from streams.runtime.stage import Output


@dataclass(slots=True)
class Notices(Output):
    """Alerts to tell of; `records` are dead letters."""

    notices: list[Notice] = field(default_factory=list)


class OutboxOutlet:
    """Writes deliveries; a crash leaves either both rows and position, or neither.

    Parameters
    ----------
    producer
        For dead letters.
    pool
        In the role of workers, for all tenants.
    book
        Who subscribes.
    wake
        Called when there is something to send.
    """

    together = 1

    def __init__(
        self,
        producer: Producer,
        pool: Any,
        book: Book,
        wake: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._letters = ProducerOutlet(producer)
        self._pool = pool
        self._book = book
        self._wake = wake
        self._now = now

    async def deliver(self, output: Output, position: Callable[..., Position]) -> bool:
        """Write what subscriptions want of the alerts, with the position; waits for PostgreSQL."""
        if output.records:
            await self._letters.deliver(output, position)
            await self._letters.settle()
        notices = output.notices if isinstance(output, Notices) else []
        async for attempt in postgres.retrying():
            with attempt:
                async with self._pool.acquire() as connection, connection.transaction():
                    added = await self._write(connection, notices)
                    await save_in(connection, [position()])
        if added:
            self._wake()
        return True

    async def _write(self, connection: Any, notices: list[Notice]) -> bool:
        if not notices:
            return False
        now = self._now()
        subscriptions = await self._book.read(connection)
        found = outbox.rows(notices, self._book.enabled(), now)
        new = await outbox.insert(connection, found, now)
        await outbox.plan_escalations(connection, found, new, subscriptions, now)
        return bool(new)

    async def settle(self) -> None:
        """Nothing is outstanding: each `deliver` is whole."""
