"""Batches are cut up without loss."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.batch import STRING_COLUMNS, EventBatch, Hit, RuleRef, Strings

EVENTS = st.lists(
    st.tuples(st.binary(max_size=5), st.sampled_from("abcdef"), st.integers(0, 3)), min_size=1
)


def batch(made: list[tuple[bytes, str, int]]) -> EventBatch:
    raws, names, _ = zip(*made, strict=True)
    numbers = np.arange(len(made))
    small = numbers.astype(np.int32)
    hits = [Hit(row, part % 2, str(row)) for row, (*_, part) in enumerate(made) if part]
    return EventBatch(
        source="s",
        origin_topic="t",
        origin_partition=3,
        origin_first=0,
        origin_last=9,
        uid=np.repeat(numbers.astype(np.uint8), 16).reshape(-1, 16),
        time=numbers,
        arrived=numbers,
        origin=numbers,
        class_uid=small,
        activity_id=small,
        status_id=small,
        severity_id=small,
        raw=b"".join(raws),
        raw_end=np.cumsum(list(map(len, raws))),
        rules=[RuleRef("r0", "R", 2, ()), RuleRef("r1", "R", 3, ("T1",))],
        hits=hits,
        **{name: Strings.of([name + each for each in names]) for name in STRING_COLUMNS},
    )


@given(EVENTS)
def test_parts_have_all_events_and_hits(made: list[tuple[bytes, str, int]]) -> None:
    whole, in_pieces = batch(made), batch(made)
    whole.weight = np.arange(len(made), dtype=np.float32)
    in_pieces.raw = [raw for raw, *_ in made]
    parts = np.array([part for *_, part in made])
    order = np.argsort(parts, kind="stable")
    sizes = [size for size in np.bincount(parts).tolist() if size]
    for one in (whole, in_pieces):
        found = [EventBatch.decode(each.encode()) for each in one.split(order, sizes, 2, 3)]
        assert list(map(len, found)) == sizes
        rows = iter(order.tolist())
        for part in found:
            assert (part.source, part.origin_first, part.origin_last) == ("s", 2, 3)
            explained = {hit.event: (part.rules[hit.rule].id, hit.explanation) for hit in part.hits}
            for row in range(len(part)):
                before = next(rows)
                raw, name, number = made[before]
                assert part.raw_of(row) == raw
                assert int(part.time[row]) == before == part.uid[row][15]
                assert part.weight is None if one is in_pieces else part.weight[row] == before
                assert explained.get(row) == ((f"r{number % 2}", str(before)) if number else None)
                for column in STRING_COLUMNS:
                    strings = getattr(part, column)
                    assert strings.at(row) == column + name
                    assert set(strings.index.tolist()) == set(range(len(strings.values)))
