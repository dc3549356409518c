"""How far the stages are: nothing is called done that is not."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sentinel.kafka import TopicState
from sentinel.ledger import lags
from sentinel.settings import Settings
from streams.runtime import progress
from streams.runtime.checkpoint import Row


def state(name: str, *spans: tuple[int, int]) -> TopicState:
    """Return a topic as the broker reports it, one (start, end) a partition."""
    known: dict[str, Any] = {field: None for field in TopicState._fields}
    known |= {"name": name, "partitions": len(spans), "exists": True,
              "start": [s for s, _ in spans], "end": [e for _, e in spans]}  # fmt: skip
    return TopicState(**known)


class Checkpoints:
    """What the stages have saved; set `ledger` rows for what they counted."""

    def __init__(self, done: dict[tuple[str, str, int], int | None], ledger: Any = ()):
        self.done, self.ledger = done, list(ledger)

    async def read_all(self) -> list[Row]:
        return [
            Row(*place, uuid4(), offset, {"rows": self.ledger} if offset else None, 0, None)  # type: ignore[arg-type]
            for place, offset in self.done.items()
        ]


@hypothesis_settings(deadline=None)
@given(st.integers(0, 100), st.integers(0, 100), st.integers(-5, 300))
def test_a_lag_is_what_there_is_and_is_not_done(start, more, done):
    """Deleted records are not lag, nor is a checkpoint beyond the end less than none."""
    (lag,) = lags([state("signals", (start, start + more))], {("correlate", "signals", 0):
                                                                      done})  # fmt: skip
    assert lag[:3] == ("correlate", "signals", 0)
    assert lag.records == len(set(range(start, start + more)) - set(range(done)))


def test_every_reader_and_every_raw_topic_has_its_lag():
    states = [state("raw.new", (0, 5), (2, 2)), state("events", (0, 3))]
    found = lags(states, {("detect", "events", 0): 3})
    assert sorted(found) == [
        ("detect", "events", 0, 0),
        ("normalize", "raw.new", 0, 5),
        ("normalize", "raw.new", 1, 0),
        ("persist", "events", 0, 3),
    ]


ALL = [state("raw.auditd", (0, 9)), state("events", (0, 4)), state("signals", (0, 2)),
       state("alerts", (0, 1)), state("dead_letter", (0, 1))]  # fmt: skip
DONE: dict[tuple[str, str, int], int | None] = {
    ("normalize", "raw.auditd", 0): 9, ("detect", "events", 0): 4, ("persist", "events", 0): 4,
    ("correlate", "signals", 0): 2, ("persist", "alerts", 0): 1, ("dead_letter", "dead_letter", 0):
    1,
}  # fmt: skip


@pytest.fixture
def broker(monkeypatch):
    monkeypatch.setattr(progress, "describe_topics", lambda _settings: ALL)
    return Settings()


async def test_drained_is_when_each_stage_has_read_all(broker):
    assert await progress.drained(broker, Checkpoints(DONE))


@pytest.mark.parametrize("place", sorted(DONE))
async def test_one_partition_that_is_behind_is_not_drained(broker, place):
    assert not await progress.drained(broker, Checkpoints(DONE | {place: DONE[place] - 1}))
    assert not await progress.drained(broker, Checkpoints(DONE | {place: None}))


async def test_what_is_held_back_is_not_drained(broker):
    waiting = {"stage": "normalize", "tenant": "t", "source": "auditd", "in": 1, "pending": 1}
    assert not await progress.drained(broker, Checkpoints(DONE, [waiting]))


async def test_what_is_missing_downstream_of_a_stage_that_still_reads_is_in_flight(broker):
    """Alerts cannot be complete while signals are read: nothing is lost yet."""
    made = {"stage": "correlate", "tenant": "t", "source": "auditd", "in": 2, "out": 2}
    sent = {"stage": "detect", "tenant": "t", "source": "auditd", "signalled": 2}
    behind = DONE | {("correlate", "signals", 0): 1}
    # each checkpoint has the same ledger here: what counts is that it balances in itself
    report, lags = await progress.report(broker, Checkpoints(behind, [made, sent]))
    assert (report.balance, report.in_flight) == (0, 2 * len(behind))
    read = [lag for lag in lags if lag.records and lag.stage != "deliver"]  # nothing read there
    assert read == [("correlate", "signals", 0, 1)]
    report, _ = await progress.report(broker, Checkpoints(DONE, [made, sent]))
    assert (report.balance, report.in_flight) == (2 * len(DONE), 0)
