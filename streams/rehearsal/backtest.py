"""What rules would have said of past events, and how two sets of rules differ."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from connectors.base import Connector
from detectors.sigma import RuleSet
from schemas import avro
from schemas.batch import EventBatch
from sentinel.settings import Settings
from streams.policy.batch_models import Shelves
from streams.policy.suppressions import Board
from streams.rehearsal.pipeline import Message, Pipeline

#: Messages handed over at a time.
BATCH = 2000


class Outcome(NamedTuple):
    """What came of a run.

    Attributes
    ----------
    alerts
        By id, each as it was in the end, its events left out; ``event_uids`` has their ids.
    events, dead_letters
        How many there were.
    first, last
        Event times of the earliest and latest event, ms since epoch UTC; 0 without events.
    seconds
        Time the run took.
    """

    alerts: dict[str, dict[str, Any]]
    events: int
    dead_letters: int
    first: int
    last: int
    seconds: float

    @property
    def times_real_time(self) -> float:
        """How many times faster than it happened."""
        return (self.last - self.first) / 1000 / self.seconds if self.seconds else 0.0


class Difference(NamedTuple):
    """Alerts that only one of two runs has, and those of both that differ in their events."""

    only_a: list[dict[str, Any]]
    only_b: list[dict[str, Any]]
    changed: list[tuple[dict[str, Any], dict[str, Any]]]


def run(
    messages: Iterable[Message],
    rules: RuleSet,
    connectors: Mapping[str, type[Connector]],
    settings: Settings,
    board: Board | None = None,
    shelves: Shelves | None = None,
) -> Outcome:
    """Run messages through the whole pipeline with `rules`, from an empty state.

    With `board` (suppressions, budgets, tunings) and `shelves` (promoted batch models) as they
    hold by the messages' arrival.

    The same messages in the same order give the same alerts, ids included, as the platform
    gives them; see `streams.rehearsal.pipeline`.
    """
    began = time.perf_counter()
    pipeline = Pipeline(settings, connectors, rules, settings.partitions, board, shelves)
    alerts: dict[str, dict[str, Any]] = {}
    events = letters = last = 0
    first = 1 << 62
    for batch in _batches(messages):
        made = pipeline.feed(batch)
        letters += len(made.letters)
        for record in made.events:
            count, earliest, latest = _span(record.value)
            events, first, last = events + count, min(first, earliest), max(last, latest)
        _take(made.alerts, alerts)
    made = pipeline.finish()
    events += sum(_span(record.value)[0] for record in made.events)
    letters += len(made.letters)
    _take(made.alerts, alerts)
    seconds = time.perf_counter() - began
    return Outcome(alerts, events, letters, min(first, last), last, seconds)


def compare(a: Outcome, b: Outcome) -> Difference:
    """Return how the alerts of two runs differ; each list by time, then id."""
    only_a = [alert for ident, alert in a.alerts.items() if ident not in b.alerts]
    only_b = [alert for ident, alert in b.alerts.items() if ident not in a.alerts]
    changed = [
        (alert, b.alerts[ident])
        for ident, alert in a.alerts.items()
        if ident in b.alerts and alert["event_uids"] != b.alerts[ident]["event_uids"]
    ]
    changed.sort(key=lambda pair: _order(pair[0]))
    return Difference(sorted(only_a, key=_order), sorted(only_b, key=_order), changed)


def _order(alert: Mapping[str, Any]) -> tuple[int, str]:
    return alert["first_seen"], alert["id"]


def _batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    stream = iter(messages)
    while batch := list(islice(stream, BATCH)):
        yield batch


def _span(value: bytes) -> tuple[int, int, int]:
    """Return how many events a batch has, and the earliest and latest of their times."""
    batch = EventBatch.decode(value)
    if not len(batch):
        return 0, 1 << 62, 0
    return len(batch), int(batch.time.min()), int(batch.time.max())


def _take(records: Sequence[Any], alerts: dict[str, dict[str, Any]]) -> None:
    """Keep each alert as its newest record has it, with the ids of all its events."""
    for record in records:
        alert = avro.decode("alert", record.value)
        before = alerts.get(alert["id"])
        uids = set(before["event_uids"]) if before else set()
        uids |= {event["uid"].hex() for event in alert.pop("events")}
        alert["explanation"] = msgspec.json.decode(alert["explanation"])
        alerts[alert["id"]] = alert | {"event_uids": sorted(uids)}
