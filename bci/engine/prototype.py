"""The whitened matched filter: what a spike looks like, against what noise looks like.

The best linear detector of a known waveform in coloured Gaussian noise is the waveform
filtered by the inverse of the noise's covariance (Kay 1998, *Fundamentals of Statistical
Signal Processing II*, section 4.4). Both are learnt from the stream: the waveform is the mean
of the first detections by threshold, the covariance that of quiet stretches in between.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

#: Added to the diagonal of the covariance, in σ²: the band-pass leaves hardly any noise
#: outside its band, and a filter that trusted in that would amplify what it cannot know.
REGULAR: Final = 0.05


def matched(prototype: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the filter, float32[tap], whose output on the noise has variance 1.

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
    weights = np.linalg.solve(noise + REGULAR * covariance[0] * np.eye(len(noise)), prototype)
    scaled: NDArray[np.float32] = (weights / np.sqrt(weights @ noise @ weights)).astype(np.float32)
    return scaled
