"""What a source says it has against what arrived, and reading again what did not.

Arrived is what the runner noted in `sentinel.topics.ARRIVALS`, in the same flush as the
records themselves and before the position: an object is noted only when the broker has it.
Kept as long as the topic keeps it (90 days). Of an API that has no objects, each event counts
as one: the API is paged through again, and its ids are compared.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as Code

from connectors._reading.base import Listed, Position, Reader, Record
from connectors._running import health
from connectors._running.config import Input
from connectors._running.delivery import (
    Arrived,
    Delivery,
    Sender,
    arrival_hash,
    arrival_key,
    key_hash,
)
from sentinel import topics
from sentinel.errors import KafkaError
from sentinel.kafka import client_config
from sentinel.settings import Settings

TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.2
#: Missing ids that an alert names.
NAMED: Final = 20
#: What clocks of sources may be ahead of the broker's.
SKEW: Final = timedelta(hours=1)
_arrived: Final = msgspec.json.Decoder(Arrived)


class Report(NamedTuple):
    """What came out.

    Attributes
    ----------
    what
        ``objects`` or ``events``.
    listed
        How many the source says it has in that time.
    missing
        Those that never arrived, oldest first.
    """

    what: str
    listed: int
    missing: list[Listed]


class Arrivals:
    """What arrived of one input: a hash of each id.

    Parameters
    ----------
    since
        Begin of the span that is asked about: events are not noted before they happen, so
        what was noted long before that is left out of memory.
    """

    def __init__(self, settings: Settings, target: Input, since: datetime) -> None:
        self._key = target.key
        floor_ms = int((since - SKEW).timestamp() * 1000)
        self._have = _read(settings, arrival_key(target.key, ""), floor_ms)

    def __contains__(self, ident: str) -> bool:
        """Whether an object or event arrived."""
        return arrival_hash(self._key, ident) in self._have


def compare(reader: Reader, have: Arrivals, since: datetime, until: datetime) -> Report:
    """Return what the source lists in a span of time and is not among what arrived.

    Raises
    ------
    NotImplementedError
        The way in cannot list.
    SourceError
        The source did not answer.
    """
    listed, missing = 0, dict[str, Listed]()
    begin = reader.settings.since
    if begin is not None:
        since = max(since, begin if begin.tzinfo else begin.replace(tzinfo=UTC))
    for each in reader.listing(since, until):
        listed += 1
        if each.id not in have:
            missing[each.id] = each
    in_order = sorted(missing.values(), key=lambda each: (each.time, each.id))
    return Report("events" if reader.lists_events else "objects", listed, in_order)


def alert(producer: Sender, target: Input, report: Report) -> None:
    """Say that there is a gap; the same gap, found again, is the same finding."""
    ids = [each.id for each in report.missing]
    health.say(
        producer,
        "gap",
        target.source,
        f"{len(ids)} of {report.listed} {report.what} of {target.name} never arrived",
        tenant=target.tenant,
        name=target.name,
        details={
            "missing": len(ids),
            "listed": report.listed,
            "from": report.missing[0].time.isoformat(),
            "to": report.missing[-1].time.isoformat(),
            "first": ids[:NAMED],
        },
        same=ids,
    )


class _Nowhere:
    """Positions of what is read again: the input goes on where it was."""

    def save(self, position: Position) -> None:
        """Forget it."""


def fetch(producer: Sender, target: Input, report: Report) -> set[str]:
    """Read what is missing again, beside the runner; return the ids that came.

    Reads from the oldest missing object on and takes of each page what is missing. The position
    of the input stays; what the runner reads at the same time carries the same ids.
    """
    wanted = {each.id for each in report.missing}
    oldest = min(each.time for each in report.missing)
    settings = target.settings.model_copy(update={"since": oldest})
    reader = target._replace(settings=settings).open()
    delivery = Delivery(target, producer, _Nowhere())
    name = _event if reader.lists_events else _object
    came, whole = set[str](), set[str]()
    try:
        for page in reader.read(None):
            records = [r for r in page.records if name(r) in wanted]
            done = tuple(ident for ident in page.done if ident in wanted)
            delivery.deliver(page._replace(records=records, done=done))
            whole.update(done)
            came |= {name(record) for record in records}
            if wanted <= (came if reader.lists_events else whole):
                break
    finally:
        reader.close()
    return came | whole


def _object(record: Record) -> str:
    """Return what a record is part of."""
    return record.id.rpartition("#")[0] or record.id


def _event(record: Record) -> str:
    """Return which event a record is."""
    return record.id


def _read(settings: Settings, prefix: bytes, floor_ms: int) -> set[bytes]:
    """Read the whole topic; return the hashes of what is under keys that begin with `prefix`."""
    consumer = Consumer(
        client_config(settings)
        | {
            "group.id": "sentinel.reconcile",  # never joined, never committed to
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    found: set[bytes] = set()
    try:
        known = consumer.list_topics(topics.ARRIVALS, TIMEOUT_S).topics[topics.ARRIVALS]
        open_ends = set(known.partitions)
        consumer.assign([TopicPartition(topics.ARRIVALS, number, 0) for number in open_ends])
        deadline = time.monotonic() + TIMEOUT_S
        while open_ends:
            messages = consumer.consume(1000, POLL_S)  # waits for all of them, or so long
            if messages:
                deadline = time.monotonic() + TIMEOUT_S
            elif time.monotonic() > deadline:
                raise KafkaError(f"expected the end of {topics.ARRIVALS}, the broker is silent")
            for message in messages:
                if (error := message.error()) is None:
                    _note(found, message, prefix, floor_ms)
                elif error.code() == Code._PARTITION_EOF:
                    open_ends.discard(message.partition() or 0)
                elif not error.retriable():
                    raise KafkaError(f"{topics.ARRIVALS} cannot be read: {error}")
    except KafkaException as error:
        raise KafkaError(f"{topics.ARRIVALS} cannot be read: {error}") from error
    finally:
        consumer.close()
    return found


def _note(found: set[bytes], message: Any, prefix: bytes, floor_ms: int) -> None:
    """Take note of an arrival; one without a value was taken back."""
    key, value = message.key() or b"", message.value()
    if not key.startswith(prefix):
        return
    if not value:
        found.discard(key_hash(key))
    elif not (arrived := _arrived.decode(value)).ids:
        found.add(key_hash(key))
    elif message.timestamp()[1] >= floor_ms:
        found.update(arrived.hashes())
