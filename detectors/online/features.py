"""Events as points in the unit cube, for half-space trees: float32[n, 15], each in [0, 1].

===== =============== =====================================================================
place name            formula
===== =============== =====================================================================
0     hour_sin        (1 + sin(2π · hour / 24)) / 2, hour of the day in UTC with its fraction
1     hour_cos        (1 + cos(2π · hour / 24)) / 2
2     weekday         Monday 0 … Sunday 1, in sixths
3     weekend         1 on Saturday and Sunday, else 0
4     rate            log(1 + r) / log(1 + 10⁴), r = r · exp(-Δt / 300 s) + 1 per entity
5     gap             log(1 + Δt in s) / log(1 + 7 days); 1 for an entity's first event
6     class           OCSF class_uid / 7000 (its thousands are the category)
7     activity        OCSF activity_id / 10, 1 for 99 ("other")
8     failure         1 where the status is failure, else 0
9     failure_rate    f = f + (failure - f) / 20 per entity
10-14 operation …     64-bit hash of operation, service, src_ip, user_agent, region, / 2⁶⁴
===== =============== =====================================================================

Values outside are clipped. Δt is event time since the entity's latest event, 0 for one that
comes late. A missing string is 0. Hashes place values, they do not order them: half-space
trees only ask how often points fell near this one, and equal values fall together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import Table, find, hash_column, insert, kernel
from detectors.score import FAILURE
from schemas.batch import EventBatch

HASHED = ("operation", "service", "src_ip", "user_agent", "region")
NAMES = (
    "hour_sin",
    "hour_cos",
    "weekday",
    "weekend",
    "rate",
    "gap",
    "class",
    "activity",
    "failure",
    "failure_rate",
    *HASHED,
)
COUNT = len(NAMES)
_FIRST_HASH = COUNT - len(HASHED)

#: Entities of one tenant in one partition whose rates are kept: 40 B each in a snapshot.
ENTITIES = 2048

_DAY_MS = 86_400_000
_RATE_S = 300.0
_RATE_SCALE = math.log1p(1e4)
_GAP_SCALE = math.log1p(7 * 86_400.0)
_FAILURE_WEIGHT = 1 / 20
_CLASS_SCALE = 7000.0
_ACTIVITY_SCALE = 10.0


@kernel("void(int64, float32[::1])")
def _calendar(time: Any, out: Any) -> Any:
    """Fill places 0 to 3 from an event time; 1970-01-01 was a Thursday."""
    angle = 2 * math.pi * (time % _DAY_MS) / _DAY_MS
    weekday = (time // _DAY_MS + 3) % 7
    out[0] = (1 + math.sin(angle)) / 2
    out[1] = (1 + math.cos(angle)) / 2
    out[2] = weekday / 6
    out[3] = 1.0 if weekday >= 5 else 0.0


@kernel("void(int64, float64, int64, int64[::1], float64[:, ::1], boolean, float32[::1])")
def _behaviour(time: Any, failed: Any, row: Any, times: Any, rates: Any, new: Any, out: Any) -> Any:
    """Fill places 4, 5, 8 and 9 from what the entity at `row` did before, and remember this."""
    gap = _GAP_SCALE
    if new:
        times[row] = time
    else:
        seconds = max(time - times[row], 0) / 1000
        gap = math.log1p(seconds)
        rates[row, 0] *= math.exp(-seconds / _RATE_S)
        times[row] = max(time, times[row])
    rates[row, 0] += 1
    rates[row, 1] += (failed - rates[row, 1]) * _FAILURE_WEIGHT
    out[4] = min(math.log1p(rates[row, 0]) / _RATE_SCALE, 1.0)
    out[5] = min(gap / _GAP_SCALE, 1.0)
    out[8] = failed
    out[9] = rates[row, 1]


@kernel(
    "int64(int64, int64, int64[::1], int32[:, ::1], uint64[::1], uint64[::1], int32[::1], "
    "int64[::1], int64[::1], int64[::1], float64[:, ::1], float32[:, ::1])"
)
def _fill(
    start: Any,
    clock: Any,
    time: Any,
    ocsf: Any,
    entity: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    times: Any,
    rates: Any,
    out: Any,
) -> Any:
    """Fill rows from `start`; return where the entity table was full, else the number of rows."""
    for i in range(start, len(time)):
        row = find(keys, slots, entity[i])
        new = row < 0
        if new:
            if size[0] == len(keys):
                return i
            row = insert(keys, slots, size, entity[i])
        last[row] = clock + i
        _calendar(time[i], out[i])
        _behaviour(time[i], 1.0 if ocsf[i, 2] == FAILURE else 0.0, row, times, rates, new, out[i])
        out[i, 6] = min(max(ocsf[i, 0] / _CLASS_SCALE, 0.0), 1.0)
        out[i, 7] = min(max(ocsf[i, 1] / _ACTIVITY_SCALE, 0.0), 1.0)
    return len(time)


class Features:
    """Makes the points of one tenant's events, in order; holds the rates per entity.

    State: at most `entities` entities; when full, the less recently active half is
    dropped and counted in `evictions`.
    """

    def __init__(self, entities: int = ENTITIES) -> None:
        self._table = Table(entities, {"time": ("<i8", 0), "rates": ("<f8", 2)})
        self._clock = 0

    @property
    def evictions(self) -> int:
        """Entities dropped since the start."""
        return self._table.evictions

    def matrix(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32[len(rows), 15] for the events at `rows` and remember them."""
        out = np.empty((len(rows), COUNT), np.float32)
        for place, name in enumerate(HASHED, _FIRST_HASH):
            out[:, place] = hash_column(getattr(batch, name), rows) / 2.0**64
        entity = hash_column(batch.entity, rows)
        time = batch.time[rows].astype(np.int64, copy=False)
        ocsf = np.stack([batch.class_uid, batch.activity_id, batch.status_id], axis=1)
        ocsf = ocsf.take(rows, axis=0).astype(np.int32, copy=False)
        table, start = self._table, 0
        while start < len(rows):
            start = _fill(
                start,
                self._clock,
                time,
                ocsf,
                entity,
                table.keys,
                table.slots,
                table.size,
                table.last,
                table.columns["time"],
                table.columns["rates"],
                out,
            )
            if start < len(rows):
                table.age()
        self._clock += len(rows)
        return out

    def state(self) -> dict[str, Any]:
        """Return the state, for `load`."""
        return {"clock": self._clock, "table": self._table.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; raise `SchemaError` where it does not fit."""
        self._table.load(state["table"])
        self._clock = int(state["clock"])
