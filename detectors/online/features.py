"""Events as points in the unit cube, for trees: float32[n, 19], each in [0, 1].

===== =============== =====================================================================
place name            formula
===== =============== =====================================================================
temporal
0     hour_sin        (1 + sin(2π · hour / 24)) / 2, hour of the day in UTC with its fraction
1     hour_cos        (1 + cos(2π · hour / 24)) / 2
2     weekday         Monday 0 … Sunday 1, in sixths
3     weekend         1 on Saturday and Sunday, else 0
behavioural
4     rate            log(1 + r) / log(1 + 10⁴), r = r · exp(-Δt / 300 s) + 1 per entity
5     gap             log(1 + Δt in s) / log(1 + 7 days); 1 for an entity's first event
6     logins          log(1 + l) / log(1 + 10³), l = l · exp(-Δt / 300 s) + 1 at each event of
                      class Authentication (3002), per entity
7     variety         v = v + (changed - v) / 20 per entity, changed 1 where the operation is
                      not that of the entity's event before, else 0: browsing is near 1,
                      a loop near 0
geographic
8     country         commonness of the country of src_ip, 1 where none is known
9     moved           1 where the country (where it is not known: src_ip) is not that of the
                      entity's event before, else 0
event
10    class           OCSF class_uid / 7000 (its thousands are the category)
11    activity        OCSF activity_id / 10, 1 for 99 ("other")
12    failure         1 where the status is failure, else 0
13    failure_rate    f = f + (failure - f) / 20 per entity; the success rate is 1 - f
14-18 operation …     commonness of operation, service, src_ip, user_agent, region
===== =============== =====================================================================

Values outside are clipped. Δt is event time since the entity's latest event, 0 for one that
comes late. The commonness of a value is log(1 + n) / log(1 + N): events of the tenant that had
it, of all events, before this one; 0 for a value never seen, near 1 for one that most have. A
missing string is a value too. Counts are a count-min sketch (Cormode and Muthukrishnan 2005) of
2 · 2,048 counters a column, halved when an event was the 131,072nd: it may take a rare value
for a more common one, never the other way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import (
    Table,
    find,
    hash_column,
    hash_texts,
    insert,
    kernel,
    load_arrays,
)
from detectors.online.places import Locate, countries, nowhere
from detectors.score import COLD_HISTORY, DECADES, FAILURE
from schemas.batch import EventBatch

HASHED = ("operation", "service", "src_ip", "user_agent", "region")
NAMES = (
    "hour_sin",
    "hour_cos",
    "weekday",
    "weekend",
    "rate",
    "gap",
    "logins",
    "variety",
    "country",
    "moved",
    "class",
    "activity",
    "failure",
    "failure_rate",
    *HASHED,
)
COUNT = len(NAMES)
_FIRST_HASH = COUNT - len(HASHED)
#: Counters of one row of a sketch, columns it counts, and events after which all are halved.
_WIDTH, _COLUMNS, _HISTORY = 2048, len(HASHED) + 1, 131_072

#: Entities of one tenant in one partition whose rates are kept: 72 B each in a snapshot.
ENTITIES = 2048

_DAY_MS = 86_400_000
_RATE_S = 300.0
_RATE_SCALE = math.log1p(1e4)
_GAP_SCALE = math.log1p(7 * 86_400.0)
_LOGIN_SCALE = math.log1p(1e3)
_WEIGHT = 1 / 20
#: OCSF class "Authentication".
AUTHENTICATION = 3002
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


@kernel(
    "void(int64, int32[::1], uint64, uint64, int64, int64[::1], float64[:, ::1], "
    "uint64[:, ::1], boolean, float32[::1])"
)
def _behaviour(
    time: Any,
    ocsf: Any,
    operation: Any,
    place: Any,
    row: Any,
    times: Any,
    rates: Any,
    before: Any,
    new: Any,
    out: Any,
) -> Any:
    """Fill places 4 to 9, 12 and 13 from what the entity at `row` did before; remember this."""
    gap = _GAP_SCALE
    if new:
        times[row] = time
    else:
        seconds = max(time - times[row], 0) / 1000
        gap = math.log1p(seconds)
        fading = math.exp(-seconds / _RATE_S)
        rates[row, 0] *= fading
        rates[row, 2] *= fading
        times[row] = max(time, times[row])
        changed = 1.0 if before[row, 0] != operation else 0.0
        rates[row, 3] += (changed - rates[row, 3]) * _WEIGHT
        out[9] = 1.0 if before[row, 1] != place else 0.0
    before[row, 0], before[row, 1] = operation, place
    failed = 1.0 if ocsf[2] == FAILURE else 0.0
    rates[row, 0] += 1
    rates[row, 1] += (failed - rates[row, 1]) * _WEIGHT
    rates[row, 2] += 1.0 if ocsf[0] == AUTHENTICATION else 0.0
    out[4] = min(math.log1p(rates[row, 0]) / _RATE_SCALE, 1.0)
    out[5] = min(gap / _GAP_SCALE, 1.0)
    out[6] = min(math.log1p(rates[row, 2]) / _LOGIN_SCALE, 1.0)
    out[7] = rates[row, 3]
    out[12] = failed
    out[13] = rates[row, 1]


@kernel("void(uint64[::1], int32[:, :, ::1], int64[::1], float32[::1])")
def _commonness(values: Any, counts: Any, total: Any, out: Any) -> Any:
    """Fill places 8 and 14 to 18 from how often each value came before, and count it."""
    scale = 1.0 / max(math.log1p(total[0]), 1.0)
    for column in range(_COLUMNS):
        one = values[column] & np.uint64(_WIDTH - 1)
        other = (values[column] >> np.uint64(32)) & np.uint64(_WIDTH - 1)
        seen = min(counts[column, 0, one], counts[column, 1, other])
        counts[column, 0, one] += 1
        counts[column, 1, other] += 1
        place = _FIRST_HASH + column if column < _COLUMNS - 1 else 8
        out[place] = min(math.log1p(seen) * scale, 1.0)
    total[0] += 1
    if total[0] >= _HISTORY:
        total[0] >>= 1
        counts[:] >>= 1


@kernel(
    "int64(int64, int64, int64[::1], int32[:, ::1], uint64[:, ::1], uint64[::1], int32[::1], "
    "int64[::1], int64[::1], int64[::1], float64[:, ::1], uint64[:, ::1], int32[:, :, ::1], "
    "int64[::1], float32[:, ::1])"
)
def _fill(
    start: Any,
    clock: Any,
    time: Any,
    ocsf: Any,
    hashed: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    times: Any,
    rates: Any,
    before: Any,
    counts: Any,
    total: Any,
    out: Any,
) -> Any:
    """Fill rows from `start`; return where the entity table was full, else the number of rows."""
    for i in range(start, len(time)):
        row = find(keys, slots, hashed[i, 6])
        new = row < 0
        if new:
            if size[0] == len(keys):
                return i
            row = insert(keys, slots, size, hashed[i, 6])
        last[row] = clock + i
        _calendar(time[i], out[i])
        place = hashed[i, 5] if hashed[i, 5] != 0 else hashed[i, 2]
        _behaviour(time[i], ocsf[i], hashed[i, 0], place, row, times, rates, before, new, out[i])
        out[i, 10] = min(max(ocsf[i, 0] / _CLASS_SCALE, 0.0), 1.0)
        _commonness(hashed[i], counts, total, out[i])
        out[i, 11] = min(max(ocsf[i, 1] / _ACTIVITY_SCALE, 0.0), 1.0)
    return len(time)


class Features:
    """Makes the points of one tenant's events, in order; holds the rates per entity.

    State: at most `entities` entities; when full, the less recently active half is
    dropped and counted in `evictions`. 98 kB of counts.
    """

    def __init__(self, entities: int = ENTITIES, locate: Locate = nowhere) -> None:
        columns = {"time": ("<i8", 0), "rates": ("<f8", 4), "before": ("<u8", 2)}
        self._table = Table(entities, columns)
        self._counts = np.zeros((_COLUMNS, 2, _WIDTH), np.int32)
        self._total = np.zeros(1, np.int64)
        self._locate = locate
        self._clock = 0

    @property
    def evictions(self) -> int:
        """Entities dropped since the start."""
        return self._table.evictions

    def matrix(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32[len(rows), 19] for the events at `rows` and remember them."""
        out = np.empty((len(rows), COUNT), np.float32)
        out[:, 9] = 0.0
        hashed = np.empty((len(rows), _COLUMNS + 1), np.uint64)
        for column, name in enumerate(HASHED):
            hashed[:, column] = hash_column(getattr(batch, name), rows)
        if self._locate is nowhere:
            hashed[:, 5] = 0
        else:
            country = hash_texts(countries(batch.src_ip.values, self._locate))
            hashed[:, 5] = country.take(batch.src_ip.index.take(rows))
        hashed[:, 6] = hash_column(batch.entity, rows)
        time = batch.time[rows].astype(np.int64, copy=False)
        ocsf = np.empty((len(rows), 3), np.int32)
        for column, numbers in enumerate((batch.class_uid, batch.activity_id, batch.status_id)):
            ocsf[:, column] = numbers.take(rows)
        table, start = self._table, 0
        while start < len(rows):
            start = _fill(
                start,
                self._clock,
                time,
                ocsf,
                hashed,
                table.keys,
                table.slots,
                table.size,
                table.last,
                table.columns["time"],
                table.columns["rates"],
                table.columns["before"],
                self._counts,
                self._total,
                out,
            )
            if start < len(rows):
                table.age()
        self._clock += len(rows)
        return out

    def state(self) -> dict[str, Any]:
        """Return the state, for `load`."""
        return {
            "clock": self._clock,
            "counts": self._counts,
            "total": self._total,
            "table": self._table.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; raise `SchemaError` where it does not fit."""
        self._table.load(state["table"])
        load_arrays({"counts": self._counts, "total": self._total}, state)
        self._clock = int(state["clock"])


def contributions(
    batch: EventBatch, row: int, point: NDArray[np.float32], weights: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """Return ``{field, value, weight}`` of every feature of positive weight, largest first.

    Parameters
    ----------
    row
        The event in `batch`.
    point, weights
        float32[19]: its features, and how much each set it apart, in any unit.
    """
    positive = np.maximum(weights.astype(np.float64), 0.0)
    total = positive.sum() or 1.0
    return [
        {
            "field": NAMES[place],
            "value": _readable(batch, row, point, place),
            "weight": round(float(positive[place] / total), 4),
        }
        for place in np.argsort(-positive, kind="stable").tolist()
        if positive[place] > 0
    ]


def explained(
    parts: list[dict[str, Any]], score: float, scores: int, since: int, against: str, quiet: str
) -> dict[str, Any]:
    """Return the explanation of a model that ranks points, see `detectors.base.Model.explain`.

    Parameters
    ----------
    parts
        `contributions`.
    scores, since
        How many it has given so far, and from when on (ms since the epoch).
    against, quiet
        What the event was compared with, and what would have kept it quiet.
    """
    return {
        "contributions": parts,
        "baseline": {
            "compared_with": against,
            "scores": scores,
            "since": since,
            "rarity": f"about 1 in {round(10 ** (score * DECADES)):,} events or rarer",
        },
        "cold_start": scores < COLD_HISTORY,
        "quiet": quiet,
    }


def _readable(batch: EventBatch, row: int, point: NDArray[np.float32], place: int) -> str | float:
    """Return what an analyst can read: the string behind a hash, else the feature."""
    name = NAMES[place]
    if name.startswith("hour"):
        return f"{batch.time[row] // 3_600_000 % 24:02d}:00 UTC"
    if name in ("country", "moved"):
        return batch.src_ip.at(row)
    if name in HASHED:
        return str(getattr(batch, name).at(row))
    return round(float(point[place]), 4)
