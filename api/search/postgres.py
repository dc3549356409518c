"""Search in PostgreSQL: nothing to set up, for the days that events are kept there.

Words are looked for in every row that the other terms leave, so such a search is bounded by
the time one query may take (`api.lending.QUERY_S`): narrow the time where that is not enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.paging import more
from api.search import Found, Place, Search
from api.search.language.fields import ALERTS, EVENTS, Subject
from api.search.language.nodes import Equal, Node, both
from api.search.language.to_sql import Sql

if TYPE_CHECKING:
    from api.deps import Database

NOWHERE = (None, None)


class PostgresSearch(Search):
    """Lists from the tables ``events`` and ``alerts``."""

    async def alerts(
        self, database: Database, wanted: Node, after: Place | None, limit: int, columns: str
    ) -> Found:
        """See `Search.alerts`."""
        fill = {"alert_columns": columns}
        rows, last = await _page(database, ALERTS, wanted, after, limit, fill)
        return Found(rows, Place(last["first_seen"], last["id"]) if last else None)

    async def events(
        self, database: Database, wanted: Node, after: Place | None, limit: int
    ) -> Found:
        """See `Search.events`."""
        rows, last = await _page(database, EVENTS, wanted, after, limit)
        return Found(rows, Place(last["time"], last["uid"]) if last else None)

    async def health(self, database: Database) -> dict[str, Any]:
        """See `Search.health`."""
        await database.fetch("ping")
        return {"store": "postgres"}


async def _page(
    database: Database,
    subject: Subject,
    wanted: Node,
    after: Place | None,
    limit: int,
    fill: dict[str, str] | None = None,
) -> Any:
    sql = Sql(after=3)
    fill = {"wanted": sql.condition(own(database, subject, wanted)), **(fill or {})}
    args = (*(after or NOWHERE), limit + 1, *sql.args)
    return more(await database.fetch(subject.name, *args, fill=fill), limit)


def own(database: Database, subject: Subject, wanted: Node) -> Node:
    """Return `wanted` with the tenant said too: that is what lets an index help row security."""
    if database.only is None:
        return wanted
    return both(Equal(subject.fields["tenant"], database.only), wanted)
