"""Good-Turing over groups: how probable was it that this group shows something new.

The estimate (Good 1953, "The population frequencies of species") of the probability that the
next value is a new one is ``n1 / N``: values seen exactly once over events seen. With add-one
smoothing, per group and column::

    p = (n1 + 1) / (N + 1)      the anomaly of a new value is its decades, log10(1 / p)

A value that is not new has none. A group needs `MIN_EVENTS` before anything is said of it, and
one column counts `FIELD_DECADES` at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import GOLDEN, Table, find, insert, kernel, mix
from detectors.score import DECADES

#: Events with a value in the column that a group needs before a new value says anything.
MIN_EVENTS = 30
#: Most decades that one column counts.
FIELD_DECADES = 3.0
#: Groups and values of one tenant in one partition.
GROUPS = 2048
VALUES = 32_768


@kernel("float64(float64[::1])")
def combined(decades: Any) -> Any:
    """Add the decades of the columns, largest first, with weights 1, 1/2, 1/4 and so on."""
    total, weight = 0.0, 1.0
    rest = decades.copy()
    for _ in range(len(rest)):
        best = np.argmax(rest)
        if rest[best] <= 0:
            break
        total += weight * rest[best]
        weight /= 2
        rest[best] = 0
    return min(total / DECADES, 1.0)


@kernel("int64(uint64, int64, uint64[::1], int32[::1], int64[::1], int64[::1])")
def _group(group: Any, now: Any, keys: Any, slots: Any, size: Any, last: Any) -> Any:
    """Return the row of a group, made if it is new; -1 where the table is full."""
    row = find(keys, slots, group)
    if row < 0:
        if size[0] == len(keys):
            return row
        row = insert(keys, slots, size, group)
    last[row] = now
    return row


@kernel(
    "boolean(uint64, int64, int32, uint64[::1], int32[::1], int64[::1], int64[::1], "
    "int32[::1], int32[:, ::1])"
)
def _value(
    key: Any,
    now: Any,
    place: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    places: Any,
    singles: Any,
) -> Any:
    """Note one value of a field; keep `singles`, its values seen once. Return if it is new.

    `last` is odd for a value seen once: one cache line instead of two.
    """
    row, width = find(keys, slots, key), singles.shape[1]
    new = row < 0
    if new:
        row = insert(keys, slots, size, key)
        places[row] = place
        singles[place // width, place % width] += 1
    elif last[row] & 1:
        singles[place // width, place % width] -= 1
    last[row] = 2 * now + new
    return new


@kernel(
    "int64(int64, int64, uint64[::1], uint64[:, ::1], int64[::1], "
    "uint64[::1], int32[::1], int64[::1], int64[::1], int64[::1], int32[:, ::1], int32[:, ::1], "
    "uint64[::1], int32[::1], int64[::1], int64[::1], int32[::1], "
    "float64[:, ::1], int32[:, ::1], int64[::1], boolean[:, ::1])"
)
def _learn(
    start: Any,
    clock: Any,
    group: Any,
    values: Any,
    time: Any,
    e_keys: Any,
    e_slots: Any,
    e_size: Any,
    e_last: Any,
    e_since: Any,
    e_events: Any,
    e_singles: Any,
    v_keys: Any,
    v_slots: Any,
    v_size: Any,
    v_last: Any,
    v_places: Any,
    decades: Any,
    events: Any,
    since: Any,
    fresh: Any,
) -> Any:
    """Judge and note rows from `start`; return the row at which a table was full."""
    width = values.shape[1]
    for i in range(start, len(group)):
        if v_size[0] + width > len(v_keys):
            return i
        row = _group(group[i], clock + i, e_keys, e_slots, e_size, e_last)
        if row < 0:
            return i
        if e_since[row] == 0:
            e_since[row] = time[i]
        since[i] = e_since[row]
        for f in range(width):
            seen, singles = e_events[row, f], e_singles[row, f]
            events[i, f] = seen
            if values[i, f] == 0:
                continue
            key = mix(mix(group[i] + np.uint64(f) * GOLDEN) ^ values[i, f])
            place = np.int32(row * width + f)
            new = _value(
                key,
                clock + i,
                place,
                v_keys,
                v_slots,
                v_size,
                v_last,
                v_places,
                e_singles,
            )
            e_events[row, f] = seen + 1
            fresh[i, f] = new
            if new and seen >= MIN_EVENTS:
                decades[i, f] = min(np.log10((seen + 1) / (singles + 1)), FIELD_DECADES)
    return len(group)


class Rare(NamedTuple):
    """What `Rarity.learn` says of each row.

    Attributes
    ----------
    decades
        float64[n, width]: decades of a new value, 0 for one that is not.
    fresh
        bool[n, width]: whether the group had never shown the value.
    events
        int32[n, width]: events with a value that the group had before.
    since
        int64[n]: time of the group's first event, ms since the epoch.
    """

    decades: NDArray[np.float64]
    fresh: NDArray[np.bool_]
    events: NDArray[np.int32]
    since: NDArray[np.int64]


class Rarity:
    """The values that groups have shown, in `width` columns.

    State: 28 B + 8 B for each column of a group, 20 B a value; a full table drops its less
    recently used half.
    """

    def __init__(self, width: int, groups: int = GROUPS, values: int = VALUES) -> None:
        self._width = width
        columns = {"since": ("<i8", 0), "events": ("<i4", width), "singles": ("<i4", width)}
        self._groups = Table(groups, columns)
        self._values = Table(values, {"places": ("<i4", 0)})
        self._clock = 0

    @property
    def evictions(self) -> int:
        """Groups and values dropped since the start."""
        return self._groups.evictions + self._values.evictions

    def learn(
        self, group: NDArray[np.uint64], values: NDArray[np.uint64], time: NDArray[np.int64]
    ) -> Rare:
        """Judge and note the values of each row in order; 0 is no value.

        Parameters
        ----------
        group, values
            uint64[n] and uint64[n, width]: hashes.
        time
            int64[n], ms since the epoch.
        """
        count = len(group)
        found = Rare(
            np.zeros((count, self._width)),
            np.zeros((count, self._width), np.bool_),
            np.zeros((count, self._width), np.int32),
            np.zeros(count, np.int64),
        )
        values = np.ascontiguousarray(values)
        start = self._learn(0, group, values, time, found)
        while start < count:
            self._age()
            start = self._learn(start, group, values, time, found)
        self._clock += count
        return found

    def _learn(
        self,
        start: int,
        group: NDArray[np.uint64],
        values: NDArray[np.uint64],
        time: NDArray[np.int64],
        found: Rare,
    ) -> int:
        """Run the kernel from row `start`; return where a table was full, else the end."""
        g, v = self._groups, self._values
        stopped: int = _learn(
            start,
            self._clock,
            group,
            values,
            time,
            g.keys,
            g.slots,
            g.size,
            g.last,
            g.columns["since"],
            g.columns["events"],
            g.columns["singles"],
            v.keys,
            v.slots,
            v.size,
            v.last,
            v.columns["places"],
            found.decades,
            found.events,
            found.since,
            found.fresh,
        )
        return stopped

    def _age(self) -> None:
        """Make room in the table that is full, keeping counts per group exact."""
        places, last = self._values.columns["places"], self._values.last
        if len(self._values) + self._width > self._values.capacity:
            before = places[last % 2 == 1]
            self._values.age()
            singles = self._groups.columns["singles"].reshape(-1)
            np.subtract.at(singles, before, 1)
            np.add.at(singles, places[last % 2 == 1], 1)
            return
        moved = np.full(self._groups.capacity, -1, np.int64)
        kept = self._groups.age()
        moved[kept] = np.arange(len(kept))
        group, field = np.divmod(places[: len(self._values)], self._width)
        alive = np.flatnonzero(moved[group] >= 0)
        renamed = (moved[group] * self._width + field)[alive]
        self._values.keep(alive)
        places[: len(alive)] = renamed

    def state(self) -> dict[str, Any]:
        """Return the state, for `load`."""
        return {
            "entities": self._groups.state(),
            "values": self._values.state(),
            "clock": self._clock,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; raise `SchemaError` where it does not fit."""
        self._groups.load(state["entities"])
        self._values.load(state["values"])
        self._clock = int(state["clock"])


@kernel("void(float64[:, ::1], float64[::1])")
def _scores(decades: Any, out: Any) -> Any:
    """Fill the anomaly of each row from the decades of its columns."""
    for i in range(len(decades)):
        for f in range(decades.shape[1]):
            if decades[i, f] > 0:
                out[i] = combined(decades[i])
                break


def scores(decades: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64[n], the anomaly (0 to 1) of each row of decades ``[n, width]``."""
    out = np.zeros(len(decades))
    _scores(decades, out)
    return out
