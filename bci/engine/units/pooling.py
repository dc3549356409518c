"""Units as the mean of all their spikes, and how large these are without what chance adds.

Clusters are of one channel's detections (`bci.engine.units.templates`): of a unit between
channels each has a part, and just those spikes for which the noise was in that channel's favour.
Here each detection goes to the unit that explains it best, whatever its channel, and units
become the mean of all theirs (Lloyd's iterations over the bank).

Only what reached a least score was learnt from. A score is a sum of features with weights of
norm 1, normal with variance 1 around the unit's own: so its mean says how much of it is due to
that selection (Greene, *Econometric Analysis*, 7th ed., section 19.2), in the direction of
the weights. For a unit whose spikes reach that score half the time this is 0.8 σ.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Iterations; detections that a unit needs at its end.
ROUNDS: Final = 3
FEWEST: Final = 20
#: Share of a unit's detections that a channel must have been looked at in, to be known.
SEEN: Final = 0.5
#: Bisections for a mean: to within 1e-9 of it. And how far below the least score it is sought, σ.
BISECTIONS: Final = 34
BELOW: Final = 8.0


class Pool(NamedTuple):
    """Units and the detections that each explains.

    Attributes
    ----------
    units
        float64[unit, column, feature], the largest first; NaN where not looked at.
    members
        int64[n] for each unit.
    """

    units: NDArray[np.float64]
    members: list[NDArray[np.int64]]


def pooled(units: NDArray[np.float64], seen: NDArray[np.float64]) -> Pool:
    """Return the units made of all their detections, without those that have too few.

    Parameters
    ----------
    units
        float64[unit, column, feature], NaN where a unit was not looked at.
    seen
        float64[n, column, feature], the same of detections.
    """
    found: list[NDArray[np.int64]] = []
    for _ in range(ROUNDS):
        found = [who for who in _shared_out(units, seen) if len(who) >= FEWEST]
        units = np.stack([_mean(seen[who]) for who in found]) if found else units[:0]
    energy = np.square(np.nan_to_num(units)).sum(axis=(1, 2))
    order = np.argsort(-energy, kind="stable")
    return Pool(units[order], [found[unit] for unit in order])


def _shared_out(units: NDArray[np.float64], seen: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return the detections of each unit: those that it explains best."""
    if not len(units):
        return []
    full = np.nan_to_num(units)
    energy = np.square(full).sum(axis=2)
    given = np.nan_to_num(seen).reshape(len(seen), -1) @ full.reshape(len(full), -1).T
    gain = given - 0.5 * (~np.isnan(seen[:, :, 0])).astype(np.float64) @ energy.T
    best = np.where(gain.max(axis=1) > 0, gain.argmax(axis=1), -1)
    return [np.flatnonzero(best == unit) for unit in range(len(units))]


def _mean(seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean where enough of float64[n, column, feature] are known, NaN elsewhere."""
    known = ~np.isnan(seen[:, :, 0])
    count = known.sum(axis=0)[:, None]
    mean = np.nan_to_num(seen).sum(axis=0) / np.maximum(count, 1)
    return np.where(count >= SEEN * len(seen), mean, np.nan)


def unselected(
    unit: NDArray[np.float64], scores: NDArray[np.float32], along: NDArray[np.float64], least: float
) -> NDArray[np.float64]:
    """Return a unit without what the choice of its detections added.

    Parameters
    ----------
    unit
        float64[column, feature], the mean of its detections.
    scores
        float32[n], of which none is below `least`.
    along
        float64[column, feature]: weights that make a score, the mean over detections.
    """
    mean = float(scores.mean(dtype=np.float64))
    return unit - along * (mean - untruncated(mean, least))


def untruncated(mean: float, least: float) -> float:
    """Return the mean of a normal distribution with variance 1 whose mean above `least` is `mean`.

    Not below ``least - BELOW``.

    Examples
    --------
    >>> round(untruncated(0.7978845608, 0.0), 6), round(untruncated(9.0, 5.0), 3)
    (0.0, 9.0)
    """
    low, high = least - BELOW, mean
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        away = least - middle
        above = math.erfc(away / math.sqrt(2)) / 2
        density = math.exp(-away * away / 2) / math.sqrt(2 * math.pi)
        if middle + density / above > mean:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def weights(
    taps: NDArray[np.float32],
    filters: NDArray[np.float64],
    around: NDArray[np.int32],
    spread: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return what makes the score of each column: float64[column, column, feature], of norm 1.

    Parameters
    ----------
    taps, filters
        float32[tap] of the matched filter; float64[feature, tap], see `templates.Basis`.
    around, spread
        Of a bank, as in `bci.engine.plan.Plan`.
    """
    share = np.eye(len(around))
    for column, others in enumerate(around):
        share[column, others[others >= 0]] = spread[column, others >= 0]
    found = share[:, :, None] * np.linalg.lstsq(filters.T, taps.astype(np.float64))[0]
    scaled: NDArray[np.float64] = found / np.linalg.norm(found, axis=(1, 2), keepdims=True)
    return scaled
