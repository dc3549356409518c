"""The scorer of the Numenta Anomaly Benchmark: windows, profiles, one threshold for all series.

Lavin and Ahmad 2015, "Evaluating Real-time Anomaly Detection Algorithms - the Numenta
Anomaly Benchmark" (ICMLA), in the form of NAB 1.1's sweeper:

- the first 15 % of a series (at most 750 rows) are probation and not scored;
- inside a window the earliest detection counts, ``S(p) / S(-1)`` with
  ``S(p) = 2 / (1 + exp(5 p)) - 1`` and ``p = -(last - i + 1) / length``, so that the
  first row of a window is worth 1; a window without one costs ``fn``;
- outside, every detection costs ``fp · S(p)``, ``p`` the distance behind the latest window in
  its lengths less one; -1 before the first window and from ``p = 3`` on;
- the raw scores of all series are added and normalised: 0 is a detector that says nothing,
  100 one that marks the first row of every window and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PROBATION = 0.15
#: Longest series whose share is probation; of longer ones it is this many rows' share.
PROBATION_ROWS = 5000


class Profile(NamedTuple):
    """What an application thinks a hit, a false alarm and a miss are worth."""

    name: str
    tp: float
    fp: float
    fn: float


#: ``config/profiles.json`` of NAB 1.1.
PROFILES = (
    Profile("standard", 1.0, 0.11, 1.0),
    Profile("reward_low_FP_rate", 1.0, 0.22, 1.0),
    Profile("reward_low_FN_rate", 1.0, 0.11, 2.0),
)


class Series(NamedTuple):
    """One labelled series with a detector's scores.

    Attributes
    ----------
    scores
        float64[n], one for each row.
    windows
        First and last row (inclusive) of each anomaly window, ascending.
    """

    scores: NDArray[np.float64]
    windows: Sequence[tuple[int, int]]


class Best(NamedTuple):
    """The threshold with the highest score, rows whose score is at least it being detections."""

    threshold: float
    raw: float
    normalised: float


def probation(rows: int) -> int:
    """Return how many rows at the start are not scored."""
    return math.ceil(min(math.floor(PROBATION * rows), PROBATION * PROBATION_ROWS))


def scaled_sigmoid(position: float) -> float:
    """Return S(p).

    >>> round(scaled_sigmoid(-1.0), 5), scaled_sigmoid(0.0), scaled_sigmoid(3.0)
    (0.98661, 0.0, -1.0)
    """
    return -1.0 if position >= 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def weights(rows: int, windows: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return float64[rows]: what a detection is worth there, before a profile's weights.

    Inside a window it is positive (only the best of the window counts), outside negative.
    """
    out, latest, best = np.full(rows, -1.0), -1, scaled_sigmoid(-1.0)
    for number, (first, last) in enumerate(windows):
        length = last - first + 1
        for i in range(first, last + 1):
            out[i] = scaled_sigmoid(-(last - i + 1) / length) / best
        until = windows[number + 1][0] if number + 1 < len(windows) else rows
        for i in range(last + 1, until):
            out[i] = scaled_sigmoid((i - last) / max(length - 1, 1))
        latest = last
    assert latest < rows  # noqa: S101 - a label outside of its series
    return out


class _Events(NamedTuple):
    """Every scorable row of a corpus by falling score."""

    score: NDArray[np.float64]
    window: NDArray[np.int64]
    weight: NDArray[np.float64]


def _events(corpus: Sequence[Series]) -> tuple[_Events, int]:
    scores, owners, worth, count = [], [], [], 0
    for each in corpus:
        rows = len(each.scores)
        owner = np.full(rows, -1, np.int64)
        for number, (first, last) in enumerate(each.windows):
            owner[first : last + 1] = count + number
        count += len(each.windows)
        start = probation(rows)
        scores.append(each.scores[start:])
        owners.append(owner[start:])
        worth.append(weights(rows, each.windows)[start:])
    score = np.concatenate(scores) if scores else np.empty(0)
    order = np.argsort(-score, kind="stable")
    window = np.concatenate(owners)[order] if owners else np.empty(0, np.int64)
    weight = np.concatenate(worth)[order] if worth else np.empty(0)
    return _Events(score[order], window, weight), count


def sweep(
    corpus: Sequence[Series], profile: Profile
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return every threshold (falling, the first above all scores) and its raw score."""
    events, windows = _events(corpus)
    best: dict[int, float] = dict.fromkeys(range(windows), -profile.fn)
    total = -profile.fn * windows
    change = np.empty(len(events.score))
    for at, (window, weight) in enumerate(
        zip(events.window.tolist(), events.weight.tolist(), strict=True)
    ):
        if window < 0:
            change[at] = profile.fp * weight
            continue
        gain = max(profile.tp * weight - best[window], 0.0)
        best[window] += gain
        change[at] = gain
    running = total + np.cumsum(change)
    ends = np.flatnonzero(np.diff(events.score, append=-np.inf))
    return (
        np.concatenate(([np.inf], events.score[ends])),
        np.concatenate(([total], running[ends])),
    )


def normalised(raw: float, windows: int, profile: Profile) -> float:
    """Return a raw score on the scale from the silent detector (0) to the perfect one (100)."""
    silent, perfect = -profile.fn * windows, profile.tp * windows
    return 100.0 * (raw - silent) / (perfect - silent) if windows else 0.0


def optimum(corpus: Sequence[Series], profile: Profile) -> Best:
    """Return the one threshold for all series that scores highest; NAB's own optimisation.

    Any value above the next lower score of a row does the same; the middle is taken.
    """
    thresholds, raws = sweep(corpus, profile)
    at = int(np.argmax(raws))
    threshold = float(thresholds[at])
    if 0 < at < len(thresholds) - 1:
        threshold = (threshold + float(thresholds[at + 1])) / 2
    windows = sum(len(each.windows) for each in corpus)
    raw = float(raws[at])
    return Best(threshold, raw, normalised(raw, windows, profile))


def score_at(corpus: Sequence[Series], profile: Profile, threshold: float) -> float:
    """Return the normalised score with a given threshold."""
    thresholds, raws = sweep(corpus, profile)
    at = int(np.searchsorted(-thresholds, -threshold, side="right")) - 1
    return normalised(float(raws[at]), sum(len(each.windows) for each in corpus), profile)
