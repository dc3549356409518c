"""Batches between the pump and the agent: those of one partition become one as it takes them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from streams.transport.batch import Limits, RecordBatch
from streams.transport.offsets import Lease


class Inbox:
    """What was read and waits; used on the event loop only.

    Order is kept within a lease; leases take turns. A consumer reads many small batches while
    the agent is busy with one, and a batch costs the agent nearly the same whatever its size,
    so what waits of a lease is merged when its turn comes (`rest`), and nothing ever waits
    for more.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[Lease, deque[RecordBatch]] = OrderedDict()
        self._some = asyncio.Event()
        self._held_back: set[Lease] = set()

    def put(self, batch: RecordBatch) -> None:
        """Add a batch, which follows those of its lease that were added before."""
        self._waiting.setdefault(batch.lease, deque()).append(batch)
        self._some.set()

    async def get(self) -> RecordBatch:
        """Remove and return the first batch of the lease whose turn it is; wait for one."""
        while (lease := self._next()) is None:
            self._some.clear()
            await self._some.wait()
        batches = self._waiting.pop(lease)
        batch = batches.popleft()
        if batches:
            self._waiting[lease] = batches
        return batch

    def _next(self) -> Lease | None:
        return next((lease for lease in self._waiting if lease not in self._held_back), None)

    def hold_back(self, lease: Lease) -> None:
        """Return nothing of `lease` until `let_go`."""
        self._held_back.add(lease)

    def let_go(self, lease: Lease) -> None:
        """Undo `hold_back`."""
        self._held_back.discard(lease)
        self._some.set()

    def rest(self, batch: RecordBatch) -> list[RecordBatch]:
        """Remove and return what waits right behind `batch`, as far as all fits into one batch."""
        batches = self._waiting.get(batch.lease)
        found: list[RecordBatch] = []
        records, size = len(batch), batch.size
        while batches:
            records += len(batches[0])
            size += batches[0].size
            if records > self._limits.batch_records or size > self._limits.batch_bytes:
                break
            found.append(batches.popleft())
        if batches is not None and not batches:
            del self._waiting[batch.lease]
        return found
