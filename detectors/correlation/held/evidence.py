"""The events behind correlations, kept for as long as there is room, for the alerts to come."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from schemas.joins import Arrivals

#: Bytes of raw events kept for one ``signals`` partition; the oldest go first.
ROOM: Final = 4 << 20
#: Larger events are not kept: an alert names them by their ids.
LARGEST: Final = 64 << 10
#: What an event takes beside its raw bytes.
_EACH: Final = 200


class Seen(NamedTuple):
    """One event: what an alert shows of it."""

    uid: bytes
    time: int
    arrived: int
    source: str
    entity: str
    value: str
    raw: bytes


class Evidence:
    """The last events that contributed to anything, by id.

    Parameters
    ----------
    room
        Bytes kept. What goes for want of it is counted in `evictions`.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._size = 0
        self._order: deque[Seen] = deque()
        self._known: dict[bytes, Seen] = {}
        self.evictions = 0

    def add(self, arrivals: Arrivals, start: int = 0) -> None:
        """Keep the events from place `start` on, each with the last value it contributed."""
        values = dict(zip(arrivals.event.tolist(), arrivals.value.index.tolist(), strict=True))
        texts = arrivals.value.values
        uids = arrivals.uid.tobytes()
        rows = zip(
            arrivals.time.tolist(),
            arrivals.arrived.tolist(),
            map(arrivals.source.values.__getitem__, arrivals.source.index.tolist()),
            map(arrivals.entity.values.__getitem__, arrivals.entity.index.tolist()),
            [0, *arrivals.raw_end.tolist()],
            arrivals.raw_end.tolist(),
            strict=False,
        )
        for place, row in enumerate(islice(rows, start, None), start):
            time, arrived, source, entity, begin, end = row
            if not 0 < end - begin <= LARGEST:
                continue
            uid = uids[16 * place : 16 * place + 16]
            value = texts[values.get(place, 0)] if texts else ""
            self._keep(
                Seen(uid, time, arrived, source, entity, value, bytes(arrivals.raw[begin:end]))
            )
        self._trim()

    def _keep(self, seen: Seen) -> None:
        if seen.uid in self._known:
            return
        self._known[seen.uid] = seen
        self._order.append(seen)
        self._size += len(seen.raw) + _EACH

    def _trim(self) -> None:
        while self._size > self._room and self._order:
            oldest = self._order.popleft()
            del self._known[oldest.uid]
            self._size -= len(oldest.raw) + _EACH
            self.evictions += 1

    def get(self, uid: bytes) -> Seen | None:
        """Return an event, if it is still there."""
        return self._known.get(uid)

    def state(self) -> list[Any]:
        """Return the events, oldest first, for `load`."""
        return [tuple(seen) for seen in self._order]

    def load(self, state: list[Any]) -> None:
        """Take up what `state` returned."""
        self._order.clear()
        self._known.clear()
        self._size = 0
        for seen in msgspec.convert(state, list[Seen]):
            self._keep(seen)
        self._trim()
