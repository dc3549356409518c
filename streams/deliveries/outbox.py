"""Into the outbox: a row for each subscription that wants an alert, once, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from sentinel import postgres
from sentinel.subscribers import schedule
from sentinel.subscribers.model import Subscription
from streams.deliveries.payload import AMENDED, CREATED, NEURAL, body, identity

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
#: Lanes of what is held back, and of tests; the others are sent at once, each in its order.
HELD: Final = -1
TEST: Final = -2


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert to tell of: its data, whether it is new, and when its record was written (ms)."""

    data: Mapping[str, Any]
    created: bool
    written_ms: int


class Row(NamedTuple):
    """One delivery, in the order of the columns of the query ``insert``."""

    tenant: str
    id: UUID
    subscription_id: UUID
    lane: int
    type: str
    alert_tenant: str
    alert_id: UUID
    revision: int
    payload: str
    due_at: datetime


def rows(
    notices: Iterable[Notice], subscriptions: Sequence[Subscription], now: datetime
) -> list[Row]:
    """Return the deliveries of alerts, leaving out what was written before a subscription was."""
    found: list[Row] = []
    for notice in notices:
        for each in subscriptions:
            if not notice.created and not each.options.amendments:
                continue
            if notice.written_ms >= 0 and notice.written_ms < each.created_at.timestamp() * 1000:
                continue
            if each.wants(notice.data):
                kind = CREATED if notice.created else AMENDED
                kind = NEURAL if "event" in notice.data else kind
                found.append(row(each, kind, notice.data, notice.data["count"], now))
    return found


def row(
    subscription: Subscription, kind: str, data: Mapping[str, Any], revision: int, now: datetime
) -> Row:
    """Return one delivery."""
    options = subscription.options
    at, held = schedule.due(options, now, data["severity"])
    alert = UUID(data["id"])
    return Row(
        subscription.tenant,
        identity(subscription.id, data["id"], kind, revision),
        subscription.id,
        HELD if held else lane(alert, options.concurrency),
        kind,
        data["tenant"],
        alert,
        revision,
        body(kind, data, now),
        at,
    )


def lane(alert: UUID, lanes: int) -> int:
    """Return the lane of an alert; the API moves deliveries by the same rule (query ``lanes``)."""
    return (alert.int & 0xFFFF) % lanes


async def insert(connection: Any, found: Sequence[Row], now: datetime) -> set[UUID]:
    """Add rows in the transaction that `connection` is in; return the ids that are new.

    The lock is held until the commit, so that the order of ``seq`` is that of commits, and
    whoever sends sees no row before one that comes first.
    """
    if not found:
        return set()
    await connection.execute(SQL["lock"])
    added = await connection.fetch(SQL["insert"], *zip(*found, strict=True), now)
    return {each["id"] for each in added}


async def plan_escalations(
    connection: Any,
    found: Sequence[Row],
    new: set[UUID],
    subscriptions: Mapping[UUID, Subscription],
    now: datetime,
) -> None:
    """Note when somebody else is to be told of each alert that is new."""
    for each in found:
        steps = subscriptions[each.subscription_id].options.escalation
        if steps and each.id in new and each.type == CREATED:
            first = now + timedelta(seconds=steps[0].after_s)
            await connection.execute(SQL["escalate"], each.id, first, each.tenant)
