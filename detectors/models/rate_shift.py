"""An entity does far more in this hour than it does at such an hour.

Counts per entity and hour, compared with those of the same hour of the day, weekdays and
weekend days apart (48 slots), so that the daily and the weekly rhythm are no news. Counts are
square-rooted first, ``y = 2 √(count + 3/8)`` (Anscombe 1948: the variance of a Poisson count
becomes 1 whatever its mean). Per slot the mean of `y` is kept, weighing a new hour with
`WEIGHT`; per entity the variance of ``y - mean`` over all slots, at least 1::

    z = (y - mean of the slot) / √variance        p = P(T > z), T of Student's t with 4 degrees

Four degrees of freedom because counts of people have heavy tails; the decades of `p` over 5 are
the score. A slot says nothing before `MIN_HOURS` of it have been seen; until then the entity's
busiest slot so far stands for it, once a day's worth of hours has been seen. The score is given
to the event with which the count becomes `STEP` times the count scored before, so that a
burst is a few scores, not thousands. Hours without events count as 0.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.hashing import Table, find, hash_column, insert, kernel
from detectors.score import DECADES
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

#: Entities of one tenant in one partition: 460 B each in a snapshot.
ENTITIES = 1024
SLOTS = 48
WEIGHT = 0.2
MIN_HOURS = 3
#: Hours an entity must have been known before anything is said.
FIRST_HOURS = 24
#: Lowest count that is scored: nobody wants to hear of five events instead of one.
FLOOR = 20
STEP = 1.25
COLD_HOURS = 14 * 24
_HOUR_MS = 3_600_000
#: Hours without events that are still learnt as such; after a longer pause the past stands.
_PAUSE = 14 * 24
_HOUR, _COUNT, _SCORED, _HOURS, _FIRST = 0, 1, 2, 3, 4


@kernel("float64(float64)")
def tail_of_t4(z: Any) -> Any:
    """Return P(T > z) of Student's t with 4 degrees of freedom, for z of at least 0."""
    if z > 30.0:
        return 3.0 / z**4  # the limit; the closed form loses all its digits there
    square = z * z / 4.0
    inner = 1.0 - square / (3.0 * (1.0 + square))
    return 0.5 - 0.375 * z / math.sqrt(1.0 + square) * inner


@kernel("float64(int64)")
def _levelled(count: Any) -> Any:
    return 2.0 * math.sqrt(count + 0.375)


@kernel("int64(int64)")
def _slot(hour: Any) -> Any:
    """Return the slot of an hour since the epoch; 1970-01-01 was a Thursday."""
    return hour % 24 + (24 if (hour // 24 + 3) % 7 >= 5 else 0)


@kernel("void(int64, int64, int64[::1], float32[::1], int32[::1], float64[::1])")
def _close(hour: Any, count: Any, clock: Any, means: Any, seen: Any, variance: Any) -> Any:
    """Learn what an hour came to."""
    slot, level = _slot(hour), _levelled(count)
    if seen[slot] == 0:
        means[slot] = level
    else:
        off = level - means[slot]
        variance[0] += 0.05 * (off * off - variance[0])
        means[slot] += np.float32(WEIGHT * off)
    seen[slot] += 1
    clock[_HOURS] += 1


@kernel("float64(int64, int64[::1], float32[::1], int32[::1], float64[::1], float64[::1])")
def _decades(count: Any, clock: Any, means: Any, seen: Any, variance: Any, expected: Any) -> Any:
    """Return the decades of a count so far in the present hour; fill the count expected."""
    slot = _slot(clock[_HOUR])
    if clock[_HOURS] < FIRST_HOURS:
        return 0.0
    mean = np.float64(means[slot])
    if seen[slot] < MIN_HOURS:
        for i in range(SLOTS):
            mean = max(mean, np.float64(means[i]))
    expected[0] = max(mean * mean / 4.0 - 0.375, 0.0)
    z = (_levelled(count) - mean) / math.sqrt(max(variance[0], 1.0))
    return -math.log10(tail_of_t4(z)) if z > 0.0 else 0.0


@kernel(
    "int64(int64, int64, uint64[::1], int64[::1], uint64[::1], int32[::1], int64[::1], "
    "int64[::1], int64[:, ::1], float32[:, ::1], int32[:, ::1], float64[:, ::1], "
    "float64[::1], float64[:, ::1])"
)
def _score_learn(
    start: Any,
    clock: Any,
    entity: Any,
    time: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    clocks: Any,
    means: Any,
    seen: Any,
    variance: Any,
    scores: Any,
    said: Any,
) -> Any:
    """Score and learn rows from `start`; return where the table was full, else the end.

    `said` is filled with count, count expected, hours known and the first hour.
    """
    expected = np.zeros(1)
    for i in range(start, len(entity)):
        hour = time[i] // _HOUR_MS
        row = find(keys, slots, entity[i])
        if row < 0:
            if size[0] == len(keys):
                return i
            row = insert(keys, slots, size, entity[i])
            clocks[row, _HOUR] = clocks[row, _FIRST] = hour
            variance[row, 0] = 1.0
        last[row] = clock + i
        mine = clocks[row]
        if hour < mine[_HOUR]:
            continue  # late: its hour is closed
        if hour > mine[_HOUR]:
            _close(mine[_HOUR], mine[_COUNT], mine, means[row], seen[row], variance[row])
            if hour - mine[_HOUR] <= _PAUSE:
                for quiet in range(mine[_HOUR] + 1, hour):
                    _close(quiet, 0, mine, means[row], seen[row], variance[row])
            mine[_HOUR], mine[_COUNT], mine[_SCORED] = hour, 0, 0
        mine[_COUNT] += 1
        if mine[_COUNT] < FLOOR or mine[_COUNT] < STEP * mine[_SCORED]:
            continue
        mine[_SCORED] = mine[_COUNT]
        decades = _decades(mine[_COUNT], mine, means[row], seen[row], variance[row], expected)
        scores[i] = min(decades / DECADES, 1.0)
        said[i, 0], said[i, 1] = mine[_COUNT], expected[0]
        said[i, 2], said[i, 3] = mine[_HOURS], mine[_FIRST]
    return len(entity)


class RateShift(Model):
    """Hourly counts of an entity against its own rhythm of day and week.

    State: at most 480 kB in a snapshot; a full table drops its less recently used half.
    """

    id: ClassVar[str] = "model.rate_shift"
    title: ClassVar[str] = "Far more events than usual at this hour"
    techniques: ClassVar[tuple[str, ...]] = ("T1078", "T1110")
    version: ClassVar[int] = 1

    def __init__(self, entities: int = ENTITIES) -> None:
        columns = {
            "clocks": ("<i8", 5),
            "means": ("<f4", SLOTS),
            "seen": ("<i4", SLOTS),
            "variance": ("<f8", 1),
        }
        self._table = Table(entities, columns)
        self._clock = 0
        self._rows = np.empty(0, np.int64)
        self._said = np.empty((0, 4))

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities dropped since the start."""
        return self._table.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        entity = hash_column(batch.entity, rows)
        time = batch.time[rows].astype(np.int64, copy=False)
        scores, self._said, self._rows = np.zeros(len(rows)), np.zeros((len(rows), 4)), rows
        table, start = self._table, 0
        while start < len(rows):
            start = _score_learn(
                start,
                self._clock,
                entity,
                time,
                table.keys,
                table.slots,
                table.size,
                table.last,
                table.columns["clocks"],
                table.columns["means"],
                table.columns["seen"],
                table.columns["variance"],
                scores,
                self._said,
            )
            if start < len(rows):
                table.age()
        self._clock += len(rows)
        return scores

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say how many events there were and how many are usual at such an hour."""
        count, expected, hours, first = self._said[int(np.searchsorted(self._rows, row))].tolist()
        hour = int(batch.time[row]) // _HOUR_MS
        days = "weekend days" if (hour // 24 + 3) % 7 >= 5 else "weekdays"
        return {
            "contributions": [{"field": "events this hour", "value": int(count), "weight": 1.0}],
            "baseline": {
                "compared_with": f"{hour % 24:02d}:00 UTC on {days} over {int(hours):,} hours",
                "expected": round(expected, 1),
                "since": int(first) * _HOUR_MS,
            },
            "cold_start": hours < COLD_HOURS,
            "quiet": f"About {round(expected):,} events in this hour, as is usual.",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return pack(self.id, self.version, {"table": self._table.state(), "clock": self._clock})

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._table.load(values["table"])
        self._clock = int(values["clock"])
