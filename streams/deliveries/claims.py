"""What to send next, and what became of it: the outbox as senders use it.

A delivery is leased for the time of one attempt. A sender that dies lets its lease run out,
and another takes over: the receiver may get the message twice, with the same id. One whose
lease ran out while it lived changes nothing any more. All times are the caller's, so that a
test can move them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from sentinel import postgres
from sentinel.subscribers.kinds import ONE_BY_ONE
from sentinel.subscribers.model import Subscription
from streams.deliveries import payload
from streams.deliveries.adapters.base import Item, Message, Outcome
from streams.deliveries.outbox import HELD, TEST

SQL = postgres.queries(Path(__file__).with_name("sender.sql"))
#: Seconds that a lease lasts beyond the time-out of the request.
GRACE_S: Final = 60.0
#: Bytes of the bodies that one message gathers; a larger one goes alone. With what is around
#: them it stays below the 1 MiB that many a receiver takes by default (nginx,
#: ``client_max_body_size``).
MOST_BYTES: Final = 1_000_000
#: Most alerts of a digest.
DIGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that one request carries, and until when they are ours."""

    subscription: Subscription
    rows: Sequence[Any]
    until: datetime
    batched: bool

    @property
    def ids(self) -> list[UUID]:
        """The ids of the deliveries."""
        return [row["id"] for row in self.rows]

    @property
    def step(self) -> int:
        """How many attempts there were since it was first due."""
        return int(self.rows[0]["step"])

    def message(self, at: datetime) -> Message:
        """Return the message to send at `at`."""
        items = [_item(row["payload"]) for row in self.rows]
        if self.batched:
            ident, text = self.rows[0]["batch"], payload.joined([i.body for i in items], at)
        else:
            ident, text = self.rows[0]["id"], items[0].body
        reference = self.rows[0]["reference"] or ""
        return Message(str(ident), at.timestamp(), items, text.encode(), reference)


def _item(text: str) -> Item:
    value = orjson.loads(text)
    return Item(value["type"], value["data"], text)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an attempt: the new state, and when to try again."""

    state: str
    step: int
    due_at: datetime | None = None
    disable: str = ""


async def claim(
    connection: Any, subscriptions: dict[UUID, Subscription], now: datetime, limit: int
) -> list[Claim]:
    """Lease up to `limit` messages that are due, in a transaction of its own."""
    found: list[Claim] = []
    async with connection.transaction():
        # One whose secrets cannot be opened is left alone, and takes no room from the others.
        for head in await connection.fetch(SQL["heads"], now, limit, list(subscriptions)):
            subscription = subscriptions.get(head["subscription_id"])
            if subscription is not None:
                found.append(await _lease(connection, subscription, head, now))
    return [each for each in found if each.rows]


async def _lease(connection: Any, subscription: Subscription, head: Any, now: datetime) -> Claim:
    options = subscription.options
    # Where each alert is a request of its own, so is what was held back.
    single = subscription.kind in ONE_BY_ONE or head["lane"] == TEST
    size = 1 if single else DIGEST if head["lane"] == HELD else options.batch_size
    until = now + timedelta(seconds=options.timeout_s + GRACE_S)
    batch = uuid5(head["id"], "batch") if size > 1 else None
    rows = await connection.fetch(
        SQL["lease"], head["tenant"], head["id"], head["subscription_id"], head["lane"],
        head["batch"], size, until, now, batch, MOST_BYTES,
    )  # fmt: skip
    return Claim(subscription, rows, until, bool(rows) and rows[0]["batch"] is not None)


async def record(
    connection: Any, claimed: Claim, outcome: Outcome, verdict: Verdict, times: tuple[datetime, int]
) -> bool:
    """Write down an attempt, in a transaction of its own; False: the lease had run out.

    Parameters
    ----------
    times
        When the attempt began, and how long it took, in milliseconds.
    """
    at, took_ms = times
    who = (claimed.subscription.tenant, claimed.subscription.id)
    async with connection.transaction():
        done = await connection.fetchval(
            SQL["record"], who[0], claimed.ids, claimed.until, verdict.state, verdict.due_at,
            verdict.step, outcome.status, outcome.error[:1000], at, took_ms, outcome.response,
            who[1],
        )  # fmt: skip
        if not done:
            return False
        if verdict.disable:
            await connection.execute(SQL["disable"], *who, verdict.disable, at)
        await _tickets(connection, claimed, outcome, at)
    return True


async def _tickets(connection: Any, claimed: Claim, outcome: Outcome, at: datetime) -> None:
    """Keep what the receiver called the alert, as long as it is open there."""
    who = (claimed.subscription.tenant, claimed.subscription.id)
    for row in claimed.rows:
        alert = (row["alert_tenant"], row["alert_id"])
        if outcome.error or row["type"] == payload.PING:
            continue
        if row["type"] == payload.RESOLVED:
            await connection.execute(SQL["ticket_over"], *who, *alert)
        elif outcome.reference:
            await connection.execute(
                SQL["ticket"], *who, *alert, outcome.reference, outcome.url, at
            )


async def is_dead(connection: Any, claimed: Claim) -> bool:
    """Say whether nothing has reached the subscription since the message was written."""
    who = (claimed.subscription.tenant, claimed.subscription.id)
    return bool(await connection.fetchval(SQL["dead"], *who, claimed.rows[0]["created_at"]))


async def purge(connection: Any, before: datetime) -> None:
    """Delete what was finished `before`, a bounded part of it at a time."""
    await connection.execute(SQL["purge"], before)
