"""What waits for the agent: nothing lost, order kept, merged within the limits, fair."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streams.transport.batch import Limits, RecordBatch
from streams.transport.inbox import Inbox
from streams.transport.offsets import Lease

SMALL = Limits(batch_records=7, batch_bytes=40)


def batch(lease: Lease, first: int, sizes: list[int]) -> RecordBatch:
    values: list[bytes | None] = [b"x" * size if size else None for size in sizes]
    offsets = list(range(first, first + len(sizes)))
    headers: list[Any] = [[("o", str(offset).encode())] for offset in offsets]
    stamps = list(offsets)
    return RecordBatch(lease, offsets, [None] * len(sizes), values, stamps, headers)


def take(inbox: Inbox) -> tuple[RecordBatch, list[RecordBatch]]:
    """Do what the agent's end of the transport does."""
    first = asyncio.run(inbox.get())
    rest = inbox.rest(first)
    first.append(rest)
    return first, rest


@hypothesis_settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.integers(0, 30), min_size=1, max_size=5)),
        max_size=30,
    )
)
def test_everything_comes_out_once_in_order_and_within_the_limits(puts):
    leases = [Lease(("t", number)) for number in range(3)]
    ends, inbox, given_ = [0, 0, 0], Inbox(SMALL), 0
    for number, sizes in puts:
        inbox.put(batch(leases[number], ends[number], sizes))
        ends[number] += len(sizes)
    found: dict[Lease, list[int]] = {lease: [] for lease in leases}
    while sum(map(len, found.values())) < sum(ends):
        merged, rest = take(inbox)
        given_ += 1 + len(rest)
        assert (merged.first, merged.last) == (merged.offsets[0], merged.offsets[-1])
        assert merged.size == sum(len(value) for value in merged.values if value)
        assert merged.timestamps == merged.offsets
        assert [dict(h or ())["o"] for h in merged.headers] == [b"%d" % o for o in merged.offsets]
        if rest:
            assert len(merged) <= SMALL.batch_records
            assert merged.size <= SMALL.batch_bytes
        found[merged.lease] += merged.offsets
    assert [found[lease] for lease in leases] == [list(range(end)) for end in ends]
    assert given_ == len(puts), "whoever counts what waits is told of every batch"


def test_a_busy_partition_does_not_keep_the_others_waiting():
    busy, quiet = Lease(("t", 0)), Lease(("t", 1))
    inbox = Inbox(SMALL)
    for number in range(10):
        inbox.put(batch(busy, 4 * number, [1] * 4))
    inbox.put(batch(quiet, 0, [1]))
    assert [take(inbox)[0].lease for _ in range(2)] == [busy, quiet]


def test_batches_of_two_tenures_are_never_merged():
    former, present = Lease(("t", 0)), Lease(("t", 0))
    inbox = Inbox(SMALL)
    inbox.put(batch(former, 0, [1]))
    inbox.put(batch(present, 0, [1]))
    assert [take(inbox)[0].lease for _ in range(2)] == [former, present]


async def test_whoever_waits_gets_the_next_batch():
    inbox = Inbox(SMALL)
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    sent = batch(Lease(("t", 0)), 0, [1])
    inbox.put(sent)
    assert await asyncio.wait_for(waiting, 5) is sent
