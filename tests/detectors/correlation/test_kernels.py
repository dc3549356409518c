"""The compiled loops against the same in plain Python, which is quadratic and plainly right."""

from __future__ import annotations

from array import array
from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detectors.correlation.held import kernels, sketch
from detectors.correlation.held.windows import SHIFT

WIDTH = 4
RULES = 4
RELAXED = hypothesis_settings(deadline=None, max_examples=150)

events = st.lists(
    st.tuples(st.integers(-3, 20), st.integers(0, RULES - 1), st.integers(0, 2), st.integers(0, 3)),
    max_size=30,
)


def rows_of(found: list[tuple[int, int, int, int]]) -> list[tuple[int, ...]]:
    """Return events as a group has them: stamp, halves of the id, value."""
    return [((time << SHIFT) | (rule << 2), ident, -ident, value)
            for time, rule, ident, value in found]  # fmt: skip


def flat(rows: list[tuple[int, ...]]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1)


def ordered(members: list[tuple[int, int]]) -> int:
    """Return how many rules matched in their order; of one time, in any."""
    for size in range(len(members), 0, -1):
        for chosen in combinations(sorted(members), size):
            if all(a[1] < b[1] for a, b in pairwise(chosen)):
                return size
    return 0


@RELAXED
@given(held=events, come=events, marked=st.sets(st.integers(0, 29)), floor=st.integers(-5, 25))
def test_events_are_merged_once_each_and_the_late_ones_not(held, come, marked, floor):
    kept = 4
    known = sorted(set(rows_of(held)))
    entries = [(row[0] | (place in marked), *row[1:]) for place, row in enumerate(known)]
    rows = rows_of(come)
    merged = np.empty(WIDTH * (len(entries) + len(rows)), np.int64)
    became = np.empty(len(rows), np.uint8)
    used = kernels.admit(flat(entries), flat(rows), WIDTH, floor, kept, merged, became)
    newest = max((row[0] >> SHIFT for row in known), default=-(1 << 50))
    expected, seen = list(entries), set(known)
    late = []
    for row in rows:
        time = row[0] >> SHIFT
        late.append(time < floor and time < newest - kept)
        if late[-1]:
            continue
        newest = max(newest, time)
        if row not in seen:
            seen.add(row)
            expected.append(row)
    expected.sort(key=lambda row: (row[0] >> 2, *row[1:]))
    assert merged[:used].tolist() == flat(expected).tolist()
    assert (became == kernels.LATE).tolist() == late
    assert int((became == kernels.NEW).sum()) == len(expected) - len(entries)


@RELAXED
@given(
    found=events,
    low=st.integers(-5, 22),
    length=st.integers(0, 12),
    span=st.integers(1, 9),
    tumbling=st.booleans(),
    kind=st.integers(0, 4),
    enough=st.integers(0, 4),
)
def test_windows_that_slide_say_what_each_says_by_itself(
    found, low, length, span, tumbling, kind, enough
):
    rows = sorted(set(rows_of(found)))
    out = np.empty((len(rows) + 1, 5), np.int64)
    ask = np.array((low, low + length, span, tumbling, kind, enough, RULES), np.int64)
    used = kernels.judge(flat(rows), WIDTH, ask, out)
    expected = []
    for time in sorted({row[0] >> SHIFT for row in rows}):
        since = time // span * span if tumbling else time - span
        inside = [at for at, row in enumerate(rows) if since <= row[0] >> SHIFT <= time]
        members = [(rows[at][0] >> SHIFT, (rows[at][0] >> 2) & 0xFFF) for at in inside]
        which = {rule for _, rule in members}
        value = {
            kernels.COUNT: len(inside),
            kernels.VALUES: len({rows[at][3] for at in inside}),
            kernels.RULES: len(which),
            kernels.WHICH: sum(1 << rule for rule in which),
            kernels.ORDER: ordered(list(set(members))) if kind == kernels.ORDER else 0,
        }[kind]
        if low <= time <= low + length and value >= enough:
            expected.append([time, inside[0], inside[-1] + 1, since, value])
    assert out[:used].tolist() == expected


def test_events_are_marked_once_for_each_of_two_alerts():
    rows = rows_of([(1, 0, 1, 0), (2, 0, 2, 0), (5, 0, 3, 0)])
    entries = array("q", flat(rows).tolist())
    view, out = np.frombuffer(entries, np.int64), np.empty(3, np.int64)
    assert out[: kernels.mark(view, WIDTH, 0, 3, 2, out)].tolist() == [0, 1, 2]
    assert out[: kernels.mark(view, WIDTH, 0, 3, 2, out)].tolist() == []
    assert out[: kernels.mark(view, WIDTH, 0, 3, 5, out)].tolist() == [1]
    assert [stamp & 3 for stamp in entries[::WIDTH]] == [2, 3, 1]


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=50))
def test_a_sketch_is_the_same_value_by_value(values):
    registers = np.zeros(sketch.REGISTERS, np.uint8)
    rows = flat([(0, 0, 0, value) for value in values])
    kernels.sketch_in(rows, 0, len(values), registers)
    assert registers.tolist() == sketch.registers(np.array(values, np.int64)).tolist()
