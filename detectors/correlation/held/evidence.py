"""The events behind correlations, kept for as long as there is room, for the alerts to come."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from schemas.joins import Arrivals

#: Bytes of raw events kept for one ``signals`` partition; the oldest go first.
ROOM: Final = 4 << 20
#: Larger events are not kept: an alert names them by their ids.
LARGEST: Final = 64 << 10
#: Events of chunks that are put together: one looks for an event in each chunk.
SMALL: Final = 256
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


class Chunk:
    """The events of one record of signals, or of several small ones."""

    def __init__(self, arrivals: Arrivals, start: int) -> None:
        self._arrivals: Arrivals | None = arrivals
        self._start = start
        self._known: dict[bytes, Seen] = {}
        self._columns: _Columns | None = None
        begun = int(arrivals.raw_end[start - 1]) if start else 0
        self.events = len(arrivals.time) - start
        self.size = int(arrivals.raw_end[-1]) - begun + _EACH * self.events

    @property
    def known(self) -> dict[bytes, Seen]:
        """The events, by id; taken apart when they are first asked for."""
        if self._arrivals is not None:
            columns = self._columns or _columns(self._arrivals, self._start)
            found = [_event(self._arrivals, columns, place) for place in columns.places.values()]
            self._known = {seen.uid: seen for seen in found if seen is not None}
            self._arrivals = self._columns = None
        return self._known

    def get(self, uid: bytes) -> Seen | None:
        """Return an event, if it is here."""
        if self._arrivals is None:
            return self._known.get(uid)
        if self._columns is None:
            self._columns = _columns(self._arrivals, self._start)
        place = self._columns.places.get(uid)
        return None if place is None else _event(self._arrivals, self._columns, place)

    def _skip(self, arrivals: Arrivals, room: int) -> int:
        """Begin later in a record that was not taken apart yet."""
        count = len(arrivals.time)
        left = int(arrivals.raw_end[-1]) - arrivals.raw_end + _EACH * np.arange(count)[::-1]
        start = max(self._start, 1 + int(np.argmax(left <= room)))
        gone = start - self._start
        self._start, self.events, self._columns = start, count - start, None
        self.size = int(left[start - 1])
        return gone

    def fill(self, events: list[Seen]) -> None:
        """Have just these events."""
        self._arrivals = self._columns = None
        self._known = {seen.uid: seen for seen in events}
        self.events = len(events)
        self.size = sum(len(seen.raw) + _EACH for seen in events)

    def join(self, other: Chunk) -> None:
        """Take over the events of another one."""
        self.known.update(other.known)
        self.events += other.events
        self.size += other.size

    def trim(self, room: int) -> int:
        """Let the oldest events go until the others fit; return how many those are."""
        if self._arrivals is not None:
            return self._skip(self._arrivals, room)
        known, gone = self.known, 0
        for uid in list(known):
            if self.size <= room:
                break
            self.size -= len(known.pop(uid).raw) + _EACH
            gone += 1
        self.events = len(known)
        return gone


class _Columns(NamedTuple):
    """What is read of single events, as lists: those are looked up faster than arrays."""

    places: dict[bytes, int]
    time: list[int]
    arrived: list[int]
    source: list[int]
    entity: list[int]
    value: dict[int, int]


def _columns(arrivals: Arrivals, start: int) -> _Columns:
    """Return the columns of a record whose events from place `start` on are of interest."""
    ids = arrivals.uid[start:].tobytes()
    each = [ids[at : at + 16] for at in range(0, len(ids), 16)]
    return _Columns(
        dict(zip(each, range(start, start + len(each)), strict=True)),
        arrivals.time.tolist(),
        arrivals.arrived.tolist(),
        arrivals.source.index.tolist(),
        arrivals.entity.index.tolist(),
        dict(zip(arrivals.event.tolist(), arrivals.value.index.tolist(), strict=True)),
    )


def _event(arrivals: Arrivals, columns: _Columns, place: int) -> Seen | None:
    """Return an event with the last value it contributed; None where it is not kept."""
    raw, texts = arrivals.raw_of(place), arrivals.value.values
    if not 0 < len(raw) <= LARGEST:
        return None
    return Seen(
        arrivals.uid[place].tobytes(),
        columns.time[place],
        columns.arrived[place],
        arrivals.source.values[columns.source[place]],
        arrivals.entity.values[columns.entity[place]],
        texts[columns.value.get(place, 0)] if texts else "",
        raw,
    )


class Evidence:
    """The last events that contributed to anything.

    Parameters
    ----------
    room
        Bytes kept. What goes for want of it is counted in `evictions`.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._chunks: deque[Chunk] = deque()
        self._size = 0
        self.evictions = 0

    def add(self, arrivals: Arrivals, start: int = 0) -> None:
        """Keep the events from place `start` on."""
        chunk = Chunk(arrivals, start)
        self._size += chunk.size
        if self._chunks and self._chunks[-1].events + chunk.events <= SMALL:
            self._chunks[-1].join(chunk)
        else:
            self._chunks.append(chunk)
        while self._size > self._room and len(self._chunks) > 1:
            oldest = self._chunks.popleft()
            self._size -= oldest.size
            self.evictions += oldest.events
        if self._size > self._room:
            (only,) = self._chunks
            self.evictions += only.trim(self._room)
            self._size = only.size

    def get(self, uid: bytes) -> Seen | None:
        """Return an event, if it is still there."""
        for chunk in reversed(self._chunks):
            found = chunk.get(uid)
            if found is not None:
                return found
        return None

    def state(self) -> list[Any]:
        """Return the events of each chunk, oldest first, for `load`."""
        return [list(map(tuple, chunk.known.values())) for chunk in self._chunks]

    def load(self, state: list[Any]) -> None:
        """Take up what `state` returned."""
        self._chunks.clear()
        for rows in state:
            self._chunks.append(_loaded(msgspec.convert(rows, list[Seen])))
        self._size = sum(chunk.size for chunk in self._chunks)


def _loaded(events: list[Seen]) -> Chunk:
    """Return a chunk of some events."""
    chunk = Chunk.__new__(Chunk)
    chunk.fill(events)
    return chunk
