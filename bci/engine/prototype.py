"""The whitened matched filter: what a spike looks like, against what noise looks like.

The best linear detector of a known waveform in coloured Gaussian noise is the waveform
filtered by the inverse of the noise's covariance (Kay 1998, *Fundamentals of Statistical
Signal Processing II*, section 4.4). Both are learnt from the stream: the waveform is the mean
of the first detections by threshold, the covariance that of quiet stretches in between.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

#: Added to the diagonal of the covariance, in σ²: the band-pass leaves hardly any noise
#: outside its band, and a filter that trusted in that would amplify what it cannot know.
REGULAR: Final = 0.05


#: Taps of the filter that is tried first.
FIRST: Final = 8


class Learnt(NamedTuple):
    """The filter, and one of few taps that says quickly that a trough is none.

    Attributes
    ----------
    weights
        float32[tap], whose output on the noise has variance 1.
    first_at, first
        int64[`FIRST`], float32[`FIRST`]: taps, and weights of the best filter that has only
        those; its output has variance 1, too.
    """

    weights: NDArray[np.float32]
    first_at: NDArray[np.int64]
    first: NDArray[np.float32]


def matched(prototype: NDArray[np.float64], covariance: NDArray[np.float64]) -> Learnt:
    """Return the filter for a mean waveform.

    Parameters
    ----------
    prototype
        float64[tap], mean waveform in σ.
    covariance
        float64[tap], autocovariance of the noise at lags 0, 1, …, in σ².
    """
    values, vectors = np.linalg.eigh(toeplitz(covariance))
    # what was estimated from few stretches may claim negative power somewhere
    noise = (vectors * np.maximum(values, 0)) @ vectors.T
    weights = _best(prototype, noise)
    most = np.argsort(-np.abs(weights * prototype), kind="stable")[:FIRST]
    chosen = np.sort(most).astype(np.int64)
    first = _best(prototype[chosen], noise[np.ix_(chosen, chosen)])
    return Learnt(weights.astype(np.float32), chosen, first.astype(np.float32))


def _best(prototype: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the best filter for a waveform in noise, scaled to variance 1."""
    weights = np.linalg.solve(noise + REGULAR * noise[0, 0] * np.eye(len(noise)), prototype)
    scaled: NDArray[np.float64] = weights / np.sqrt(weights @ noise @ weights)
    return scaled
