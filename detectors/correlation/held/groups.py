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
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.correlation.held.coming import NOTHING, Firing, Runs, Slice, Whose, tenant_of
from detectors.correlation.held.kernels import (
    BITS,
    COUNT,
    LATE,
    NEW,
    ORDER,
    RULES,
    VALUES,
    WHICH,
    admit,
    judge,
)
from detectors.correlation.held.older import halve, with_older
from detectors.correlation.held.windows import (
    SHIFT,
    Entries,
    first,
    holds,
    least,
    measure,
    members_of,
    satisfied,
    width_of,
)
from detectors.correlation.plan import Node
from detectors.correlation.rules import Correlation

#: Events kept of one group.
MOST: Final = 4096
#: Sets of rules of which is remembered whether a condition over rules holds for them.
MET: Final = 4096


class Groups:
    """All groups of one correlation in one tree, by tenant and the values grouped by."""

    def __init__(self, node: Node, most: int = MOST) -> None:
        self.node = node
        self.correlation = node.correlation
        self.width = width_of(self.correlation)
        self.entries: dict[str, Entries] = {}
        self.slices: dict[str, list[Slice]] = {}
        #: What is to be judged once the watermark is there: times, or ends of windows.
        self.pending: dict[str, set[int]] = {}
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
        self._tumbling = int(self.correlation.window == "tumbling")
        self._kind = _kind_of(self.correlation)
        self._known: dict[int, bool] = {}
        self._found = np.empty((64, 5), np.int64)
        self._names = {name: place for place, name in enumerate(self.correlation.rules)}

    def take(
        self, runs: Runs, clocks: Mapping[str, int], late: dict[Whose, int]
    ) -> Iterator[tuple[str, list[Firing]]]:
        """Add events to their groups; yield where the condition holds now and may not have before.

        Places of a firing are valid until the next one is asked for.

        Parameters
        ----------
        clocks
            How far all events of each tenant have come.
        late
            Out: how many events came too late, by whose they are.
        """
        if not self._growing:
            for key, begin, end in zip(runs.keys, runs.begins, runs.ends, strict=True):
                self._wait(key, runs, begin, end, late)
                self.settle(key, clocks.get(tenant_of(key), NOTHING) if clocks else NOTHING)
            return
        width, held, slices, clock = self.width, self.entries, self.slices, NOTHING
        few, step, content = min(self._least, self._most) * width, 8 * width, runs.content
        for key, begin, end, low, high, rising in zip(*runs[:6], strict=True):
            if clocks:
                clock = clocks.get(tenant_of(key), NOTHING)
            entries = held.pop(key, None)
            if rising and (entries is None or entries[-width] | 3 < low):
                if entries is None:
                    entries = held[key] = array("q", content[begin * step : end * step])
                else:
                    held[key] = entries  # as the one touched last
                    entries.frombytes(content[begin * step : end * step])
                if (
                    len(entries) < few
                    and (clock == NOTHING or entries[0] >= self._horizon(high, clock))
                    and not (slices and key in slices)
                ):
                    continue  # most events of most groups
                times: tuple[int, int] | None = (low >> SHIFT, high >> SHIFT)
            else:
                held[key] = array("q") if entries is None else entries
                became = self._merge(key, runs, begin, end, clock - self._kept, late)
                entries, times = held[key], _span(runs.rows[begin:end, 0][became == NEW])
            if times and (len(entries) >= few or key in slices):
                firings = self._judge(key, entries, times[0], self._over(times[1]))
                if firings:
                    yield key, firings
            self.settle(key, clock)

    def _horizon(self, newest: int, clock: int) -> int:
        """Return the stamp before which no window has events, given the newest stamp."""
        return (min(newest >> SHIFT, clock) - self._kept) << SHIFT

    def _merge(
        self, key: str, runs: Runs, begin: int, end: int, floor: int, late: dict[Whose, int]
    ) -> NDArray[np.uint8]:
        """Put events in their places in a group; return what became of each."""
        entries, rows = self.entries[key], runs.rows[begin:end].reshape(-1)
        became = np.empty(end - begin, np.uint8)
        merged = np.empty(len(entries) + len(rows), np.int64)
        held = np.frombuffer(entries, np.int64) if entries else merged[:0]
        used = admit(held, rows, self.width, floor, self._kept, merged, became)
        self.entries[key] = array("q", merged[:used].tobytes())
        for place in np.flatnonzero(became == LATE).tolist():
            self._late(runs, begin + place, late)
        return became

    def _late(self, runs: Runs, place: int, late: dict[Whose, int]) -> None:
        whose = runs.whose[int(runs.code[place])]
        if whose is None:
            self.evictions += 1
        else:
            late[whose] = late.get(whose, 0) + 1

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
        slices, kind = self.slices.get(key), self._kind
        size = len(entries) // self.width
        if size > len(self._found):
            self._found = np.empty((2 * size, 5), np.int64)
        enough = 1 if slices or self.correlation.expression else self._least
        ask = (low, until, self._span, self._tumbling, kind, enough, len(self._names))
        view = np.frombuffer(entries, np.int64)
        used = judge(view, self.width, np.array(ask, np.int64), self._found)
        rows = self._found[:used].tolist()
        found = [Firing(row[0], row[1], row[2], row[3], float(row[4])) for row in rows]
        if kind == WHICH:
            return self._those(found, self._found[:used, 4].tolist())
        if self.correlation.expression:
            values = [self._value(entries, *each[1:3]) for each in found]
        elif slices:
            values = [with_older(each, slices, view, self._least) for each in found]
        else:
            return found
        return [
            each._replace(value=float(value))
            for each, value in zip(found, values, strict=True)
            if value is not None
        ]

    def _those(self, found: list[Firing], matched: list[int]) -> list[Firing]:
        """Return the windows in which the condition over rules holds, given the rules as bits."""
        return [
            each._replace(value=float(bits.bit_count()))
            for each, bits in zip(found, matched, strict=True)
            if self._met(bits)
        ]

    def _met(self, matched: int) -> bool:
        """Say whether the condition over rules holds where those of some bits matched."""
        met = self._known.get(matched)
        if met is None:
            if len(self._known) >= MET:
                self._known.clear()
            met = self._known[matched] = satisfied(
                self.correlation.expression, lambda name: bool(matched >> self._names[name] & 1)
            )
        return met

    def _value(self, entries: Entries, start: int, end: int) -> float | None:
        """Return what the condition compares, or None where it does not hold."""
        correlation = self.correlation
        if correlation.expression:
            present = members_of(entries, self.width, start, end)
            met = satisfied(correlation.expression, lambda name: self._names[name] in present)
            return len(present) if met else None
        value = measure(correlation, entries, start, end)
        return value if holds(correlation, value) else None

    def _wait(self, key: str, runs: Runs, begin: int, end: int, late: dict[Whose, int]) -> None:
        """Add events to be judged later."""
        window, slack = self.correlation.window, self.node.slack_ms
        entries = self.entries.pop(key, None)
        self.entries[key] = array("q") if entries is None else entries  # the one touched last
        done = self.done.get(key, NOTHING)
        times = runs.rows[begin:end, 0] >> SHIFT
        fit = (times > done) & (times >= runs.marks[begin:end] - slack)
        for place in np.flatnonzero(~fit).tolist():
            self._late(runs, begin + place, late)
        if not fit.any():
            return
        rows = runs if fit.all() else runs._replace(rows=runs.rows[begin:end][fit])  # none is late
        if rows is not runs:
            begin, end, times = 0, len(rows.rows), times[fit]
        became = self._merge(key, rows, begin, end, NOTHING, late)
        new = times[became == NEW].tolist()
        if new:
            due = map(self._over, new) if window == "tumbling" else new
            self.pending.setdefault(key, set()).update(due)

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
                value = self._value(entries, start, end) if end > start else None
                if value is not None:
                    last = entries[(end - 1) * self.width] >> SHIFT
                    found.append(Firing(last, start, end, since, float(value)))
            else:
                found += self._at(entries, time)
        waiting.difference_update(over)
        self._left(key, waiting)
        return found

    def _at(self, entries: Entries, time: int) -> list[Firing]:
        """Judge the sliding window of the events at one time."""
        end = first(entries, self.width, (time + 1) << SHIFT)
        if not end or entries[(end - 1) * self.width] >> SHIFT != time:
            return []
        start = first(entries, self.width, (time - self._span) << SHIFT)
        value = self._value(entries, start, end)
        return [] if value is None else [Firing(time, start, end, time - self._span, float(value))]

    def _left(self, key: str, waiting: set[int]) -> None:
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
            value = self._value(entries, start, end)
            if value is not None:
                found.append(Firing(last, start, end, begun, float(value)))
            self.done[key] = last
            start = end
        self._left(key, {entries[start * width] >> SHIFT} if start < size else set())
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
        slices = self.slices.setdefault(key, [])
        self.evictions += halve(self.correlation, entries, self.width, self._most, slices)
        if not slices:
            del self.slices[key]


def _span(stamps: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first and the last time of some events, or None where there are none."""
    if not len(stamps):
        return None
    return int(stamps.min()) >> SHIFT, int(stamps.max()) >> SHIFT


def _kind_of(correlation: Correlation) -> int:
    """Return what windows of a correlation are judged by."""
    if correlation.expression:
        return WHICH if len(correlation.rules) <= BITS else COUNT
    kinds = {"event_count": COUNT, "value_count": VALUES, "temporal": RULES}
    return kinds.get(correlation.kind, ORDER)
