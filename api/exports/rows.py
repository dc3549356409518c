"""All pages of a search, as the objects that lists send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from api.deps import Database, Services
from api.routes.alerts import alert, columns
from api.routes.events import event
from api.search import Place
from api.search.language.fields import ALERTS, EVENTS
from api.search.language.nodes import Node
from api.search.language.to_sql import Sql
from api.search.postgres import own

#: Rows of one query. Explanations are some kB each.
PAGE = 500


async def alerts(
    services: Services, database: Database, wanted: Node, fields: frozenset[str] | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Yield alerts, newest first; `fields` are those that will be looked at, None for all."""
    place: Place | None = None
    sql = columns(fields)
    while True:
        found = await services.search.alerts(database, wanted, place, PAGE, sql)
        for row in found.rows:
            yield alert(row)
        place = found.following
        if place is None:
            return


async def events(
    services: Services, database: Database, wanted: Node, fields: frozenset[str] | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Yield events, newest first; without ``ocsf`` among `fields` they are not mapped."""
    place: Place | None = None
    while True:
        found = await services.search.events(database, wanted, place, PAGE)
        for row in found.rows:
            yield event(row, services.mapper, fields)
        place = found.following
        if place is None:
            return


async def total(database: Database, of: str, wanted: Node) -> int:
    """Return how many PostgreSQL has: for progress, not a promise."""
    subject = ALERTS if of == "alerts" else EVENTS
    sql = Sql()
    fill = {"table": "alerts AS a" if of == "alerts" else "events"}
    fill["wanted"] = sql.condition(own(database, subject, wanted))
    return int((await database.fetch("count", *sql.args, fill=fill))[0][0])
