"""Search in Elasticsearch: the indices that ``streams/sinks/elasticsearch.py`` writes.

Elasticsearch says which alerts there are; what they are is read from PostgreSQL, where their
status, their evidence and row-level security live. So an alert that Elasticsearch has a
moment earlier is listed when PostgreSQL has it too. Events come from Elasticsearch whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import elasticsearch
from elasticsearch import AsyncElasticsearch

from api.errors import Problem, unavailable
from api.search import Found, Place, Search
from api.search.language.nodes import Node, tests
from api.search.language.to_elasticsearch import Clause, query
from api.search.language.values import EPOCH, milliseconds
from api.search.postgres import PostgresSearch
from sentinel import postgres

if TYPE_CHECKING:
    from api.deps import Database

ALERTS = "sentinel-v2-alerts"
EVENTS = "sentinel-v2-events"
#: Longest time for one search, as for a query of PostgreSQL.
SEARCH_S = 15.0
TOO_MANY, SERVER = 429, 500
HEALTHY = {"yellow", "green"}


class ElasticsearchSearch(Search):
    """Lists from the indices at `url`; connected to at first use."""

    def __init__(self, url: str) -> None:
        self._client = AsyncElasticsearch(url, request_timeout=SEARCH_S, max_retries=0)
        self._postgres = PostgresSearch()

    async def alerts(
        self, database: Database, wanted: Node, after: Place | None, limit: int, columns: str
    ) -> Found:
        """See `Search.alerts`; a search for what people made of an alert asks PostgreSQL."""
        if any(not test.field.document for test in tests(wanted)):
            return await self._postgres.alerts(database, wanted, after, limit, columns)
        order = ("first_seen", "id")
        clauses = _clauses(database, wanted)
        hits, following = await self._page(ALERTS, clauses, order, after, limit, ["tenant", "id"])
        tenants = [hit["tenant"] for hit in hits]
        ids = [UUID(hit["id"]) for hit in hits]
        rows = []
        if hits:
            fill = {"alert_columns": columns}
            rows = await database.fetch("alerts_of", tenants, ids, fill=fill)
        by_id = {(row["tenant"], row["id"]): row for row in rows}
        places = zip(tenants, ids, strict=True)
        return Found([by_id[place] for place in places if place in by_id], following)

    async def events(
        self, database: Database, wanted: Node, after: Place | None, limit: int
    ) -> Found:
        """See `Search.events`."""
        clauses = _clauses(database, wanted)
        hits, following = await self._page(EVENTS, clauses, ("time", "uid"), after, limit)
        return Found([_event(hit) for hit in hits], following)

    async def health(self, database: Database) -> dict[str, Any]:
        """See `Search.health`; never asks for ``GET /``, which the embedded one does not have."""
        with _reaching():
            found = await self._client.cluster.health(timeout="1s")
        if found["status"] not in HEALTHY:
            raise Problem(503, f"Elasticsearch: expected yellow or green, found {found['status']}")
        return {"store": "elasticsearch", "status": found["status"]}

    async def close(self) -> None:
        """See `Search.close`."""
        await self._client.close()

    async def _page(
        self,
        index: str,
        clauses: list[Clause],
        order: tuple[str, str],
        after: Place | None,
        limit: int,
        columns: Sequence[str] = ("*",),
    ) -> tuple[list[dict[str, Any]], Place | None]:
        """Return the documents of a page, ordered backwards by time and id, and where it ends."""
        time, identity = order
        with _reaching():
            answer = await self._client.search(
                index=index,
                query={"bool": {"filter": clauses}},
                sort=[{time: "desc"}, {identity: "desc"}],
                search_after=[milliseconds(after.time), str(after.id)] if after else None,
                size=limit + 1,
                source_includes=list(columns),
                track_total_hits=False,
                ignore_unavailable=True,  # there is no index before the first document
                allow_partial_search_results=False,
            )
        found = answer["hits"]["hits"]
        hits = _once(found)[:limit]
        following = None
        if len(found) > limit:
            ms, uid = hits[-1]["sort"]
            following = Place(_moment(ms), UUID(uid))
        return [hit["_source"] for hit in hits], following


def _clauses(database: Database, wanted: Node) -> list[Clause]:
    """Return `wanted` within the token's tenant; there is no row-level security here."""
    if database.tenant == postgres.ALL_TENANTS:
        return [query(wanted)]
    return [{"term": {"tenant": database.tenant}}, query(wanted)]


def _once(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what is there twice, which stands side by side: it arrived on two days."""
    seen = [(hit["sort"], hit["_source"]["tenant"]) for hit in hits]
    return [hit for hit, key, last in zip(hits, seen, [None, *seen], strict=False) if key != last]


def _moment(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def _event(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as the row of an event."""
    return dict(document) | {
        "uid": UUID(document["uid"]),
        "time": _moment(document["time"]),
        "arrived": _moment(document["arrived"]),
        # not orjson: events hold integers of any size
        "ocsf": json.dumps(document["ocsf"]),
    }


@contextmanager
def _reaching() -> Iterator[None]:
    """Raise `Problem` (503) where Elasticsearch is away, busy, or not yet up."""
    try:
        yield
    except elasticsearch.ApiError as error:
        if error.status_code != TOO_MANY and error.status_code < SERVER:
            raise
        raise unavailable("Elasticsearch", error) from error
    except elasticsearch.TransportError as error:
        raise unavailable("Elasticsearch", error) from error
