"""Search in PostgreSQL: nothing to set up, for the days that events are kept there.

A full-text search reads every row that the other filters leave, so it is bounded by the
time one query may take (`api.deps.QUERY_S`): narrow the time where that is not enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from api.paging import more
from api.search import AlertFilter, EventFilter, Found, Place, Search

if TYPE_CHECKING:
    from api.deps import Database

NOWHERE = (None, None)


class PostgresSearch(Search):
    """Lists from the tables ``events`` and ``alerts``."""

    async def alerts(
        self,
        database: Database,
        wanted: AlertFilter,
        words: Sequence[str],
        after: Place | None,
        limit: int,
    ) -> Found:
        """See `Search.alerts`."""
        place = after or NOWHERE
        found = await database.fetch("alerts", *wanted, *place, words or None, limit + 1)
        rows, last = more(found, limit)
        return Found(rows, Place(last["first_seen"], last["id"]) if last else None)

    async def events(
        self,
        database: Database,
        wanted: EventFilter,
        words: Sequence[str],
        after: Place | None,
        limit: int,
    ) -> Found:
        """See `Search.events`."""
        # the tenant said in the query too: that is what lets an index help row security
        what = wanted._replace(tenant=wanted.tenant or database.only)
        place = after or NOWHERE
        found = await database.fetch("events", *what, *place, words or None, limit + 1)
        rows, last = more(found, limit)
        return Found(rows, Place(last["time"], last["uid"]) if last else None)

    async def health(self, database: Database) -> dict[str, Any]:
        """See `Search.health`."""
        await database.fetch("ping")
        return {"store": "postgres"}
