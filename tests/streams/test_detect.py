"""Detect as a stage: signals to the right partition, nothing lost to what is broken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import connectors
from connectors.base import Connector
from detectors.models.half_space_trees import HalfSpaceTrees
from schemas import avro
from schemas.batch import EventBatch, Hit, RuleRef
from sentinel.registry import discover
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from sentinel.topics import BY_NAME
from streams.correlate import CorrelateStage
from streams.detect import DetectStage
from streams.normalize import NormalizeStage
from streams.normalizer import partition_of
from streams.policy.rule_sets import load_rules

PARTITIONS = 3
SETTINGS = Settings(model_threshold=0.3)


@pytest.fixture(scope="module")
def normalized(records):
    """Return ``normalized(first)``: the sample, twenty events a record, as read from `first` on."""
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    stage = NormalizeStage(SETTINGS, found, load_rules(SETTINGS), 1)
    raws = [event.raw for event in simulate(seed=5) if event.source == "cloudtrail"]

    def make(start: int) -> list[bytes]:
        task = stage.task("raw.cloudtrail", 0)
        return [
            record.value
            for at in range(0, len(raws), 20)
            for record in task.process(records(raws[at : at + 20], first=start + at)).records
        ]

    return make


class Records(list[bytes]):
    """Records that are not printed whole."""

    def __repr__(self) -> str:
        return f"<{len(self)} records>"


@pytest.fixture(scope="module")
def events(normalized):
    """Records of one events partition."""
    return Records(normalized(0))


@pytest.fixture(scope="module")
def stage():
    return DetectStage(SETTINGS, PARTITIONS)


def run(task, records, values, first=0, size=7):
    """Hand over records in batches of `size`; return what comes of them."""
    made = []
    for start in range(0, len(values), size):
        made += task.process(
            records(values[start : start + size], "events", 0, first + start)
        ).records
    return made


def hits(outgoing):
    """Return every (rule or model, event, score) signalled, however folded."""
    return sorted(
        (signal["kind"], signal["rule_id"], event["uid"], event["score"])
        for record in outgoing
        if record.topic == "signals"
        for signal in avro.decode("signal_batch", record.value)["signals"]
        for event in signal["events"]
    )


def test_signals_go_to_the_partition_of_their_group_with_their_origin(stage, records, events):
    task = stage.task("events", 5)
    made = task.process(records(events, "events", 5, 100)).records
    assert made
    total = 0
    for record in made:
        batch = avro.decode("signal_batch", record.value)
        assert (batch["origin_partition"], batch["origin_first"]) == (5, 100)
        assert batch["origin_last"] == 100 + len(events) - 1
        for signal in batch["signals"]:
            key = f"{signal['rule_id']}\x1f{signal['group']}"
            assert record.partition == partition_of(signal["tenant"], key, PARTITIONS)
            total += len(signal["events"])
    (row,) = task.ledger.dump()
    assert row["signalled"] == total
    assert row["in"] == row["out"]


@hypothesis_settings(deadline=None, max_examples=8)
@given(size=st.integers(1, 60), saved=st.integers(0, 100), again=st.integers(1, 60))
def test_batches_crashes_and_replays_give_the_same_signals(
    stage, records, events, size, saved, again
):
    """State, scores and counts are those of a plain run, from any checkpoint on."""
    plain = stage.task("events", 0)
    expected = hits(run(plain, records, events))
    assert {kind for kind, *_ in expected} == {"rule", "model", "risk"}
    first, second = stage.task("events", 0), stage.task("events", 0)
    made = run(first, records, events[:saved], size=size)
    second.restore(first.snapshot())
    second.ledger.load(first.ledger.dump())
    made += run(second, records, events[saved:], first=saved, size=again)
    assert hits(made) == expected
    assert second.ledger.dump() == plain.ledger.dump()


def test_a_replay_of_normalize_is_dropped_and_not_counted(stage, records, events):
    task = stage.task("events", 0)
    run(task, records, events)
    before = task.ledger.dump()
    assert hits(run(task, records, events, first=len(events))) == []
    assert task.ledger.dump() == before


def test_a_second_delivery_by_the_source_is_counted_and_not_scored(stage, records, normalized):
    task = stage.task("events", 0)
    once = normalized(0)
    run(task, records, once)
    assert hits(run(task, records, normalized(10_000), first=len(once))) == []
    (row,) = task.ledger.dump()
    assert row["duplicate"] == row["out"] == row["in"] // 2


@hypothesis_settings(deadline=None)
@given(bad=st.binary(max_size=60) | st.none())
def test_what_is_no_batch_of_events_is_a_letter_and_the_rest_goes_on(stage, records, events, bad):
    task = stage.task("events", 0)
    made = task.process(records([events[0], bad, events[1]], "events", 0, 10)).records
    letters = [record for record in made if record.topic == "dead_letter"]
    assert [(r.value, r.headers["offset"], r.headers["stage"]) for r in letters] == [
        (bad or b"", "11", "detect")
    ]
    rows = {row["source"]: row for row in task.ledger.dump()}
    assert rows[""] == {"stage": "detect", "tenant": "default", "source": "", "in": 1,
                        "dead_lettered": 1}  # fmt: skip
    assert rows["cloudtrail"]["in"] == 40


def test_an_event_that_matches_very_many_rules_does_not_outgrow_the_topic(records, events):
    """A MiB that a hundred rules match is a hundred MiB of signals: sent in several records."""
    rules = [RuleRef(f"r{number}", "R", 4, ()) for number in range(200)]
    batch = EventBatch.decode(events[0]).split(np.arange(1), [1], 0, 0)[0]
    batch.raw, batch.raw_end = b"x" * 1_000_000, np.array([1_000_000])
    batch.rules, batch.hits = rules, [Hit(0, number, "{}") for number in range(200)]
    task = DetectStage(SETTINGS, 1).task("events", 0)
    reader = CorrelateStage(SETTINGS, 1).task("signals", 0)
    made = task.process(records([batch.encode()], "events")).records
    assert max(len(record.value) for record in made) < BY_NAME["signals"].max_bytes
    assert sum(kind == "rule" for kind, *_ in hits(made)) == 200
    for first in range(2):  # and once more, as after a crash
        values = [record.value for record in made]
        reader.process(records(values, "signals", first=first * len(values)))
    assert [row["in"] for row in reader.ledger.dump()] == [201], "the risk, too"


def test_a_model_that_raises_costs_only_what_it_would_have_said(
    stage, records, events, monkeypatch
):
    whole = HalfSpaceTrees.score_learn

    def broken(model, batch, rows):
        if (batch.uid[rows, 0] % 16 == 7).any():
            raise ZeroDivisionError("a bug")
        return whole(model, batch, rows)

    sound = hits(run(stage.task("events", 0), records, events))
    monkeypatch.setattr(HalfSpaceTrees, "score_learn", broken)
    task = stage.task("events", 0)
    found = hits(run(task, records, events))

    def others(rows):
        return [row for row in rows if row[1] != HalfSpaceTrees.id]

    assert others(found) == others(sound)
    assert not [row for row in found if row[1] == HalfSpaceTrees.id and row[2][0] % 16 == 7]
    (row,) = task.ledger.dump()
    assert row["in"] == row["out"] + row.get("duplicate", 0)
