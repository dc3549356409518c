"""What detect sends on of contributions to correlations: those of events that are news.

Each event takes along the *watermark* of its tenant and source in the events partition: the
newest event time before its batch. It tells late events from others by themselves, whatever
way batches are cut or partitions interleave. An event time beyond the time of arrival counts as
the latter there, so that one wrong clock does not make all others late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.batch import EventBatch, Strings
from schemas.joins import Arrivals, Member

#: Watermark of a tenant's source of which nothing has been seen.
NOTHING: Final = -(1 << 62)


class Lanes:
    """The watermark of every tenant and source of one events partition, ms since the epoch."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], int] = {}

    def before(self, batch: EventBatch) -> NDArray[np.int64]:
        """Return the watermark of each tenant of a batch: int64[values of its tenants]."""
        newest, source = self._newest, batch.source
        return np.array(
            [newest.get((tenant, source), NOTHING) for tenant in batch.tenant.values], np.int64
        )

    def advance(self, batch: EventBatch, rows: NDArray[np.int64]) -> None:
        """Take note of the events at `rows`."""
        if not len(rows):
            return
        times = np.minimum(batch.time[rows], batch.arrived[rows])
        tenants, index = batch.tenant.values, batch.tenant.index[rows]
        if len(tenants) == 1:
            self._note(tenants[0], batch.source, int(times.max()))
            return
        newest = np.full(len(tenants), NOTHING, np.int64)
        np.maximum.at(newest, index, times)
        for tenant, time in zip(tenants, newest.tolist(), strict=True):
            if time > NOTHING:
                self._note(tenant, batch.source, time)

    def _note(self, tenant: str, source: str, time: int) -> None:
        key = (tenant, source)
        self._newest[key] = max(self._newest.get(key, time), time)

    def state(self) -> list[tuple[str, str, int]]:
        """Return tenant, source and watermark of each, for `load`."""
        return [(*key, time) for key, time in self._newest.items()]

    def load(self, state: Sequence[tuple[str, str, int]]) -> None:
        """Take up what `state` returned."""
        self._newest = {(tenant, source): time for tenant, source, time in state}


class Gathered:
    """Collects the contributions of the batches of one call."""

    def __init__(self) -> None:
        self._members: dict[Member, int] = {}
        self._member: list[NDArray[np.int64]] = []
        self._event: list[NDArray[np.int64]] = []
        self._numbers: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._uids: list[NDArray[np.uint8]] = []
        self._raws: list[bytes] = []

    def add(
        self,
        batch: EventBatch,
        offset: int,
        rows: NDArray[np.int64],
        watermarks: NDArray[np.int64],
    ) -> None:
        """Add the contributions of the events at `rows` of the batch at `offset`."""
        joins = batch.joins
        if joins is None or not len(rows):
            return
        fresh = np.zeros(len(batch), np.bool_)
        fresh[rows] = True
        wanted = np.flatnonzero(fresh[joins.event])
        if not len(wanted):
            return
        found, index = np.unique(joins.event[wanted], return_inverse=True)
        events = found.astype(np.int64)
        renamed = np.array(
            [self._members.setdefault(each, len(self._members)) for each in joins.members]
        )
        self._member.append(renamed[joins.member[wanted]])
        self._event.append(index + len(self._raws))
        self._texts["group"] += _texts(joins.group, wanted)
        self._texts["value"] += _texts(joins.value, wanted)
        self._numbers["time"].append(batch.time[events])
        self._numbers["arrived"].append(batch.arrived[events])
        self._numbers["origin"].append(np.full(len(events), offset, np.int64))
        self._numbers["watermark"].append(watermarks[batch.tenant.index[events]])
        self._texts["tenant"] += _texts(batch.tenant, events)
        self._texts["source"] += [batch.source] * len(events)
        self._texts["entity"] += _texts(batch.entity, events)
        self._uids.append(batch.uid[events])
        self._raws += batch.raws(events)

    def arrivals(self) -> Arrivals | None:
        """Return all that was added; None where that is nothing."""
        if not self._member:
            return None
        columns: dict[str, Any] = {
            name: np.concatenate(parts) for name, parts in self._numbers.items()
        }
        columns |= {name: Strings.of(column) for name, column in self._texts.items()}
        sizes = np.fromiter(map(len, self._raws), np.int64, len(self._raws))
        return Arrivals(
            members=list(self._members),
            member=np.concatenate(self._member).astype(np.int32),
            event=np.concatenate(self._event).astype(np.int32),
            uid=np.concatenate(self._uids),
            raw=b"".join(self._raws),
            raw_end=np.cumsum(sizes),
            **columns,
        )


def _texts(column: Strings, rows: NDArray[np.int64]) -> list[str]:
    return list(map(column.values.__getitem__, column.index[rows].tolist()))


def part(whole: Arrivals, rows: NDArray[np.int64], most: int) -> Arrivals:
    """Return the contributions at `rows`, with their events; raw ones up to `most` bytes."""
    found, index = np.unique(whole.event[rows], return_inverse=True)
    events = found.astype(np.int64)
    raws = [whole.raw_of(event) for event in events.tolist()]
    sizes = np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)))
    kept = int(np.searchsorted(sizes, most, side="right"))
    used, member = np.unique(whole.member[rows], return_inverse=True)
    return Arrivals(
        members=[whole.members[at] for at in used.tolist()],
        member=member.astype(np.int32),
        event=index.astype(np.int32),
        group=whole.group.take(rows),
        value=whole.value.take(rows),
        uid=whole.uid[events],
        time=whole.time[events],
        arrived=whole.arrived[events],
        origin=whole.origin[events],
        watermark=whole.watermark[events],
        tenant=whole.tenant.take(events),
        source=whole.source.take(events),
        entity=whole.entity.take(events),
        raw=b"".join(raws[:kept]),
        raw_end=np.minimum(sizes, sizes[kept - 1] if kept else 0),
    )
