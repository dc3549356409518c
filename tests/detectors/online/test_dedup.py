"""Replays are dropped exactly; duplicates of the source are found within the horizon."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.online.dedup import SeenIds, Watermarks
from sentinel.errors import SchemaError


def ids(numbers) -> np.ndarray:
    return np.array([[0] * 12 + list(int(n).to_bytes(4, "big")) for n in numbers], np.uint8)


def last_in_first_out(numbers, horizon: int) -> list[bool]:
    held: OrderedDict[int, None] = OrderedDict()
    seen = []
    for number in numbers:
        seen.append(number in held)
        held[number] = held.get(number)
        if len(held) > horizon:
            held.popitem(last=False)
    return seen


@given(
    numbers=st.lists(st.integers(0, 60), min_size=1, max_size=400),
    horizon=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_remembers_exactly_the_last_distinct_ids(numbers, horizon, cuts) -> None:
    seen = SeenIds(horizon)
    found: list[bool] = []
    for part in np.split(np.array(numbers), sorted(cuts)):
        if len(part):
            found += seen.mark(ids(part)).tolist()
        again = SeenIds(horizon)
        again.restore(seen.snapshot())
        assert again.snapshot() == seen.snapshot()
        seen = again
    assert found == last_in_first_out(numbers, horizon)
    assert len(seen) + seen.evictions == found.count(False)


def test_long_run_agrees_with_a_set() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 6000, 20_000)
    assert SeenIds(2000).mark(ids(numbers)).tolist() == last_in_first_out(numbers.tolist(), 2000)


def test_reads_the_bytes_of_a_record(event_batch) -> None:
    batch = event_batch([{"native": "a"}, {"native": "b"}, {"native": "a"}])
    batch.uid.setflags(write=False)
    assert SeenIds(10).mark(batch.uid).tolist() == [False, False, True]


def test_snapshot_size_is_bounded() -> None:
    seen = SeenIds()
    seen.mark(np.random.default_rng(1).integers(0, 256, (200_000, 16), dtype=np.uint8))
    assert len(seen.snapshot()) < 2_100_000
    assert seen.evictions == 200_000 - 131_072


def test_a_smaller_horizon_keeps_the_latest() -> None:
    large, small = SeenIds(100), SeenIds(3)
    large.mark(ids(range(10)))
    small.restore(large.snapshot())
    assert small.mark(ids([9, 8, 7, 6])).tolist() == [True, True, True, False]
    assert small.evictions == 8


def test_refuses_another_snapshot() -> None:
    with pytest.raises(SchemaError, match="expected a snapshot of seen_ids"):
        SeenIds(3).restore(b"nonsense")


@given(sends=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_sequence_is_processed_once(event_batch, sends) -> None:
    """An upstream that restarts sends from any earlier place again, cut differently."""
    marks, done, sent = Watermarks(), [], 0
    for back, count in sends:
        first = max(sent - back, 0)
        batch = event_batch([{}] * count, first=first)
        done += batch.origin[marks.fresh(batch)].tolist()
        marks.advance(batch)
        sent = max(sent, first + count)
        kept = Watermarks()
        kept.load(marks.state())
        marks = kept
    assert done == list(range(sent))


def test_origins_do_not_mix(event_batch) -> None:
    marks = Watermarks()
    marks.advance(event_batch([{}] * 5, source="auditd"))
    assert len(marks.fresh(event_batch([{}] * 3, source="cloudtrail"))) == 3
    assert len(marks.fresh(event_batch([{}] * 3, source="auditd"))) == 0
