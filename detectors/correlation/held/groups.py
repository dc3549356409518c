"""The groups of one correlation: events in, the times at which its condition holds out.

**Windows.** The window of an event at time t is, sliding: [t - timespan, t]; tumbling: from the
start of its span to t; a session is taken as a whole. What grows (see `Correlation.growing`) is
judged at each event, at once; a late event is put in its place and the windows that it lies in
are judged again. Anything else is judged when the window is over and the watermark is past it by
the lateness allowed: a sliding one once for each event, the others once.

**Bounds.** Of a group, events are kept for the timespan and the lateness behind its newest, or
behind the slowest partition (`detectors.correlation.held.clocks`); earlier ones that still come
are late, and counted. Beyond `MOST` events the older half goes:
into a count (``event_count``), into sketches (``value_count``, see `sketch`: from then on the
count may be off by some 2 %, and the edge of the window by the span of one sketch), or away,
which `evictions` counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from detectors.correlation.held import sketch
from detectors.correlation.held.windows import (
    MEMBERS,
    SHIFT,
    Entries,
    first,
    holds,
    insert,
    least,
    measure,
    members_of,
    satisfied,
    width_of,
)
from detectors.correlation.plan import Node

#: Events kept of one group.
MOST: Final = 4096
#: Sketches or counts kept of one group; beyond them the oldest two become one.
SLICES: Final = 16
#: Before any event.
NOTHING: Final = -(1 << 48)

#: Tenant and source.
Whose = tuple[str, str]

#: Stamp, halves of the id, and the value where it matters.
Row = tuple[int, ...]


#: An event on its way into a group, the watermark it brings, and whose it is, if an event.
Coming = tuple[Row, int, Whose | None]


class Firing(NamedTuple):
    """The condition holds at `time` for the events at places `start` to `end` of the group.

    `window` is when that began; `value` what the condition compared.
    """

    time: int
    start: int
    end: int
    window: int
    value: float


class Slice(msgspec.Struct, array_like=True):
    """Older events, of which only their number is known, or about how many values they had."""

    newest: int
    count: int
    registers: bytes
    marked: int = 0


#: Nothing fired, nothing was late, and nothing is to be settled: most events of most groups.
QUIET: Final[tuple[list[Firing], list[Whose]]] = ([], [])


class Groups:
    """All groups of one correlation in one tree, by tenant and the values grouped by."""

    def __init__(self, node: Node, most: int = MOST) -> None:
        self.node = node
        self.correlation = node.correlation
        self.width = width_of(self.correlation)
        self.entries: dict[str, Entries] = {}
        self.slices: dict[str, list[Slice]] = {}
        #: What is to be judged once the watermark is there: times, or ends of windows.
        self.pending: dict[str, list[int]] = {}
        #: Newest time of the sessions judged.
        self.done: dict[str, int] = {}
        self.evictions = 0
        self._most = most
        self._room = most * self.width
        self._least = least(self.correlation)
        self._span = self.correlation.timespan_ms
        self._growing = self.correlation.growing
        self._session = self.correlation.window == "session"
        self._kept = self._span + node.slack_ms
        self._names = {name: place for place, name in enumerate(self.correlation.rules)}

    def take(
        self, key: str, coming: Sequence[Coming], clock: int
    ) -> tuple[list[Firing], list[Whose]]:
        """Add events to a group; `clock` is how far all events of the tenant have come.

        Returns
        -------
        list of Firing
            Where the condition holds now and may not have before; places are valid until
            `settle`, which is to be called next.
        list of (tenant, source)
            Whose events came too late, one each.
        """
        entries = self.entries.pop(key, None)
        if entries is None:
            entries = array("q")
        self.entries[key] = entries  # as the one touched last
        if not self._growing:
            return [], self._wait(key, entries, coming)
        if len(coming) == 1 and self._few(entries, coming[0][0]):
            return QUIET
        width = self.width
        newest, kept = entries[-width] >> SHIFT if entries else NOTHING, self._kept
        late: list[Whose] = []
        low, high = 1 << 60, NOTHING
        for row, _, whose in coming:
            time = row[0] >> SHIFT
            if time < clock - kept and time < newest - kept:
                if whose is None:
                    self.evictions += 1
                else:
                    late.append(whose)
            elif insert(entries, width, row):
                low, high = (low if low < time else time), (high if high > time else time)
                if time > newest:
                    newest = time
        if high == NOTHING or (len(entries) < self._least * width and key not in self.slices):
            return [], late
        return self._judge(key, entries, low, self._over(high)), late

    def _few(self, entries: Entries, row: Row) -> bool:
        """Append an event to a group that stays too small for its condition, if it is such."""
        size = len(entries)
        if size + self.width >= self._least * self.width:
            return False
        if size and (
            entries[size - self.width] | 3 >= row[0] or (row[0] - entries[0]) >> SHIFT > self._kept
        ):
            return False
        entries.extend(row)
        return True

    def _over(self, time: int) -> int:
        """Return the last time whose window may have an event of `time` in it."""
        if self.correlation.window == "tumbling":
            return (time // self._span + 1) * self._span - 1
        return time + self._span

    def _since(self, time: int) -> int:
        """Return where the window of an event at `time` begins."""
        if self.correlation.window == "tumbling":
            return time // self._span * self._span
        return time - self._span

    def _judge(self, key: str, entries: Entries, low: int, until: int) -> list[Firing]:
        """Judge the windows of all events from `low` to `until`."""
        width, size = self.width, len(entries) // self.width
        slices = self.slices.get(key, ())
        counting = self.correlation.kind == "event_count" and not slices
        place = first(entries, width, low << SHIFT)
        start = 0
        found: list[Firing] = []
        while place < size and (time := entries[place * width] >> SHIFT) <= until:
            place += 1
            while place < size and entries[place * width] >> SHIFT == time:
                place += 1
            since = self._since(time)
            if entries[start * width] >> SHIFT < since:
                start = first(entries, width, since << SHIFT)
            if counting:
                value: float | None = place - start
                if place - start < self._least or not holds(self.correlation, place - start):
                    continue
            else:
                value = self._value(entries, start, place, slices, since)
                if value is None:
                    continue
            found.append(Firing(time, start, place, since, float(value or 0)))
        return found

    def _value(
        self, entries: Entries, start: int, end: int, slices: Iterable[Slice], since: int
    ) -> float | None:
        """Return what the condition compares, or None where it does not hold."""
        correlation = self.correlation
        older = [each for each in slices if each.newest >= since] if slices else []
        if end - start + sum(each.count for each in older) < self._least:
            return None
        if correlation.expression:
            present = members_of(entries, self.width, start, end)
            met = satisfied(correlation.expression, lambda name: self._names[name] in present)
            return len(present) if met else None
        value = measure(correlation, entries, start, end)
        if older:
            value = _with(correlation.kind, value, older, entries[start * 4 + 3 : end * 4 : 4])
        return value if holds(correlation, value) else None

    def _wait(self, key: str, entries: Entries, coming: Iterable[Coming]) -> list[Whose]:
        """Add events to be judged later; return whose came too late."""
        window, pending = self.correlation.window, self.pending.setdefault(key, [])
        done = self.done.get(key, NOTHING)
        late: list[Whose] = []
        for row, watermark, whose in coming:
            time = row[0] >> SHIFT
            if time <= done or time < watermark - self.node.slack_ms:
                if whose is None:
                    self.evictions += 1
                else:
                    late.append(whose)
            elif insert(entries, self.width, row):
                due = time if window == "sliding" else self._over(time)
                if window == "session":
                    due = time
                if due not in pending:
                    pending.append(due)
        if not pending:
            del self.pending[key]
        return late

    def due(self, key: str, clock: int) -> list[Firing]:
        """Judge what is over in a group once the watermark is at `clock`."""
        waiting = self.pending.get(key)
        if not waiting:
            return []
        entries = self.entries.get(key)
        if entries is None:
            del self.pending[key]
            return []
        passed = clock - self.node.slack_ms
        if self.correlation.window == "session":
            return self._sessions(key, entries, passed)
        over = sorted(time for time in waiting if time < passed)
        found: list[Firing] = []
        for time in over:
            if self.correlation.window == "tumbling":
                since = time - self._span + 1
                end = first(entries, self.width, (time + 1) << SHIFT)
                start = first(entries, self.width, since << SHIFT)
                value = self._value(entries, start, end, (), since) if end > start else None
                if value is not None:
                    last = entries[(end - 1) * self.width] >> SHIFT
                    found.append(Firing(last, start, end, since, float(value)))
            else:
                found += self._judge(key, entries, time, time)
        self._left(key, [time for time in waiting if time >= passed])
        return found

    def _left(self, key: str, waiting: list[int]) -> None:
        if waiting:
            self.pending[key] = waiting
        else:
            self.pending.pop(key, None)

    def _sessions(self, key: str, entries: Entries, passed: int) -> list[Firing]:
        """Judge the sessions that are over."""
        width, size = self.width, len(entries) // self.width
        gap, done = self.correlation.gap_ms, self.done.get(key, NOTHING)
        start = first(entries, width, (done + 1) << SHIFT)
        found: list[Firing] = []
        while start < size:
            begun = last = entries[start * width] >> SHIFT
            end = start + 1
            while end < size:
                time = entries[end * width] >> SHIFT
                if time - last > gap or time - begun > self._span:
                    break
                last, end = time, end + 1
            if min(last + gap, begun + self._span) >= passed:
                break
            value = self._value(entries, start, end, (), begun)
            if value is not None:
                found.append(Firing(last, start, end, begun, float(value)))
            self.done[key] = last
            start = end
        self._left(key, [entries[start * width] >> SHIFT] if start < size else [])
        return found

    def settle(self, key: str, clock: int) -> None:
        """Drop the events of a group that no window can have any more, and bound the others."""
        entries, width = self.entries[key], self.width
        if not entries:
            del self.entries[key]
            return
        horizon = min(entries[-width] >> SHIFT, clock) - self._kept
        if self._growing and entries[0] >> SHIFT >= horizon and len(entries) <= self._room:
            return
        if self._session:
            horizon = self.done.get(key, NOTHING) + 1
        elif key in self.pending:
            horizon = min(horizon, min(self.pending[key]) - self._span)
        if entries[0] >> SHIFT < horizon:
            del entries[: first(entries, width, horizon << SHIFT) * width]
            if key in self.slices:
                kept = [each for each in self.slices[key] if each.newest >= horizon]
                self.slices[key] = kept
                if not kept:
                    del self.slices[key]
        if len(entries) > self._most * width:
            self._shrink(key, entries)
        if not entries:
            self.drop(key)

    def drop(self, key: str) -> None:
        """Forget a group."""
        self.entries.pop(key, None)
        self.slices.pop(key, None)
        self.pending.pop(key, None)
        if self.correlation.window != "session":
            self.done.pop(key, None)

    def newest(self, key: str) -> int:
        """Return the time of the newest event of a group."""
        entries = self.entries[key]
        return int(entries[-self.width] >> SHIFT)

    @property
    def kept_ms(self) -> int:
        """How long events are kept behind the newest, in ms."""
        return self._kept

    def _shrink(self, key: str, entries: Entries) -> None:
        """Let the older half of a group go; keep of it what its correlation can do with."""
        width, kind = self.width, self.correlation.kind
        half = (len(entries) // width - self._most // 2) * width
        gone = entries[:half]
        del entries[:half]
        if kind not in ("event_count", "value_count") or not self.correlation.growing:
            kept = array("q")
            if kind == "temporal":  # of each rule, the last match is what can still count
                last = {(gone[at] >> 2) & MEMBERS: at for at in range(0, half, width)}
                for at in sorted(last.values()):
                    kept.extend(gone[at : at + width])
                entries[:0] = kept
            self.evictions += (half - len(kept)) // width
            return
        newest = gone[half - width] >> SHIFT
        registers = b""
        if kind == "value_count":
            registers = sketch.registers(np.array(gone[3::4], np.int64)).tobytes()
        slices = self.slices.setdefault(key, [])
        slices.append(Slice(newest, half // width, registers))
        if len(slices) > SLICES:
            older, newer = slices[0], slices[1]
            slices[:2] = [_merged(older, newer)]


def _merged(older: Slice, newer: Slice) -> Slice:
    registers = b""
    if older.registers:
        parts = [np.frombuffer(each.registers, np.uint8) for each in (older, newer)]
        registers = sketch.union(parts).tobytes()
    count = older.count + newer.count
    return Slice(newer.newest, count, registers, older.marked | newer.marked)


def _with(kind: str, value: float, older: list[Slice], values: Any) -> float:
    """Return a count with that of older events added."""
    if kind == "event_count":
        return value + sum(each.count for each in older)
    parts = [np.frombuffer(each.registers, np.uint8) for each in older]
    parts.append(sketch.registers(np.array(values, np.int64)))
    return max(value, sketch.estimate(sketch.union(parts)))
