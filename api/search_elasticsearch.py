"""Search in Elasticsearch: the indices that ``streams/sinks/elasticsearch.py`` writes.

Elasticsearch says which alerts there are; what they are is read from PostgreSQL, where their
status, their evidence and row-level security live. So an alert that Elasticsearch has a
moment earlier is listed when PostgreSQL has it too. Events come from Elasticsearch whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import elasticsearch
from elasticsearch import AsyncElasticsearch

from api.errors import Problem, unavailable
from api.search import SEVERITIES, AlertFilter, EventFilter, Found, Place, Search
from sentinel import postgres

if TYPE_CHECKING:
    from api.deps import Database

ALERTS = "sentinel-alerts"
EVENTS = "sentinel-events-*"
#: Longest time for one search, as for a query of PostgreSQL.
SEARCH_S = 15.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOO_MANY, SERVER = 429, 500
HEALTHY = {"yellow", "green"}

Clause = dict[str, Any]


class ElasticsearchSearch(Search):
    """Lists from the indices at `url`; connected to at first use."""

    def __init__(self, url: str) -> None:
        self._client = AsyncElasticsearch(url, request_timeout=SEARCH_S, max_retries=0)

    async def alerts(
        self,
        database: Database,
        wanted: AlertFilter,
        words: Sequence[str],
        after: Place | None,
        limit: int,
    ) -> Found:
        """See `Search.alerts`."""
        clauses = [*_tenants(database, wanted.tenant), *_alerts(wanted), *_words(words)]
        order = ("first_seen", "id")
        hits, following = await self._page(ALERTS, clauses, order, after, limit, ["tenant", "id"])
        tenants = [hit["tenant"] for hit in hits]
        ids = [UUID(hit["id"]) for hit in hits]
        rows = await database.fetch("alerts_of", tenants, ids) if hits else []
        by_id = {(row["tenant"], row["id"]): row for row in rows}
        places = zip(tenants, ids, strict=True)
        return Found([by_id[place] for place in places if place in by_id], following)

    async def events(
        self,
        database: Database,
        wanted: EventFilter,
        words: Sequence[str],
        after: Place | None,
        limit: int,
    ) -> Found:
        """See `Search.events`."""
        clauses = [*_tenants(database, wanted.tenant), *_events(wanted), *_words(words)]
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
                search_after=[_ms(after.time), str(after.id)] if after else None,
                size=limit + 1,
                source_includes=list(columns),
                track_total_hits=False,
                ignore_unavailable=True,  # there is no index before the first document
                allow_partial_search_results=False,
            )
        hits = answer["hits"]["hits"]
        following = None
        if len(hits) > limit:
            ms, uid = hits[limit - 1]["sort"]
            following = Place(_moment(ms), UUID(uid))
        return [hit["_source"] for hit in hits[:limit]], following


def _tenants(database: Database, wanted: str | None) -> Iterator[Clause]:
    """Yield what keeps to the token's tenant; there is no row-level security here."""
    if database.tenant != postgres.ALL_TENANTS:
        yield {"term": {"tenant": database.tenant}}
    if wanted is not None:
        yield {"term": {"tenant": wanted}}


def _alerts(wanted: AlertFilter) -> Iterator[Clause]:
    if wanted.since:
        yield {"range": {"last_seen": {"gte": _ms(wanted.since)}}}
    if wanted.until:
        yield {"range": {"first_seen": {"lt": _ms(wanted.until)}}}
    if wanted.severities is not None:
        numbers = [SEVERITIES.index(name) + 1 for name in wanted.severities]
        yield {"terms": {"severity_id": numbers}}
    if wanted.technique is not None:
        exact, below = wanted.technique, f"{wanted.technique}."
        either = [{"term": {"techniques": exact}}, {"prefix": {"techniques": below}}]
        yield {"bool": {"should": either, "minimum_should_match": 1}}
    yield from _least(wanted.least)
    yield from _terms(
        rule_id=wanted.rule, entity=wanted.entity, source=wanted.source, status=wanted.status
    )


def _events(wanted: EventFilter) -> Iterator[Clause]:
    if wanted.since:
        yield {"range": {"time": {"gte": _ms(wanted.since)}}}
    if wanted.until:
        yield {"range": {"time": {"lt": _ms(wanted.until)}}}
    yield from _least(wanted.least)
    yield from _terms(
        uid=wanted.uid and str(wanted.uid),
        source=wanted.source,
        entity=wanted.entity,
        operation=wanted.operation,
        service=wanted.service,
        src_ip=wanted.src_ip,
        class_uid=wanted.class_uid,
    )


def _words(words: Sequence[str]) -> Iterator[Clause]:
    return ({"term": {"words": word}} for word in words)


def _terms(**values: Any) -> Iterator[Clause]:
    return ({"term": {name: value}} for name, value in values.items() if value is not None)


def _least(severity_id: int | None) -> Iterator[Clause]:
    if severity_id is not None:
        yield {"range": {"severity_id": {"gte": severity_id}}}


def _ms(time: datetime) -> int:
    """Return a time as Elasticsearch has it, in ms; what lies between two counts as the later."""
    return -((EPOCH - time) // timedelta(milliseconds=1))


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
