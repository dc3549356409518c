"""One series of numbers at even steps: is this a step, a shift or a value as never before.

Four plain statistics of each new value, each on the scale of its own past:

``step``    ``|x - mean of the last 12|``: spikes and dips.
``hour``    ``|mean of the last 6 - mean of the 72 before|``: shifts that last.
``day``     ``|mean of the last 24 - mean of the 288 before|``: drifts.
``season``  distance of `x` to the nearest value at about the same time (two steps around) of
            the last seven days: what is usual at that time of day is no news.

**Scale.** A statistic's score is its ratio to the largest value it ever had before: above 1 it
is a record. Records of a stationary series become rare like 1 / n by themselves, whatever its
distribution (Rényi 1962), so one threshold serves every series, and nothing is fitted.
The score is the largest of the four ratios. Within `QUIET` steps of a score at least as high it
is 0: one change, one alert.

Chosen over spectral residual (Ren et al. 2019), which needs a window of the future for its
saliency and was below these on the series at hand; see `sentinel evaluate nab`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import kernel, load_arrays

NAMES = ("step", "hour", "day", "season")
#: Values before the first score: from here on there are all four statistics.
WARM = 312
QUIET = 144
DAYS = 7
#: Steps around the same time of day, and latest steps left out of the comparison.
AROUND, LATEST = 2, 6
#: Values kept: a week of at most five-minute steps, and the 312 of the longest means.
LONGEST_DAY = 288
ROOM = DAYS * LONGEST_DAY + AROUND + 1
#: Where a statistic had been 0 throughout, any other value counts as this ratio.
FIRST_EVER = 10.0


@kernel("float64(float64[::1], int64, int64, int64)")
def _mean(ring: Any, end: Any, skip: Any, count: Any) -> Any:
    """Return the mean of `count` values, the latest of which is `skip` before number `end`."""
    total, start = 0.0, end - skip - count + 1
    for i in range(start, start + count):
        total += ring[i % len(ring)]
    return total / count


@kernel("void(float64[::1], int64, int64, float64[::1])")
def _statistics(ring: Any, now: Any, day: Any, out: Any) -> Any:
    """Fill the four statistics of value number `now`, the latest in the ring."""
    x = ring[now % len(ring)]
    out[:] = 0.0
    if now >= 1:
        out[0] = abs(x - _mean(ring, now, 1, min(now, 12)))
    if now >= 78:
        out[1] = abs(_mean(ring, now, 0, 6) - _mean(ring, now, 6, 72))
    if now >= 312:
        out[2] = abs(_mean(ring, now, 0, 24) - _mean(ring, now, 24, 288))
    nearest = np.inf
    for back in range(1, DAYS + 1):
        for off in range(-AROUND, AROUND + 1):
            at = now - back * day + off
            if max(now - len(ring), -1) < at < now - LATEST:
                nearest = min(nearest, abs(x - ring[at % len(ring)]))
    if nearest < np.inf and now >= day + AROUND + 1:
        out[3] = nearest


@kernel(
    "void(float64[::1], int64, int64[::1], float64[::1], float64[::1], float64[::1], "
    "float64[::1], int8[::1])"
)
def _score_learn(
    values: Any,
    day: Any,
    clock: Any,
    ring: Any,
    records: Any,
    recent: Any,
    scores: Any,
    which: Any,
) -> Any:
    """Score and learn every value in order; fill the score and the statistic behind it."""
    statistics = np.empty(4)
    for i in range(len(values)):
        now = clock[0]
        ring[now % len(ring)] = values[i]
        _statistics(ring, now, day, statistics)
        best = 0.0
        for s in range(4):
            ratio = 0.0
            if statistics[s] > 0.0:
                ratio = statistics[s] / records[s] if records[s] > 0.0 else FIRST_EVER
            if now >= WARM and ratio > best:
                best, which[i] = ratio, s
            records[s] = max(records[s], statistics[s])
        highest = 0.0
        for s in range(len(recent)):
            highest = max(highest, recent[s])
        recent[now % len(recent)] = best
        scores[i] = best if best > highest else 0.0
        clock[0] += 1


class Series:
    """State of one series: 17 kB.

    Parameters
    ----------
    day
        Steps of a day, at most `LONGEST_DAY`.
    """

    def __init__(self, day: int = LONGEST_DAY) -> None:
        self._day = min(max(day, LATEST + AROUND + 1), LONGEST_DAY)
        self.arrays: dict[str, NDArray[Any]] = {
            "clock": np.zeros(1, np.int64),
            "ring": np.zeros(ROOM),
            "records": np.zeros(4),
            "recent": np.zeros(QUIET),
        }

    def score_learn(
        self, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Score, then learn, each value in order.

        Returns
        -------
        tuple
            float64[n], ratio to the record: 0 where nothing is said, above 1 as never before.
            int8[n], which of `NAMES` it was.
        """
        values = np.nan_to_num(np.ascontiguousarray(values, np.float64), posinf=0, neginf=0)
        scores, which = np.zeros(len(values)), np.zeros(len(values), np.int8)
        state = self.arrays
        _score_learn(
            values,
            self._day,
            state["clock"],
            state["ring"],
            state["records"],
            state["recent"],
            scores,
            which,
        )
        return scores, which

    def load(self, arrays: dict[str, Any]) -> None:
        """Take up the `arrays` of another; raise `SchemaError` where they do not fit."""
        load_arrays(self.arrays, arrays)
