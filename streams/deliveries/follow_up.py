"""What follows a delivery: escalation until somebody acknowledges, tickets closed on both sides.

Whoever was told of an alert is told when its status changes: ``alert.resolved`` when it is
over, else ``alert.updated``, with ``change``: from whom, when. Tickets are resolved instead.

An alert counts as acknowledged when its status is no longer ``new``. A ticket that somebody
resolves over there resolves the alert here, which the alert's history tells; an alert that is
resolved here resolves its tickets, by a delivery like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from sentinel import log, postgres
from sentinel.subscribers.kinds import ONE_BY_ONE, TICKETS
from sentinel.subscribers.model import Subscription
from streams.deliveries import outbox
from streams.deliveries.outbox import Row
from streams.deliveries.payload import ESCALATED, RESOLVED, UPDATED, moment

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
#: Between two looks at an open ticket.
CHECK: Final = timedelta(seconds=60)
#: Statuses of an alert that is over.
CLOSED: Final = frozenset({"resolved", "false_positive"})
Known = Mapping[UUID, Subscription]
Closed = Callable[[Subscription, Sequence[str]], Awaitable[set[str]]]
_log = log.get("streams.deliveries.follow_up")


async def escalate(connection: Any, known: Known, now: datetime) -> int:
    """Tell the next of each alert that is still new; return how many were told."""
    async with connection.transaction():
        rows: list[Row] = []
        for row in await connection.fetch(SQL["escalations"], now):
            who = (row["tenant"], row["subscription_id"], row["alert_tenant"], row["alert_id"])
            own = known.get(row["subscription_id"])
            steps = own.options.escalation if own is not None and own.enabled else []
            last = len(steps) * (1 + own.options.repeat) if own is not None else 0
            number = row["step"]
            if row["open"] and number < last:
                target = _named(known, row["tenant"], steps[number % len(steps)].to)
                if target is not None:
                    rows.append(_at_once(target, ESCALATED, row["payload"], number + 1, now))
            if row["open"] and number + 1 < last:
                wait = timedelta(seconds=steps[(number + 1) % len(steps)].after_s)
                await connection.execute(SQL["escalated"], *who, number + 1, now + wait)
            else:
                await connection.execute(SQL["done"], *who)
        return len(await outbox.insert(connection, rows, now))


async def resolve_tickets(connection: Any, known: Known, now: datetime) -> int:
    """Write down that tickets of alerts that are over are to be resolved."""
    async with connection.transaction():
        found = [
            _at_once(target, RESOLVED, row["payload"], row["revision"], now)
            for row in await connection.fetch(SQL["resolved"])
            if (target := known.get(row["subscription_id"])) is not None and target.enabled
        ]
        return len(await outbox.insert(connection, found, now))


async def tell_changes(connection: Any, known: Known, now: datetime) -> int:
    """Write down who is to be told that the status of an alert changed; return how many are."""
    async with connection.transaction():
        seen = await connection.fetchval(SQL["told_changes"])
        last = None if seen is None else await connection.fetchval(SQL["next_changes"], seen)
        if last is None:
            return 0  # nothing new, or another process tells it
        rows: list[Row] = []
        for row in await connection.fetch(SQL["changes"], seen, last):
            target = known.get(row["subscription_id"])
            if target is None or target.kind in ONE_BY_ONE or not target.enabled:
                continue
            if target.options.changes:
                kind = RESOLVED if row["status"] in CLOSED else UPDATED
                data = orjson.loads(row["payload"])["data"] | {
                    "status": row["status"],
                    "change": {"by": row["actor"], "at": moment(row["at"])},
                }
                rows.append(outbox.row(target, kind, data, row["id"], now))
        await connection.execute(SQL["changes_told"], last)
        return len(await outbox.insert(connection, rows, now))


async def look_at_tickets(connection: Any, known: Known, closed: Closed, now: datetime) -> int:
    """Resolve the alerts whose tickets somebody resolved over there; return how many."""
    asked = [each.id for each in known.values() if each.kind in TICKETS and each.enabled]
    if not asked:
        return 0
    by: dict[UUID, list[Any]] = defaultdict(list)
    for row in await connection.fetch(SQL["unchecked"], now, now - CHECK, asked):
        by[row["subscription_id"]].append(row)
    count = 0
    for ident, rows in by.items():
        over = await closed(known[ident], [row["reference"] for row in rows])
        for row in rows:
            if row["reference"] in over:
                await _resolve(connection, known[ident], row)
                count += 1
    return count


async def _resolve(connection: Any, subscription: Subscription, row: Any) -> None:
    alert = (row["alert_tenant"], row["alert_id"])
    async with connection.transaction():
        await connection.execute(SQL["lock_alerts"])  # revisions become visible in their order
        actor = f"{subscription.kind}:{subscription.name}"
        await connection.execute(SQL["resolve_alert"], *alert, actor, row["reference"])
        await connection.execute(SQL["over"], row["tenant"], row["subscription_id"], *alert)
    _log.info(
        "a ticket was resolved elsewhere",
        action="ticket_resolved",
        subscription=str(subscription.id),
        alert=str(row["alert_id"]),
        reference=row["reference"],
    )


def _named(known: Known, tenant: str, name: str) -> Subscription | None:
    """Return the subscription that an escalation names, if there is one that is on."""
    for each in known.values():
        if each.tenant == tenant and each.name == name and each.enabled:
            return each
    return None


def _at_once(target: Subscription, kind: str, text: str, revision: int, now: datetime) -> Row:
    """Return a delivery that neither digests nor quiet hours hold back."""
    data = orjson.loads(text)["data"]
    made = outbox.row(target, kind, data, revision, now)
    lane = outbox.lane(made.alert_id, target.options.concurrency)
    return made._replace(lane=lane, due_at=now)
