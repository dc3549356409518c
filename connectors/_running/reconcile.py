"""What a source says it has against what arrived, and reading again what did not.

Arrived is what the runner noted in `sentinel.topics.ARRIVALS`, in the same flush as the
records themselves and before the position: an object is noted only when the broker has it.
Kept as long as the topic keeps it (90 days).
"""

from __future__ import annotations

import time
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as Code

from connectors._reading.base import Listed, Position, Reader
from connectors._running import health
from connectors._running.config import Input
from connectors._running.delivery import Delivery, Sender, arrival_key
from sentinel import topics
from sentinel.errors import KafkaError
from sentinel.kafka import client_config
from sentinel.settings import Settings

TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.2
#: Missing ids that an alert names.
NAMED: Final = 20


class Report(NamedTuple):
    """What came out.

    Attributes
    ----------
    listed
        How many objects the source says it has in that time.
    missing
        Those that never arrived, oldest first.
    """

    listed: int
    missing: list[Listed]


class Arrivals:
    """What arrived of one input: hashes of ids, 16 bytes each."""

    def __init__(self, settings: Settings, target: Input) -> None:
        self._key = target.key
        self._have = _read(settings, arrival_key(target.key, ""))

    def __contains__(self, ident: str) -> bool:
        """Whether an object arrived."""
        return _hash(arrival_key(self._key, ident)) in self._have


def compare(reader: Reader, have: Arrivals, since: datetime, until: datetime) -> Report:
    """Return what the source lists in a span of time and is not among what arrived.

    Raises
    ------
    NotImplementedError
        The way in cannot list.
    SourceError
        The source did not answer.
    """
    listed, missing = 0, list[Listed]()
    begin = reader.settings.since
    for each in reader.listing(max(since, begin) if begin else since, until):
        listed += 1
        if each.id not in have:
            missing.append(each)
    return Report(listed, sorted(missing, key=lambda each: (each.time, each.id)))


def alert(producer: Sender, target: Input, report: Report) -> None:
    """Say that there is a gap; the same gap, found again, is the same finding."""
    ids = [each.id for each in report.missing]
    health.say(
        producer,
        "gap",
        target.source,
        f"{len(ids)} of {report.listed} objects of {target.name} never arrived",
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
    came, whole = set[str](), set[str]()
    try:
        for page in reader.read(None):
            records = [r for r in page.records if _object(r.id) in wanted]
            done = tuple(ident for ident in page.done if ident in wanted)
            delivery.deliver(page._replace(records=records, done=done))
            whole.update(done)
            came |= {_object(record.id) for record in records}
            if wanted <= whole:
                break
    finally:
        reader.close()
    return came | whole


def _object(ident: str) -> str:
    """Return what a record is part of."""
    return ident.rpartition("#")[0] or ident


def _hash(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()


def _read(settings: Settings, prefix: bytes) -> set[bytes]:
    """Read the whole topic; return the hashes of the keys that begin with `prefix`."""
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
                    _note(found, message, prefix)
                elif error.code() == Code._PARTITION_EOF:
                    open_ends.discard(message.partition() or 0)
                elif not error.retriable():
                    raise KafkaError(f"{topics.ARRIVALS} cannot be read: {error}")
    except KafkaException as error:
        raise KafkaError(f"{topics.ARRIVALS} cannot be read: {error}") from error
    finally:
        consumer.close()
    return found


def _note(found: set[bytes], message: Any, prefix: bytes) -> None:
    """Take note of an arrival; one without a value was taken back."""
    key = message.key() or b""
    if key.startswith(prefix):
        (found.add if message.value() else found.discard)(_hash(key))
