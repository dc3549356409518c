"""The table ``suppressions`` for whoever keeps it: commands, the API and workers.

Plain rows in and out; what they mean and whether they make sense is `detectors.suppress`. All
functions take a connection of a pool (`sentinel.postgres.open_pool`), whose role and tenant
decide what may be seen and written. A row is never deleted: which alerts it kept quiet must
stay decidable in a replay.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from sentinel import postgres

#: Seconds from when a row is made or ended until it holds or ends: by then every worker has read
#: it (they look every `REFRESH_S`), so that all of them, and replays, decide the same.
REFRESH_S: Final = 2.0
SETTLE_S: Final = 3 * REFRESH_S
#: Days that ended rows are still handed to workers: longer than any record waits in a topic.
REPLAY_DAYS: Final = 7


SQL = postgres.queries(Path(__file__).with_name("queries.sql"))
Row = dict[str, Any]


async def load(connection: Any) -> list[Row]:
    """Return what a worker must know: all that holds, will hold, or held lately."""
    return [_row(row) for row in await connection.fetch(SQL["load"], REPLAY_DAYS)]


async def listed(
    connection: Any, tenant: str | None = None, *, ended: bool = False, limit: int = 1000
) -> list[Row]:
    """Return rows, newest first.

    Parameters
    ----------
    tenant
        Those of one, ``*`` being those that are for every tenant; None: all that may be seen.
    ended
        Also those that have expired or were removed.
    """
    return [_row(row) for row in await connection.fetch(SQL["list"], tenant, ended, limit)]


async def add(connection: Any, row: Row) -> Row:
    """Insert a row and return it as it is now.

    Parameters
    ----------
    row
        `tenant`, `kind`, `scope`, `owner`, `reason`, `expires` and, where wanted, `starts`
        (default: in `SETTLE_S` seconds), `weekly`, `per_hour`, `per_day`; times in ms since the
        epoch. Of a tuning also `disabled`, `staged`, `severity`, `threshold`, and `learned` where
        it was made of dispositions.
    """
    weekly = row.get("weekly")
    made = await connection.fetchrow(
        SQL["add"],
        *(row["tenant"], row["kind"], orjson.dumps(row["scope"]).decode()),
        *(row["owner"], row["reason"], row.get("starts"), row["expires"]),
        None if weekly is None else orjson.dumps(weekly).decode(),
        *(row.get("per_hour"), row.get("per_day"), SETTLE_S),
        *(row.get("disabled"), row.get("staged"), row.get("severity"), row.get("threshold")),
        row.get("learned", False),
    )
    return _row(made)


async def remove(connection: Any, ident: UUID, by: str, tenant: str | None = None) -> Row | None:
    """End a row in `SETTLE_S` seconds and return it; None where there is none that still holds."""
    row = await connection.fetchrow(SQL["remove"], ident, tenant, by, SETTLE_S)
    return None if row is None else _row(row)


async def judged(
    connection: Any, days: int, tenant: str | None = None, rule: str | None = None,
    source: str | None = None,
) -> list[Row]:  # fmt: skip
    """Return alerts of the last days and what they turned out to be, latest first.

    Each has `tenant`, `rule_id`, `source`, `entity`, `title`, `disposition` and `score`; None
    stands for any.
    """
    return [dict(row) for row in await connection.fetch(SQL["judged"], tenant, rule, source, days)]


async def learned(connection: Any, tenant: str, rule: str, source: str) -> Row | None:
    """Return the tuning in force that was made of dispositions for a rule and source, if any."""
    row = await connection.fetchrow(SQL["learned"], tenant, rule, source)
    return None if row is None else _row(row)


def _row(row: Any) -> Row:
    found = dict(row)
    for name in ("scope", "weekly"):
        if found[name] is not None:
            found[name] = orjson.loads(found[name])
    for name in ("starts", "expires", "created_at", "removed_at"):
        moment: datetime | None = found.pop(name)
        key = name.removesuffix("_at")
        found[key] = None if moment is None else round(1000 * moment.timestamp())
    return found | {"id": str(found["id"])}
