"""How far each stage is: checkpoints against the ends of the topics they read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sentinel import topics
from sentinel.kafka import TopicState, describe_topics
from sentinel.settings import Settings
from streams.checkpoint import Store
from streams.ledger import Report, add_up

#: Stages in the order of the flow, each after all whose output it reads.
ORDER = ("normalize", "detect", "correlate", "persist", "dead_letter")


class Lag(NamedTuple):
    """What a stage has not handled of one partition."""

    stage: str
    topic: str
    partition: int
    records: int


def lags(states: Iterable[TopicState], offsets: Mapping[tuple[str, str, int], int]) -> list[Lag]:
    """Return the lag of every stage on every partition it reads, zero included.

    Parameters
    ----------
    states
        The topics as the broker has them.
    offsets
        Next offset by (stage, topic, partition), from the checkpoints.
    """
    found = []
    for state in states:
        row = topics.BY_NAME.get(state.name) or topics.BY_NAME["raw.*"]
        for stage in row.readers:
            for partition, (start, end) in enumerate(zip(state.start, state.end, strict=True)):
                done = max(offsets.get((stage, state.name, partition), 0), start)
                found.append(Lag(stage, state.name, partition, max(0, end - done)))
    return found


async def read(settings: Settings, store: Store) -> tuple[list[Lag], list[list[dict[str, Any]]]]:
    """Return the lags, and the ledgers of all checkpoints.

    Checkpoints are read after the topics' ends, so a lag of zero is a fact.
    """
    states = await asyncio.to_thread(describe_topics, settings)
    saved = await store.read_all()
    offsets = {(row.stage, row.topic, row.partition): row.next_offset or 0 for row in saved}
    return lags(states, offsets), [_rows(row.ledger) for row in saved]


def _rows(ledger: Any) -> list[dict[str, Any]]:
    """Return the rows of a checkpoint's ledger; a partition just claimed has none."""
    return ledger["rows"] if ledger else []


async def report(settings: Settings, store: Store) -> tuple[Report, list[Lag]]:
    """Return the ledger added up, knowing which stages still have records to read."""
    behind, ledgers = await read(settings, store)
    busy = {lag.stage for lag in behind if lag.records}
    draining = set()
    for place, stage in enumerate(ORDER):
        if busy & {stage}:
            draining |= set(ORDER[place:])
    if "persist" in draining:
        draining.add("persist_alerts")
    return add_up(ledgers, frozenset(draining)), behind


async def drained(settings: Settings, store: Store) -> bool:
    """Return whether every stage has handled all there is, and nothing is held back.

    One look is enough: stages are read in the order of the flow, and a stage whose
    checkpoint has reached the end has made all its output before that checkpoint.
    """
    for stage in ORDER:
        behind, ledgers = await read(settings, store)
        if any(lag.records for lag in behind if lag.stage == stage):
            return False
        if any(row.get("pending", 0) for rows in ledgers for row in rows):
            return False
    return True
