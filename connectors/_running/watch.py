"""Watches the sources, whatever brings them in: how much arrives, and of what shape.

A thread of ``sentinel connector run``. Every five minutes it takes the counts of normalize's
ledger, by tenant and source (`rates`), and every ten a sample of the newest messages of each
``raw.*`` topic (`shape`). What it finds goes to ``raw.health``, from which rules alert. What it
learnt is kept with the positions, and claimed like one: of several processes one watches.

Where normalize stands still, so do its counts: that looks like silence of all sources, and
somebody should look then too.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors._running import health
from connectors._running.positions import Positions
from connectors._running.rates import Change, Key, Rates
from connectors._running.shape import Shape
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
        self._shapes: dict[str, Shape] = {}
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
                for source, told in shapes.items():
                    _say_shape(producer, source, told)

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

    def _changed(self) -> Iterator[tuple[str, dict[str, list[str]]]]:
        """Yield the sources whose shape changed, and how."""
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
                values = _newest(consumer, topic.topic, list(topic.partitions))
                shape = self._shapes.setdefault(name, Shape())
                if told := shape.add(_events(cls(), values)):
                    yield name, told
        finally:
            consumer.close()

    def _snapshot(self) -> dict[str, Any]:
        state = {"rates": self._rates.snapshot(), "shapes": {}}
        for name, shape in self._shapes.items():
            trial = {**state["shapes"], name: shape.snapshot()}
            if len(msgspec.json.encode(trial)) < MOST_BYTES // 2:
                state["shapes"] = trial
        return state

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._rates.restore(state.get("rates", {}))
        for name, shape in state.get("shapes", {}).items():
            self._shapes[name] = Shape()
            self._shapes[name].restore(shape)


def _newest(consumer: Consumer, topic: str, partitions: list[int]) -> list[bytes]:
    """Return the newest messages of a topic."""
    share = max(1, MESSAGES // len(partitions))
    places, wanted = [], 0
    for number in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        if high > low:
            places.append(TopicPartition(topic, number, max(low, high - share)))
            wanted += min(share, high - low)
    if not places:
        return []
    consumer.assign(places)
    found: list[bytes] = []
    deadline = time.monotonic() + SAMPLE_S
    while len(found) < wanted and time.monotonic() < deadline:
        messages = consumer.consume(wanted - len(found), 0.5)
        found += [m.value() or b"" for m in messages if m.error() is None]
    consumer.unassign()
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


def _say_shape(producer: Producer, source: str, told: Mapping[str, list[str]]) -> None:
    """Say that fields of a source changed."""
    text = "; ".join(f"{kind}: {', '.join(what[:10])}" for kind, what in told.items())
    message = f"fields of {source} changed: {text}"
    health.say(producer, "drift", source, message, details=told, same=[text])
