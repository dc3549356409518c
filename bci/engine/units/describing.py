"""What is noted of a trough so that it can be said which unit fired."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bci.engine.kernel import bare

#: A unit is tried at the best place of the matched filter and so many samples around it.
AROUND: Final = 1


@bare
def describe(rows: Any, first: Any, sigma: Any, around: Any, views: Any, out: Any) -> None:
    """Put the features of the channels `around`, from row `first` on, into `out`."""
    features = views.shape[0]
    for n in range(len(around)):
        c = around[n]
        for r in range(features):
            total = np.float32(0)
            if c >= 0 and sigma[c] > 0:
                for k in range(views.shape[1]):
                    total += views[r, k] * rows[first + k, c]
                total /= sigma[c]
            out[n * features + r] = total


@bare
def compare(
    rows: Any, first: Any, shift: Any, stamp: Any, c: Any,
    sigma: Any, field: Any, units: Any, seen: Any, views: Any, out: Any,
) -> Any:  # fmt: skip
    """Put what units give a trough of column `c`, and at which shift, into `out`.

    Parameters
    ----------
    first, shift
        Row of the first tap at the best place of the matched filter, and how far from the
        trough that is.
    units
        Of the tile, as in `Sorting`: ``unit_on, unit, energy, tried``.
    seen
        int64[TILE] and float32[TILE, place, feature]: the features of this `stamp`.

    Returns
    -------
    float
        The largest logarithm of a ratio of likelihoods, were sizes 1.
    """
    unit_on, unit, energy, tried = units
    stamps, features = seen
    slots, best = tried.shape[1], np.float32(-1)
    for n in range(slots):
        u = tried[c, n]
        if u < 0:
            break
        around = field[unit_on[u]]
        most, place = np.float32(-1e30), 0
        for m in range(len(around)):
            other = around[m]
            if other >= 0 and stamps[other] != stamp:
                stamps[other] = stamp
                _features(rows, first - AROUND, other, sigma, views, features)
        for i in range(2 * AROUND + 1):
            total = np.float32(0)
            for m in range(len(around)):
                other = around[m]
                if other >= 0:
                    for r in range(views.shape[0]):
                        total += unit[u, m, r] * features[other, i, r]
            if total > most:
                most, place = total, i
        out[n], out[slots + n] = most, np.float32(shift + place - AROUND)
        best = max(best, most - np.float32(0.5) * energy[u])
    return best


@bare
def _features(rows: Any, first: Any, c: Any, sigma: Any, views: Any, features: Any) -> None:
    """Work out the features of one channel at all places."""
    for i in range(2 * AROUND + 1):
        for r in range(views.shape[0]):
            total = np.float32(0)
            if sigma[c] > 0:
                for k in range(views.shape[1]):
                    total += views[r, k] * rows[first + i + k, c]
                total /= sigma[c]
            features[c, i, r] = total
