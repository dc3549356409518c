"""Templates of single units, learnt from the first detections.

A snippet of one channel is told by a few numbers, its features: what some filters give whose
outputs on noise are independent with variance 1. The filters are the principal components of
the first detections, whitened by the noise. So noise is a ball of radius 1 in every direction,
and a unit is a point: the mean features of its spikes on the channels around.

Units are found by splitting the detections of a channel in two for as long as the halves lie
further apart than noise explains (k-means with k = 2, from the first principal component:
Boley 1998, *Data Min. Knowl. Disc.* 2), then by dropping those that another channel has, too.
Nothing here is random: the same detections give the same units.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from bci.engine.prototype import REGULAR

#: Filters, hence features of a channel.
FEATURES: Final = 5
#: Channels by which detections are told apart: the further ones add noise, mostly.
NEAREST: Final = 7
#: Spikes that a unit needs.
FEWEST: Final = 25
#: σ that the halves of a cluster must be apart, at least, to be two; iterations of Lloyd's.
APART: Final = 4.0
ROUNDS: Final = 12
#: Units are the same that differ by less than so many σ, or than this share of the smaller.
SAME_SIGMAS: Final = 4.0
SAME_SHARE: Final = 0.35


class Basis(NamedTuple):
    """Filters and what they see.

    Attributes
    ----------
    filters
        float64[feature, tap]: their outputs on noise are independent, with variance 1.
    shapes
        float64[tap, feature]: the waveform, in σ, of which one feature is 1.
    """

    filters: NDArray[np.float64]
    shapes: NDArray[np.float64]


class Units(NamedTuple):
    """What was learnt, the largest first; see `bci.engine.units.memory.Sorting`."""

    on: NDArray[np.int64]
    features: NDArray[np.float64]
    told: NDArray[np.bool_]
    overlap: NDArray[np.float64]


def basis(moment: NDArray[np.float64], covariance: NDArray[np.float64]) -> Basis:
    """Return the filters for waveforms with a second moment, float64[tap, tap], in σ².

    `covariance` is the autocovariance of the noise at lags 0, 1, …, float64[tap], in σ².
    """
    values, vectors = np.linalg.eigh(toeplitz(covariance))
    noise = np.maximum(values, 0) + REGULAR * covariance[0]
    white = (vectors / np.sqrt(noise)) @ vectors.T
    colour = (vectors * np.sqrt(noise)) @ vectors.T
    _, main = np.linalg.eigh(white @ moment @ white)
    main = main[:, ::-1][:, :FEATURES]
    return Basis(main.T @ white, colour @ main)


def learn(
    on: NDArray[np.int64],
    lessons: NDArray[np.float32],
    field: NDArray[np.int32],
    made: Basis,
    least: float,
) -> Units | None:
    """Return the units of a bank, or None where there are none yet.

    Parameters
    ----------
    on, lessons
        int64[n], column of detections; float32[n, field, feature], their features.
    field
        int32[column, field]: channels around each column, -1 for none.
    least
        Mean trough of a unit that is told, in σ.
    """
    found: list[tuple[int, NDArray[np.float64]]] = []
    for column in np.unique(on).tolist():
        seen = lessons[on == column].astype(np.float64)
        seen = seen[seen.any(axis=(1, 2))]
        points = seen.reshape(len(seen), -1)
        found += [
            (column, centre(points[members]).reshape(lessons.shape[1:]))
            for members in clusters(seen[:, :NEAREST].reshape(len(seen), -1))
            if len(members) >= FEWEST
        ]
    found.sort(key=lambda item: -float(np.square(item[1]).sum()))
    kept = _different(found, field)
    if not kept:
        return None
    full = np.stack([_spread_out(unit, field) for unit in kept])
    features = np.stack([unit[1] for unit in kept])
    troughs = -np.einsum("kr,unr->ukn", made.shapes, features).min(axis=(1, 2))
    places = np.array([unit[0] for unit in kept], np.int64)
    return Units(places, features, troughs >= least, _overlap(np.nan_to_num(full), made))


def clusters(points: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return which of float64[n, feature], in units of noise, belong together."""
    done: list[NDArray[np.int64]] = []
    todo = [np.arange(len(points))]
    while todo:
        members = todo.pop()
        halves = _halves(points[members])
        if halves is None:
            done.append(members)
        else:
            todo += [members[halves], members[~halves]]
    return done


def _halves(points: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """Return which points make one half of a cluster; None where it is one."""
    if len(points) < 2 * FEWEST:
        return None
    away = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(away.T @ away)
    upper = away @ vectors[:, -1] > 0
    for _ in range(ROUNDS):
        if not FEWEST <= upper.sum() <= len(points) - FEWEST:
            return None
        high, low = points[upper].mean(axis=0), points[~upper].mean(axis=0)
        now = np.square(points - high).sum(axis=1) < np.square(points - low).sum(axis=1)
        if (now == upper).all():
            break
        upper = now
    if not FEWEST <= upper.sum() <= len(points) - FEWEST:
        return None
    apart = np.linalg.norm(points[upper].mean(axis=0) - points[~upper].mean(axis=0))
    return upper if apart >= APART else None


def centre(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of a cluster without those far out: two spikes at once."""
    away = np.square(points - np.median(points, axis=0)).sum(axis=1)
    size = points.shape[1]
    mean: NDArray[np.float64] = points[
        away <= max(size + 4 * np.sqrt(2 * size), float(np.median(away)))
    ].mean(axis=0)
    return mean


def _spread_out(
    unit: tuple[int, NDArray[np.float64]], field: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return float64[column, feature], NaN where the unit was not looked at."""
    full = np.full((len(field), unit[1].shape[1]), np.nan)
    around = field[unit[0]]
    full[around[around >= 0]] = unit[1][around >= 0]
    return full


def _different(
    found: list[tuple[int, NDArray[np.float64]]], field: NDArray[np.int32]
) -> list[tuple[int, NDArray[np.float64]]]:
    """Return the units, the largest first, without those that are like a larger one."""
    kept: list[tuple[int, NDArray[np.float64]]] = []
    seen: list[NDArray[np.float64]] = []
    for unit in found:
        full = _spread_out(unit, field)
        if not any(_alike(full, other) for other in seen):
            kept.append(unit)
            seen.append(full)
    return kept


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Say whether two units differ by little on the channels that both were looked at on."""
    known = ~np.isnan(one[:, 0])
    both = known & ~np.isnan(other[:, 0])
    if 2 * both.sum() < known.sum():
        return False
    apart = np.linalg.norm(one[both] - other[both])
    least = min(float(np.linalg.norm(one[both])), float(np.linalg.norm(other[both])))
    return bool(apart < max(SAME_SIGMAS, SAME_SHARE * least))


def _overlap(full: NDArray[np.float64], made: Basis) -> NDArray[np.float64]:
    """Return float64[unit, unit, lag]: see `bci.engine.units.memory.Sorting`."""
    count, taps = len(full), len(made.shapes)
    found = np.zeros((count, count, 2 * taps - 1))
    flat = full.reshape(count, -1)
    for lag in range(1 - taps, taps):
        filters = made.filters[:, max(0, -lag) : taps - max(0, lag)]
        shapes = made.shapes[max(0, lag) : taps - max(0, -lag)]
        seen = np.einsum("rq,ucq->ucr", filters @ shapes, full).reshape(count, -1)
        found[:, :, lag + taps - 1] = seen @ flat.T
    return found
