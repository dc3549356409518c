"""Elasticsearch, the search store: events, alerts and their evidence, each document once.

Delivery: idempotent on ``_id``. Events and evidence are sent with ``create``: 409 says that
the document is there, which is success. An alert is sent with its count as external
version, so an amendment replaces what has a lower count and a late one (409) changes
nothing. Each item of an answer is looked at: 429 and 5xx are sent again until they are in,
with exponential back-off; a document that Elasticsearch refuses for its content is logged
and counted (``sentinel_errors``), and is in PostgreSQL, which remains the system of record.
It keeps no positions: the caller saves them after `ElasticsearchSink.write` has returned.

What the API filters by is kept as PostgreSQL keeps it: times within the years 1 to 9999,
the severity of an alert from 1 to 5. What people make of an alert, its status above all, is
not here: PostgreSQL knows it. What is indexed how, is said in `streams.sinks._documents`.

Events go to one index a day of *arrival*, behind one alias, as PostgreSQL has one partition
a day: people push old logs, and a day of event time would make an index for each of their
days. An event that arrives again on another day is there twice until the older is dropped;
the API shows it once. Days older than ``SENTINEL_SEARCH_RETENTION_DAYS`` are dropped.

Switched on where there are events already, it is filled from PostgreSQL meanwhile
(`streams.sinks._backfill`). Dead letters are not sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import elasticsearch
import stamina
from elasticsearch import AsyncElasticsearch

from connectors._mapper import Mapper
from sentinel import log
from sentinel.metrics import ERRORS
from sentinel.settings import Settings
from streams.sinks._backfill import Backfill
from streams.sinks._documents import EVENTS, Documents, Item, day_of, templates
from streams.sinks.base import Positions, Rows, Sink, Written

#: Bytes of one request; Elasticsearch takes 100 MB, but answers small ones sooner.
REQUEST_BYTES = 8 * 1_048_576
TIMEOUT_S = 60.0
#: Seconds to wait before old days are looked at again.
EXPIRE_S = 3600.0
CREATED, OK, CONFLICT, TOO_MANY, SERVER = 201, 200, 409, 429, 500
_log = log.get("streams.sinks.elasticsearch")


class _Busy(Exception):  # noqa: N818 # not a fault: the store asks to wait
    """Some items were turned away for now, or indices are not there yet."""


class ElasticsearchSink(Sink):
    """Writes to the indices ``sentinel-v2-*`` of the Elasticsearch at `settings.elasticsearch`."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.elasticsearch
        self._keep = timedelta(days=settings.search_retention_days)
        self._documents = Documents(Mapper(settings, "persist"))
        self._dsn = settings.postgres
        self._client: Any = None
        self._expire_at = 0.0
        self._filling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, wait until no index is red, and bring the index templates up to date."""
        self._client = AsyncElasticsearch(self._url, request_timeout=TIMEOUT_S, max_retries=0)
        async for attempt in _retrying():
            with attempt:
                health = await self._client.cluster.health(timeout="1s")
                if health["status"] == "red":
                    raise _Busy("some indices are red")
                for name, template in templates().items():
                    await self._client.indices.put_index_template(name=name, **template)
        if self._dsn:
            self._filling = asyncio.create_task(Backfill(self._client, self._dsn, self.write).run())

    async def close(self) -> None:
        """Disconnect; filling goes on at the next start."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        await self._client.close()

    async def filled(self) -> None:
        """Wait until what PostgreSQL had before is here, or another process is at it."""
        if self._filling is not None:
            await self._filling

    async def write(self, rows: Rows, positions: Positions = ()) -> Written:
        """Write events, alerts and evidence; see `Sink.write`. Positions are the caller's."""
        written = Written()
        today = datetime.now(UTC).date()
        first = today - self._keep + timedelta(days=1)
        if time.monotonic() >= self._expire_at:
            await self._expire(first)
        for request in _requests(self._documents.of(rows, first, today + timedelta(days=1))):
            left = request
            async for attempt in _retrying():
                with attempt:
                    left = await self._send(left, written)
                    if left:
                        raise _Busy(f"{len(left)} documents turned away")
        return written

    async def _send(self, items: list[Item], written: Written) -> list[Item]:
        """Send the items; count those that are new, return those to send again."""
        body = b"".join(item.lines for item in items)
        answer = await self._client.bulk(body=body, filter_path="items.*.status,items.*.error")
        again = []
        for item, outcome in zip(items, answer["items"], strict=True):
            (result,) = outcome.values()
            status = result["status"]
            if status in {CREATED, OK}:
                kind = "amended" if status == OK else item.kind
                getattr(written, kind)[item.key] += 1
            elif status == TOO_MANY or status >= SERVER:
                again.append(item)
            elif status != CONFLICT:
                ERRORS.labels("persist", item.key[1], "elasticsearch").inc()
                _log.error(
                    "document refused",
                    action="refused",
                    kind=item.kind,
                    status=status,
                    reason=str(result.get("error"))[:500],
                )
        return again

    async def _expire(self, oldest: date) -> None:
        """Drop the indices of days before `oldest`."""
        self._expire_at = time.monotonic() + EXPIRE_S
        async for attempt in _retrying():
            with attempt:
                found = await self._client.indices.get_alias(
                    index=f"{EVENTS}-*", ignore_unavailable=True
                )
                old = sorted(name for name in found if (day_of(name) or oldest) < oldest)
                if old:
                    await self._client.indices.delete(index=old, ignore_unavailable=True)
                    _log.info("old events dropped", action="expire", indices=old)


def _passing(error: Exception) -> bool:
    """Say whether `error` goes away by waiting."""
    if isinstance(error, elasticsearch.ApiError):
        return error.status_code == TOO_MANY or error.status_code >= SERVER
    return isinstance(
        error, elasticsearch.ConnectionError | elasticsearch.ConnectionTimeout | _Busy
    )


def _retrying() -> Any:
    return stamina.retry_context(on=_passing, attempts=None, timeout=None)


def _requests(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut `items` into requests of about `REQUEST_BYTES`."""
    request: list[Item] = []
    size = 0
    for item in items:
        if request and size + len(item.lines) > REQUEST_BYTES:
            yield request
            request, size = [], 0
        request.append(item)
        size += len(item.lines)
    if request:
        yield request
