"""Subscribers that were told of an alert are told what services say of it: ``alert.opinions``.

A delivery like any other, once for each answer that was not there before; its data is what
was last told, with ``opinions``: lines such as ``VirusTotal: 12 of 90 engines (192.0.2.1)``.
Those that want no amendments are not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from sentinel.subscribers.model import Subscription
from streams.deliveries import outbox
from streams.deliveries.payload import OPINIONS
from streams.opinions.services.base import Service
from streams.opinions.store import PATIENCE, SQL


async def follow_up(
    pool: Any,
    known: Mapping[UUID, Subscription],
    services: Mapping[str, Service],
    now: datetime,
) -> int:
    """Write down who is to be told of answers; return how many deliveries that are."""
    count = 0
    async with pool.acquire() as connection, connection.transaction():
        for alert in await connection.fetch(SQL["untold"], now - PATIENCE):
            if not await connection.fetch(SQL["tell"], *alert):
                continue  # another process has told
            answers = await connection.fetch(SQL["answers"], *alert)
            lines = said(answers, services)
            rows = []
            for row in await connection.fetch(SQL["last_told"], *alert):
                target = known.get(row["subscription_id"])
                if target is not None and target.enabled and target.options.amendments:
                    data = orjson.loads(row["payload"])["data"] | {"opinions": lines}
                    rows.append(outbox.row(target, OPINIONS, data, len(answers), now))
            count += len(await outbox.insert(connection, rows, now))
    return count


def said(answers: Iterable[Mapping[str, Any]], services: Mapping[str, Service]) -> list[str]:
    """Return answers as lines for people."""
    return [
        f"{_title(each['service'], services)}: {each['said']} ({each['value']})" for each in answers
    ]


def _title(name: str, services: Mapping[str, Service]) -> str:
    return services[name].title if name in services else name
