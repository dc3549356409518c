"""Questions and answers in PostgreSQL: what to ask, who may ask now, what was said.

Idempotent: an alert that is looked at twice has its questions once, and an answer that is
written twice changes nothing. Any number of processes may look and ask; a question is asked
again only where its asker died (`LEASE`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from sentinel import postgres
from sentinel.subscribers.model import SEVERITIES
from streams.opinions.config import Options
from streams.opinions.services.base import Opinion, Service
from streams.opinions.values import Asked, values

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
#: Alerts that are looked at in one transaction, and events of each.
ALERTS, EVENTS = 100, 50
#: Alerts that are older are not asked about: after an outage what is new comes first.
OLDEST: Final = timedelta(days=1)
#: After this a question is taken to have been forgotten by whoever asked.
LEASE: Final = timedelta(minutes=3)
#: After this an alert's first answers are told, though others are still missing.
PATIENCE: Final = timedelta(minutes=2)


class Turn(NamedTuple):
    """A question that may be asked now, or how long there is none."""

    asked: Asked | None
    attempt: int = 0
    failures: int = 0
    wait: timedelta = timedelta(0)


async def look(pool: Any, options: Options, services: dict[str, Service], now: datetime) -> int:
    """Write down what to ask about alerts that are new; return how many alerts were looked at."""
    least = SEVERITIES.index(options.min_severity) + 1
    async with pool.acquire() as connection, connection.transaction():
        seen = await connection.fetchval(SQL["seen"])
        if seen is None:  # another process looks
            return 0
        rows = await connection.fetch(SQL["alerts"], seen, least, now - OLDEST, ALERTS)
        for row in rows:
            if row["wanted"]:
                await _ask(connection, row["tenant"], row["id"], options, services, now)
        if rows:
            await connection.execute(SQL["saw"], rows[-1]["revision"])
    return len(rows)


async def _ask(
    connection: Any,
    tenant: str,
    alert: Any,
    options: Options,
    services: dict[str, Service],
    now: datetime,
) -> None:
    events = [orjson.loads(row[0]) for row in await connection.fetch(
        SQL["evidence"], tenant, alert, EVENTS
    )]  # fmt: skip
    wanted: list[tuple[str, str, str]] = []
    for name, service in services.items():
        kinds = service.kinds & options.kinds
        wanted += [(name, *each) for each in values(events, kinds, options.never, options.most)]
    if wanted:
        columns = [list(column) for column in zip(*wanted, strict=True)]
        await connection.execute(SQL["ask"], tenant, alert, now, *columns)


async def turn(pool: Any, name: str, gap: timedelta, per_day: int, now: datetime) -> Turn:
    """Return the next question to a service, counted against its quota.

    Parameters
    ----------
    gap
        Least time between two requests.
    per_day
        Requests of a day, UTC.
    """
    async with pool.acquire() as connection, connection.transaction():
        today = now.astimezone(UTC).date()
        state = await connection.fetchrow(SQL["service"], name, today)
        if state["next_at"] > now:
            return Turn(None, wait=state["next_at"] - now)
        if state["asked"] >= per_day:
            midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
            return Turn(None, wait=midnight - now)
        row = await connection.fetchrow(SQL["due"], name, now)
        if row is None:
            return Turn(None)
        await connection.execute(SQL["lease"], name, row["kind"], row["value"], now + LEASE)
        await connection.execute(SQL["spend"], name, now + gap, today, state["asked"] + 1)
        asked = Asked(row["kind"], row["value"])
        return Turn(asked, row["attempts"] + 1, state["failures"])


async def answer(
    pool: Any, name: str, asked: Asked, opinion: Opinion, now: datetime, keep: timedelta
) -> int:
    """Write an answer down for all alerts that wait for it; return how many those are."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            SQL["answer"], name, *asked, now, now + keep, _plain(opinion.said), opinion.malicious,
            _plain(opinion.link),
        )  # fmt: skip
        await connection.execute(SQL["well"], name)
        if rows:
            await connection.execute(SQL["lock_alerts"])  # revisions show in their order
            columns = [row["tenant"] for row in rows], [row["alert_id"] for row in rows]
            await connection.execute(SQL["touch"], *columns)
    return len(rows)


async def fail(
    pool: Any,
    name: str,
    asked: Asked,
    error: str,
    again: datetime | None,
    now: datetime,
    *,
    counts: bool = True,
) -> None:
    """Write down that there was no answer, and when to ask again; None: no more.

    `counts` says whether it was an attempt of the question, not a refusal of all.
    """
    state = "failed" if again is None else "pending"
    async with pool.acquire() as connection:
        await connection.execute(
            SQL["fail"], name, *asked, state, again or now, _plain(error), 0 if counts else 1
        )


async def pause(pool: Any, name: str, until: datetime, reason: str) -> None:
    """Ask a service nothing until then."""
    async with pool.acquire() as connection:
        await connection.execute(SQL["pause"], name, until, _plain(reason))


def _plain(text: str) -> str:
    r"""Return text that PostgreSQL takes, bounded."""
    return "".join(each if each.isprintable() else " " for each in text)[:500]
