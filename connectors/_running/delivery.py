"""Puts pages into Kafka: the records, what arrived, then the position."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b, sha256
from typing import Final, Protocol

import msgspec

from connectors._reading.base import Page, Position, Reader, Record
from connectors._running.config import DEFAULT_TENANT, Input
from sentinel import metrics, topics

TENANT_HEADER: Final = "tenant"
ID_HEADER: Final = "record-id"
PROBLEM_HEADER: Final = "record-problem"
#: Longest id that travels as it is, in bytes; a longer one as its hash.
MAX_ID: Final = 1024
#: Bytes of an event's hash: beside 10 million that arrived, one in 10^21 missing is overlooked.
HASH: Final = 12
#: Largest record that ``raw.*`` takes, less what headers and framing need, in bytes.
LARGEST: Final = topics.BY_NAME["raw.*"].max_bytes - 64 * 1024
#: Bytes kept of a record that is larger.
KEPT: Final = 64 * 1024
MAX_PROBLEM: Final = 1000


class Sender(Protocol):
    """What is needed of `sentinel.kafka.Producer`."""

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes | str] | None = None,
    ) -> None:
        """Queue one message."""

    def flush_sync(self, timeout_s: float | None = None) -> object:
        """Wait until the broker has everything sent so far."""

    def close(self) -> None:
        """Take no more messages."""


class Store(Protocol):
    """What is needed of `connectors._running.positions.Positions`."""

    def save(self, position: Position) -> None:
        """Store where to go on."""


class Arrived(msgspec.Struct, omit_defaults=True):
    """A message of `sentinel.topics.ARRIVALS`: an object under its name, or a page of events.

    Attributes
    ----------
    time
        When it was written, seconds since the epoch.
    ids
        `arrival_hash` of each event of a page, one after the other.
    """

    time: float = 0.0
    ids: bytes = b""

    def hashes(self) -> list[bytes]:
        """Return the hashes in `ids`."""
        return [self.ids[at : at + HASH] for at in range(0, len(self.ids), HASH)]


class Delivery:
    """The way of one input into Kafka. Used by one thread.

    Parameters
    ----------
    target
        The input.
    producer
        Of this input alone: a flush is then about its records only.
    positions
        Claimed before.
    """

    def __init__(self, target: Input, producer: Sender, positions: Store) -> None:
        self._target = target
        self._producer = producer
        self._positions = positions
        self._topic = topics.raw(target.source)
        self._connector = target.connector()
        self._tenant = {} if target.tenant == DEFAULT_TENANT else {TENANT_HEADER: target.tenant}
        self._saved = b""
        self._lists = target.reader.listing is not Reader.listing

    def deliver(self, page: Page) -> None:
        """Return when the broker has the page and its position.

        Raises
        ------
        KafkaError
            The broker did not take it: the position is as before.
        FencedError
            Another runner has the input now; the records are there, once more than needed.
        """
        size = 0
        for record in page.records:
            size += len(record.value)
            self._send(record)
        if self._lists:
            self._arrived(page)
        self._producer.flush_sync()
        position = msgspec.json.encode(page.position)
        if position != self._saved:  # readers that are sent to always have the same one
            self._positions.save(page.position)
            self._saved = position
        self._count(page, size)

    def _send(self, record: Record) -> None:
        """Queue one record under its id; one that is too large goes as a dead letter to be."""
        value, problem = record.value, record.problem
        if len(value) > LARGEST:
            problem = (
                f"too_large: expected a record of at most {LARGEST} bytes, found one of "
                f"{len(value)}; its first {KEPT} bytes are kept"
            )
            value = value[:KEPT]
        headers = dict(self._tenant)
        if record.id:
            headers[ID_HEADER] = bounded(record.id)
        if problem:
            headers[PROBLEM_HEADER] = problem[:MAX_PROBLEM]
        key = record.key or (None if problem else self._connector.partition_key(value))
        self._producer.send(self._topic, value, key=key, headers=headers)

    def _arrived(self, page: Page) -> None:
        """Note what of the source's objects there is now, for ``sentinel reconcile``."""
        if self._target.reader.lists_events:
            self._arrived_events(page)
            return
        ids: Iterable[str] = page.done or {
            record.id.rpartition("#")[0] or record.id for record in page.records if record.id
        }
        value = msgspec.json.encode(Arrived(time.time()))
        for ident in ids:
            key = arrival_key(self._target.key, ident)
            self._producer.send(topics.ARRIVALS, value, key=key)

    def _arrived_events(self, page: Page) -> None:
        """Note a page's events in one message: 16 bytes an event."""
        key = self._target.key
        ids = b"".join(arrival_hash(key, record.id) for record in page.records if record.id)
        if ids:
            value = msgspec.json.encode(Arrived(time.time(), ids))
            page_key = arrival_key(key, sha256(ids).hexdigest())  # the same page replaces itself
            self._producer.send(topics.ARRIVALS, value, key=page_key)

    def _count(self, page: Page, size: int) -> None:
        labels = (self._target.name, self._target.source)
        metrics.CONNECTOR_RECORDS.labels(*labels).inc(len(page.records))
        metrics.CONNECTOR_BYTES.labels(*labels).inc(size)
        metrics.CONNECTOR_PAGES.labels(*labels).inc()
        metrics.CONNECTOR_STORED.labels(*labels).set(time.time())
        if page.lag_s is not None:
            metrics.CONNECTOR_LAG.labels(*labels).set(page.lag_s)
        for reason, count in page.skipped.items():
            metrics.CONNECTOR_SKIPPED.labels(*labels, reason).inc(count)

    def close(self) -> None:
        """Let the connection go."""
        self._producer.close()


def bounded(ident: str) -> str:
    """Return an id as it travels.

    >>> bounded("s3://logs/a.json.gz#0")
    's3://logs/a.json.gz#0'
    """
    if len(data := ident.encode(errors="surrogatepass")) <= MAX_ID:
        return data.decode("utf-8", "replace")
    return "sha256:" + sha256(data).hexdigest()


def arrival_key(target: str, ident: str) -> bytes:
    """Return the key under which the arrival of an object of an input is kept."""
    return f"{target}\n{bounded(ident)}".encode(errors="replace")


def arrival_hash(target: str, ident: str) -> bytes:
    """Return the hash of that key."""
    return key_hash(arrival_key(target, ident))


def key_hash(key: bytes) -> bytes:
    """Return the hash of a key of the topic."""
    return blake2b(key, digest_size=HASH).digest()
