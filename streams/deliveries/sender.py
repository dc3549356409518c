"""Take what is due from the outbox and send it: lanes in order, subscriptions independent.

Delivery: at least once, with an id that is the same for every attempt. Any number of senders
may run; a lane has at most one request under way. The first of a lane that fails holds up its
lane, nothing else, and is tried again as `retry.SCHEDULE` says. When the schedule is used up
and nothing has reached the subscription since, it is switched off and everything kept; it goes
on where it was once it is switched on again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import streams.deliveries.adapters
from sentinel import log, metrics, postgres
from sentinel.registry import discover
from sentinel.subscribers.kinds import KINDS
from sentinel.subscribers.model import Subscription
from streams.deliveries import claims, follow_up
from streams.deliveries.adapters.base import Adapter, Outcome, Wire
from streams.deliveries.book import Book
from streams.deliveries.claims import Claim, Verdict
from streams.deliveries.retry import wait_s

#: Most requests under way at a time in one process.
TOGETHER: Final = 64
POLL_S: Final = 0.5
KEEP: Final = timedelta(days=30)
PURGE_S: Final = 3600.0
FOLLOW_S: Final = 1.0
_log = log.get("streams.deliveries.sender")


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Sender:
    """Sends until it is cancelled.

    Parameters
    ----------
    pool
        In the role of workers, for all tenants.
    book
        The subscriptions.
    wire
        The ways to the outside.
    now
        The time, aware.
    chance
        Where jitter comes from.
    """

    def __init__(
        self,
        pool: Any,
        book: Book,
        wire: Wire,
        now: Callable[[], datetime] = utc_now,
        chance: random.Random | None = None,
    ) -> None:
        self._pool = pool
        self._book = book
        self._wire = wire
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._kinds = discover(streams.deliveries.adapters, Adapter)  # type: ignore[type-abstract]
        self._adapters: dict[UUID, tuple[int, Adapter[Any]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._purge_at = 0.0
        self._follow_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look at once: there is something new."""
        self._awake.set()

    async def run(self) -> None:
        """Send what is due, for ever; what is under way ends with it."""
        try:
            while True:
                self._awake.clear()
                self._follow_up()
                if await self.look() == 0:
                    await self._rest()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _rest(self) -> None:
        """Wait until something may have changed."""
        try:
            async with asyncio.timeout(POLL_S):
                await self._awake.wait()
        except TimeoutError:
            pass

    def _follow_up(self) -> None:
        """Escalate, and look after tickets, every now and then: beside, for it may take long."""
        if time.monotonic() < self._follow_at or not (self._asking is None or self._asking.done()):
            return
        self._follow_at = time.monotonic() + FOLLOW_S
        self._asking = self._start(self._after())

    async def _after(self) -> None:
        async for attempt in postgres.retrying():
            with attempt:
                await self.follow_up()
        await self._ask()

    async def follow_up(self) -> None:
        """Escalate what nobody acknowledged, tell of changes, resolve tickets of what is over."""
        async with self._pool.acquire() as connection:
            known = await self._book.read(connection)
            now = self._now()
            await follow_up.escalate(connection, known, now)
            await follow_up.resolve_tickets(connection, known, now)
            await follow_up.tell_changes(connection, known, now)

    async def _ask(self) -> None:
        """Look whether somebody resolved a ticket over there."""
        async with self._pool.acquire() as connection:
            known = await self._book.read(connection)
            await follow_up.look_at_tickets(connection, known, self._closed, self._now())

    async def _closed(self, subscription: Subscription, references: Sequence[str]) -> set[str]:
        return await self._adapter(subscription).closed(references)

    async def drain(self) -> int:
        """Send until nothing is due any more; return how many messages that were."""
        total = 0
        while found := await self.look():
            total += found
            await asyncio.gather(*self._under_way)
        return total

    async def look(self) -> int:
        """Begin to send what is due, as far as there is room; return how many messages."""
        room = TOGETHER - len(self._under_way)
        if room <= 0:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            return 1
        found: Sequence[Claim] = ()
        async for attempt in postgres.retrying():
            with attempt:
                async with self._pool.acquire() as connection:
                    known = dict(await self._book.read(connection))
                    found = await claims.claim(connection, known, self._now(), room)
                    if time.monotonic() >= self._purge_at:
                        self._purge_at = time.monotonic() + PURGE_S
                        await claims.purge(connection, self._now() - KEEP)
        for each in found:
            self._start(self._send(each))
        return len(found)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._awake.set()  # its lane may go on
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out, and the delivery is tried again.
            _log.error("an attempt failed", action="send_failed", exc_info=error)

    async def _send(self, claimed: Claim) -> None:
        """Make one attempt and write down what became of it."""
        at, began = self._now(), time.monotonic()
        outcome = await self._attempt(claimed, at)
        took_ms = int(1000 * (time.monotonic() - began))
        async for attempt in postgres.retrying():
            with attempt:
                async with self._pool.acquire() as connection:
                    verdict = await self._verdict(connection, claimed, outcome)
                    await claims.record(connection, claimed, outcome, verdict, (at, took_ms))
        result = verdict.state if outcome.error else "delivered"
        metrics.DELIVERIES.labels(claimed.subscription.kind, result).inc(len(claimed.rows))
        if outcome.error:
            _log.info(
                "a delivery failed",
                action="delivery_failed",
                subscription=str(claimed.subscription.id),
                delivery=str(claimed.ids[0]),
                error=outcome.error,
                state=verdict.state,
                disabled=verdict.disable,
            )

    async def _attempt(self, claimed: Claim, at: datetime) -> Outcome:
        try:
            # Room beyond the time-out of one request, for channels that make several.
            async with asyncio.timeout(claimed.subscription.options.timeout_s + claims.GRACE_S / 2):
                return await self._adapter(claimed.subscription).send(claimed.message(at))
        except TimeoutError:
            return Outcome(error="not done in time")
        except Exception as error:  # noqa: BLE001 - one channel must not stop the others
            _log.error("a channel failed", action="adapter_failed", exc_info=error)
            return Outcome(error=f"{type(error).__name__}: {error}")

    def _adapter(self, subscription: Subscription) -> Adapter[Any]:
        version, adapter = self._adapters.get(subscription.id, (0, None))
        if adapter is None or version != subscription.version:
            channel = KINDS[subscription.kind].model_validate(subscription.config)
            adapter = self._kinds[subscription.kind](channel, subscription.options, self._wire)
            self._adapters[subscription.id] = (subscription.version, adapter)
        return adapter

    async def _verdict(self, connection: Any, claimed: Claim, outcome: Outcome) -> Verdict:
        """Return what follows: delivered, again later, given up, or nothing more at all."""
        if not outcome.error:
            return Verdict("delivered", claimed.step)
        now = self._now()
        if outcome.gone:
            reason = "the receiver answered 410 Gone"
            return Verdict("pending", 0, now, disable=reason)
        if outcome.permanent:
            return Verdict("failed", claimed.step)
        step = claimed.step + 1
        wait = wait_s(step, outcome.retry_after_s, self._chance)
        if wait is not None:
            return Verdict("pending", step, now + timedelta(seconds=wait))
        if await claims.is_dead(connection, claimed):
            reason = f"no message arrived over the whole retry schedule: {outcome.error}"[:500]
            return Verdict("pending", 0, now, disable=reason)
        return Verdict("failed", step)
