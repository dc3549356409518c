"""Elasticsearch, the search store: events, alerts and their evidence, each document once.

Delivery: idempotent on ``_id``. Events and evidence are sent with ``create``: 409 says that
the document is there, which is success. An alert is sent with its count as external
version, so an amendment replaces what has a lower count and a late one (409) changes
nothing. Each item of an answer is looked at: 429 and 5xx are sent again until they are in,
with exponential back-off; a document that Elasticsearch refuses for its content is logged
and counted (``sentinel_errors``), and is in PostgreSQL, which remains the system of record.
It keeps no positions: the caller saves them after `ElasticsearchSink.write` has returned.

What the API filters by is kept as PostgreSQL keeps it: times within the years 1 to 9999,
the severity of an alert from 1 to 5, its status as it begins. ``words`` are those that a
full-text search finds (`sentinel.words`), indexed and not stored: of an event, those of what
the source wrote.

Events go to one index a month of *event* time, so that an event that comes twice meets
itself whenever it comes. Whole events are kept in ``ocsf``, which is stored and not
indexed: fields of their own differ in type between sources. Dead letters are not sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import elasticsearch
import orjson
import stamina
from elasticsearch import AsyncElasticsearch

from connectors._mapper import Mapper
from sentinel import log
from sentinel.metrics import ERRORS
from sentinel.settings import Settings
from sentinel.words import words, written
from streams.sinks._storable import json as storable
from streams.sinks.base import AlertRow, EventRow, Key, Positions, Rows, Sink, Written

TEMPLATE = "sentinel"
ALERTS = "sentinel-alerts"
EVIDENCE = "sentinel-alert-events"
EVENTS = "sentinel-events"
#: Bytes of one request; Elasticsearch takes 100 MB, but answers small ones sooner.
REQUEST_BYTES = 8 * 1_048_576
TIMEOUT_S = 60.0
CREATED, OK, CONFLICT, TOO_MANY, SERVER = 201, 200, 409, 429, 500
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
_log = log.get("streams.sinks.elasticsearch")


class _Busy(Exception):  # noqa: N818 # not a fault: the store asks to wait
    """Some items were turned away for now."""


class _Item(NamedTuple):
    """One document to send: the kind of row and what it counts as, and its two lines."""

    kind: str
    key: Key
    lines: bytes


class ElasticsearchSink(Sink):
    """Writes to the indices ``sentinel-*`` of the Elasticsearch at `settings.elasticsearch`."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.elasticsearch
        self._mapper = Mapper(settings, "persist")
        self._client: Any = None

    async def open(self) -> None:
        """Connect, wait until Elasticsearch is there, and bring its index template up to date."""
        self._client = AsyncElasticsearch(self._url, request_timeout=TIMEOUT_S, max_retries=0)
        template = json.loads(Path(__file__).with_suffix(".json").read_text())
        async for attempt in _retrying():
            with attempt:
                await self._client.indices.put_index_template(name=TEMPLATE, **template)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    async def write(self, rows: Rows, positions: Positions = ()) -> Written:
        """Write events, alerts and evidence; see `Sink.write`. Positions are the caller's."""
        written = Written()
        for request in _requests(_items(rows, self._mapper)):
            left = request
            async for attempt in _retrying():
                with attempt:
                    left = await self._send(left, written)
                    if left:
                        raise _Busy(f"{len(left)} documents turned away")
        return written

    async def _send(self, items: list[_Item], written: Written) -> list[_Item]:
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


def _passing(error: Exception) -> bool:
    """Say whether `error` goes away by waiting."""
    if isinstance(error, elasticsearch.ApiError):
        return error.status_code == TOO_MANY or error.status_code >= SERVER
    return isinstance(
        error, elasticsearch.ConnectionError | elasticsearch.ConnectionTimeout | _Busy
    )


def _retrying() -> Any:
    return stamina.retry_context(on=_passing, attempts=None, timeout=None)


def _items(rows: Rows, mapper: Mapper) -> Iterator[_Item]:
    for event in rows.events:
        yield _event(event, mapper)
    for alert in rows.alerts:
        yield from _alert(alert)


def _event(row: EventRow, mapper: Mapper) -> _Item:
    document = row._asdict() | {"time": _at(row.time), "arrived": _at(row.arrived)}
    ocsf = _storable(row.ocsf or mapper.ocsf(row.source, row.tenant, row.uid, row.raw))
    document |= {"ocsf": orjson.Fragment(ocsf), "words": words(written(row.raw))}
    del document["raw"]
    document["uid"] = uid = str(UUID(bytes=row.uid))
    month = datetime.fromtimestamp(max(_at(row.time), 0) / 1000, UTC)
    return _item(
        "events", row, "create", f"{EVENTS}-{month:%Y.%m}", f"{row.tenant}/{uid}", document
    )


def _alert(row: AlertRow) -> Iterator[_Item]:
    """Yield the alert and its new evidence."""
    explanation = _storable(row.explanation)
    texts = [row.title, row.rule_id, row.entity, list(row.techniques), _decoded(explanation)]
    document = row._asdict() | {
        "severity_id": min(max(row.severity_id, 1), 5),
        "explanation": orjson.Fragment(explanation),
        "first_seen": _at(row.first_seen),
        "last_seen": _at(row.last_seen),
        "time": _at(row.first_seen),
        "words": words(texts),
    }
    del document["events"]
    identity = f"{row.tenant}/{row.id}"
    version = {"version": row.count, "version_type": "external"}
    yield _item("alerts", row, "index", ALERTS, identity, document, version)
    for event in row.events:
        uid = str(UUID(bytes=event.uid))
        evidence = {
            "tenant": row.tenant,
            "alert_id": row.id,
            "uid": uid,
            "time": _at(event.time),
            "arrived": _at(event.arrived),
            "score": event.score,
            "source": event.source,
            "ocsf": orjson.Fragment(_storable(event.ocsf)),
        }
        yield _item("alert_events", row, "create", EVIDENCE, f"{identity}/{uid}", evidence)


def _at(time: int) -> int:
    """Return a time in milliseconds as PostgreSQL keeps it."""
    return min(max(time, _EARLIEST), _LATEST)


def _item(
    kind: str,
    row: EventRow | AlertRow,
    action: str,
    index: str,
    identity: str,
    document: dict[str, Any],
    options: dict[str, Any] | None = None,
) -> _Item:
    # An _id has at most 512 bytes; the UUID at its end is what tells documents apart.
    head = {action: {"_index": index, "_id": identity[-128:], **(options or {})}}
    lines = orjson.dumps(head) + b"\n" + orjson.dumps(document) + b"\n"
    return _Item(kind, (row.tenant, row.source), lines)


def _storable(text: str | bytes) -> bytes:
    """Return JSON on one line, as bulk wants it, and with nothing that PostgreSQL refuses."""
    found = text if isinstance(text, bytes) else text.encode()
    if b"\\u" in found:
        found = storable(found).encode()
    return found.replace(b"\n", b" ").replace(b"\r", b" ")


def _decoded(text: bytes) -> Any:
    """Return decoded JSON; None where it is none, which Elasticsearch then refuses itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _requests(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Cut `items` into requests of about `REQUEST_BYTES`."""
    request: list[_Item] = []
    size = 0
    for item in items:
        if request and size + len(item.lines) > REQUEST_BYTES:
            yield request
            request, size = [], 0
        request.append(item)
        size += len(item.lines)
    if request:
        yield request
