"""Normalize, detect and correlate in one process, on records handed over in order.

The tasks are those of the stages, so what comes out is what the platform makes of the same
records in the same order: rules, models, correlations, folding and risk. What differs live is
the order in which partitions take turns, which no result but that of a budget depends on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from connectors.base import Connector
from detectors.sigma import RuleSet
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.detect import DetectStage
from streams.normalize import NormalizeStage
from streams.policy.batch_models import Shelves
from streams.policy.suppressions import Board
from streams.runtime.stage import Outgoing, Stage, Task
from streams.transport import RecordBatch
from streams.transport.offsets import Lease

Place = tuple[str, int]


class Message(NamedTuple):
    """A record of a raw topic.

    Attributes
    ----------
    topic, partition
        Where it is.
    value
        As the source wrote it.
    tenant
        Whose it is.
    arrived
        When it came, ms since epoch UTC.
    """

    topic: str
    partition: int
    value: bytes
    tenant: str
    arrived: int


class Made(NamedTuple):
    """What the stages made of messages: the records of each topic, in order."""

    events: list[Outgoing]
    signals: list[Outgoing]
    alerts: list[Outgoing]
    letters: list[Outgoing]


class Pipeline:
    """The three stages; their state is kept from call to call.

    Parameters
    ----------
    settings
        Thresholds, windows and models.
    connectors
        By source; only messages of these can be handed over.
    rules
        What to match and correlate.
    partitions
        Of each topic: that many instances of each model share the entities.
    board
        Has what keeps alerts quiet, and how tenants have their rules and models.
    shelves
        Has the batch models that were promoted.
    """

    def __init__(
        self,
        settings: Settings,
        connectors: Mapping[str, type[Connector]],
        rules: RuleSet,
        partitions: int,
        board: Board | None = None,
        shelves: Shelves | None = None,
    ) -> None:
        board = board or Board()
        self._normalize = NormalizeStage(settings, connectors, rules, partitions, board)
        self._detect = DetectStage(settings, partitions, board, shelves)
        self._correlate = CorrelateStage(settings, partitions, partitions, board, rules.plan)
        self._tasks: dict[Place, Task] = {}
        self._offsets: dict[Place, int] = defaultdict(int)

    def feed(self, messages: Iterable[Message]) -> Made:
        """Run messages through, those of a partition together."""
        parts: dict[Place, list[Message]] = defaultdict(list)
        for message in messages:
            parts[message.topic, message.partition].append(message)
        made: list[Outgoing] = []
        for place, members in parts.items():
            headers = [[("tenant", message.tenant.encode())] for message in members]
            arrived = [message.arrived for message in members]
            values = [message.value for message in members]
            made += self._process(self._normalize, place, values, arrived, headers)
        return self._on(made)

    def finish(self) -> Made:
        """Let go what waits for more records, as a stage does once its partition is quiet."""
        made = self._on(self._flushed(self._normalize))
        more = self._flushed(self._correlate)
        return made._replace(alerts=made.alerts + [r for r in more if r.topic == "alerts"])

    def _on(self, normalized: Sequence[Outgoing]) -> Made:
        """Run what normalize made through the other two stages."""
        events = [record for record in normalized if record.topic == "events"]
        signals = self._through(self._detect, events)
        alerts = self._through(self._correlate, signals)
        letters = [r for r in (*normalized, *signals, *alerts) if r.topic == "dead_letter"]
        return Made(events, signals, [r for r in alerts if r.topic == "alerts"], letters)

    def _through(self, stage: Stage, records: Sequence[Outgoing]) -> list[Outgoing]:
        """Hand records to the tasks of a stage, one after the other."""
        made: list[Outgoing] = []
        for record in records:
            if record.topic in stage.topics():
                place = (record.topic, record.partition or 0)
                made += self._process(stage, place, [record.value], [0], [None])
        return made

    def _process(
        self,
        stage: Stage,
        place: Place,
        values: Sequence[bytes],
        arrived: Sequence[int],
        headers: Sequence[list[tuple[str, bytes]] | None],
    ) -> list[Outgoing]:
        first = self._offsets[place]
        self._offsets[place] += len(values)
        offsets = list(range(first, first + len(values)))
        batch = RecordBatch(
            Lease(place), offsets, [None] * len(values), list(values), list(arrived), list(headers)
        )
        return self._task(stage, place).process(batch).records

    def _task(self, stage: Stage, place: Place) -> Task:
        if place not in self._tasks:
            self._tasks[place] = stage.task(*place)
        return self._tasks[place]

    def _flushed(self, stage: Stage) -> list[Outgoing]:
        """Return what the tasks of a stage let go at the end."""
        made: list[Outgoing] = []
        for place, task in self._tasks.items():
            if place[0] in stage.topics() and task.waiting():
                made += task.flush(self._offsets[place]).records
        return made
