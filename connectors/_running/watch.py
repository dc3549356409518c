"""Watches the sources, whatever brings them in: how much arrives, and of what shape.

A thread of ``sentinel connector run``. Every five minutes it takes the counts of normalize's
ledger, by tenant and source (`rates`), and every ten a sample of the newest messages of each
``raw.*`` topic, whose shape is learnt by tenant too (`shape`): events of one tenant must not
hide a change in those of another. Of a tenant that sends little, samples add up. What it finds
goes to ``raw.health``, from which rules alert. What it learnt is kept with the positions, and
claimed like one: of several processes one watches.

Where normalize stands still, so do its counts: that looks like silence of all sources, and
somebody should look then too.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import psycopg
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from connectors._running import health
from connectors._running.config import DEFAULT_TENANT
from connectors._running.delivery import TENANT_HEADER
from connectors._running.positions import Positions
from connectors._running.rates import MOST, Change, Key, Rates
from connectors._running.shape import SAMPLE, Shape
from connectors.base import Connector
from sentinel import log, postgres, topics
from sentinel.errors import FencedError, KafkaError, RecordError, SentinelError
from sentinel.kafka import Producer, client_config
from sentinel.settings import Settings

LOG = log.get(__name__)
KEY: Final = "sentinel-watch"  # keys of inputs have a slash
#: Seconds between two looks at the counts; every second look takes samples too.
LOOK_S: Final = 300.0
#: Messages of a sample, events of them, and seconds to get it.
MESSAGES, EVENTS, SAMPLE_S = 400, 2000, 10.0
#: Events of one tenant and source that wait to be a sample.
WAITING: Final = SAMPLE
#: Bytes of what is learnt that are kept; shapes that would make it more are learnt anew.
MOST_BYTES: Final = 800_000
_COUNTS: Final = "SELECT ledger FROM public.checkpoints WHERE stage = 'normalize'"


class Watch(threading.Thread):
    """The watch over all sources.

    Parameters
    ----------
    settings
        Where broker and database are; without a database only shapes are watched.
    sources
        All sources.
    """

    def __init__(self, settings: Settings, sources: Mapping[str, type[Connector]]) -> None:
        super().__init__(name="watch", daemon=True)
        self._settings = settings
        self._sources = {name: cls for name, cls in sources.items() if name != "health"}
        self._stop_asked = threading.Event()
        self._rates = Rates()
        self._shapes: dict[Key, Shape] = {}
        self._waiting: dict[Key, list[Any]] = {}
        #: Where the last sample of a partition ended: no message is looked at twice.
        self._ends: dict[tuple[str, int], int] = {}
        self._round = 0

    def stop(self) -> None:
        """Ask it to end."""
        self._stop_asked.set()

    def run(self) -> None:
        """Look, until stopped or until another process has taken over."""
        positions: Positions | None = None
        while not self._stop_asked.is_set():
            try:
                if positions is None:
                    positions = Positions(self._settings, KEY)
                    self._restore(positions.claim() or {})
                self.look()
                positions.save(self._snapshot())
            except FencedError:
                LOG.info("another process watches the sources", action="watch_ended")
                break
            except (SentinelError, KafkaException, psycopg.Error) as error:
                LOG.warning("cannot look", action="watch_failed", error=str(error)[:500])
                if positions is not None and isinstance(error, KafkaError):
                    positions.close()
                    positions = None
            self._stop_asked.wait(LOOK_S)
        if positions is not None:
            positions.close()

    def look(self) -> None:
        """Take counts and samples, and say what changed."""
        changes = self._rates.add(time.time(), self._counts()) if self._settings.postgres else []
        shapes = dict(self._changed()) if self._round % 2 == 0 else {}
        self._round += 1
        if changes or shapes:
            with Producer(self._settings, queue_mib=8) as producer:
                for change in changes:
                    _say_rate(producer, change)
                for key, told in shapes.items():
                    _say_shape(producer, key, told)

    def _counts(self) -> dict[Key, int]:
        """Return how many events normalize has taken, by tenant and source."""
        found: Counter[Key] = Counter()
        with psycopg.connect(self._settings.postgres, connect_timeout=10) as connection:
            connection.execute(f"SET ROLE {postgres.WORKER}")
            for (ledger,) in connection.execute(_COUNTS):
                rows = json.loads(ledger) if isinstance(ledger, str) else ledger
                for row in rows if isinstance(rows, list) else ():  # else not a stage's ledger
                    found[row["tenant"], row["source"]] += int(row.get("in", 0))
        return dict(found)

    def _changed(self) -> Iterator[tuple[Key, dict[str, list[str]]]]:
        """Yield the tenants and sources whose shape changed, and how."""
        consumer = Consumer(
            client_config(self._settings)
            | {"group.id": "sentinel.watch", "enable.auto.commit": False}
        )
        try:
            there = consumer.list_topics(timeout=30).topics
            for name, cls in self._sources.items():
                topic = there.get(topics.raw(name))
                if topic is None or self._stop_asked.is_set():
                    continue
                messages = _newest(consumer, topic.topic, list(topic.partitions), self._ends)
                for tenant, values in _by_tenant(messages).items():
                    if told := self._take((tenant, name), _events(cls(), values)):
                        yield (tenant, name), told
        finally:
            consumer.close()

    def _take(self, key: Key, events: Iterator[Any]) -> dict[str, list[str]]:
        """Take events into the shape once they are enough for a sample; return what changed."""
        if key not in self._shapes and len(self._shapes) >= MOST:
            return {}
        waiting = self._waiting.setdefault(key, [])
        waiting += events
        if len(waiting) < WAITING:
            return {}
        del self._waiting[key]
        return self._shapes.setdefault(key, Shape()).add(waiting)

    def _snapshot(self) -> dict[str, Any]:
        shapes: list[Any] = []
        size = 0
        for key, shape in self._shapes.items():
            learnt = [*key, shape.snapshot()]
            size += len(msgspec.json.encode(learnt))
            if size < MOST_BYTES // 2:
                shapes.append(learnt)
        return {"rates": self._rates.snapshot(), "shapes": shapes}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._rates.restore(state.get("rates", {}))
        shapes = state.get("shapes", ())
        if isinstance(shapes, dict):  # as earlier versions kept them: by source alone
            shapes = [[DEFAULT_TENANT, name, shape] for name, shape in shapes.items()]
        for tenant, name, shape in shapes:
            self._shapes[tenant, name] = Shape()
            self._shapes[tenant, name].restore(shape)


def _newest(
    consumer: Consumer, topic: str, partitions: list[int], ends: dict[tuple[str, int], int]
) -> list[Message]:
    """Return the newest messages of a topic that were not looked at yet; note where they end."""
    share = max(1, MESSAGES // len(partitions))
    places, wanted = [], 0
    for number in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        # A topic that was made anew begins at 0 again.
        seen = min(ends.get((topic, number), 0), high)
        start = max(low, high - share, seen)
        ends[topic, number] = high
        if high > start:
            places.append(TopicPartition(topic, number, start))
            wanted += high - start
    if not places:
        return []
    consumer.assign(places)
    found: list[Message] = []
    deadline = time.monotonic() + SAMPLE_S
    while len(found) < wanted and time.monotonic() < deadline:
        messages = consumer.consume(wanted - len(found), 0.5)
        found += [message for message in messages if message.error() is None]
    consumer.unassign()
    return found


def _by_tenant(messages: Iterable[Message]) -> dict[str, list[bytes]]:
    """Return the values of messages by the tenant that their header names."""
    found: dict[str, list[bytes]] = {}
    for message in messages:
        named = dict(message.headers() or ()).get(TENANT_HEADER)
        tenant = named.decode("utf-8", "replace") if isinstance(named, bytes) else ""
        found.setdefault(tenant or DEFAULT_TENANT, []).append(message.value() or b"")
    return found


def _events(connector: Connector, values: list[bytes]) -> Iterator[Any]:
    """Yield the events that are JSON; of other sources there is no shape to learn."""
    count = 0
    for value in values:
        try:
            for unit in connector.split(value):
                count += 1
                if count > EVENTS:
                    return
                yield msgspec.json.decode(unit)
        except (RecordError, ValueError, RecursionError):
            continue


def _say_rate(producer: Producer, change: Change) -> None:
    """Say that a source is silent, or speaks again."""
    what = "fell silent" if change.kind == "silence" else "speaks again"
    health.say(
        producer,
        change.kind,
        change.source,
        f"{change.source} {what}: {change.found} events in {change.minutes} minutes, "
        f"where at least {change.expected:.0f} are usual",
        tenant=change.tenant,
        details={
            "expected": change.expected,
            "found": change.found,
            "minutes": change.minutes,
        },
    )


def _say_shape(producer: Producer, key: Key, told: Mapping[str, list[str]]) -> None:
    """Say that fields of a source changed."""
    tenant, source = key
    text = "; ".join(f"{kind}: {', '.join(what[:10])}" for kind, what in told.items())
    message = f"fields of {source} changed: {text}"
    health.say(producer, "drift", source, message, tenant=tenant, details=told, same=[tenant, text])
