"""From which score on a channel without neighbours has spikes: a threshold of its own.

What the matched filter finds on such a channel are spikes of a few neurons nearby, and of the
many further off, whose amplitudes reach up to some size. One threshold for all channels takes
those of the many on channels whose own neuron is far above them, and on channels that have
none; per channel, the best threshold lies anywhere from 4 to 9 σ. So the scores of a channel
are told apart as a mixture (EM: Dempster, Laird and Rubin 1977, *J. R. Stat. Soc. B* 39(1)): a
background, and neurons. The filter's output has the variance 1 on noise, so the scores of a
neuron are normal with σ = 1, and a background of all sizes up to some reach has the density
``Φ(reach - score)``. The reach is that of the bank: told from each channel alone, it takes in
the faintest neurons.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

#: Scores from `LOWEST`, σ, on are counted in `BINS` of this width; the last one has all above.
LOWEST: Final = 3.75
WIDTH: Final = 0.25
BINS: Final = 66
#: How much of the counts is kept when thresholds were made from them: with 12 s from one time
#: to the next, two minutes, so that they follow drift.
KEPT: Final = 0.9
#: Scores counted on a channel at least.
FEWEST: Final = 20
#: Neurons that are told apart on a channel at most, and steps of EM after each.
NEURONS: Final = 4
STEPS: Final = 25
#: Natural logarithm of the likelihood that each of them must add.
GAIN: Final = 4.0
#: Mean score of a neuron at least.
FAINTEST: Final = 4.75
#: Lowest bins, and as many next to them, whose counts tell how far the background reaches.
STEEP: Final = 3


def _distributed(below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of the bins of what has float64[n, edge] of it below each edge."""
    share = np.diff(below, axis=1)
    made: NDArray[np.float64] = share / share.sum(axis=1, keepdims=True)
    return made


_EDGES = LOWEST + WIDTH * np.arange(BINS + 1)
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
_MEANS = np.arange(FAINTEST, _EDGES[-1], WIDTH)
_NEURONS = _distributed(np.hstack([ndtr(_EDGES[:-1] - _MEANS[:, None]), np.ones((len(_MEANS), 1))]))
_BACKGROUND = ndtr(np.arange(0.0, 5.01, 0.125)[:, None] - _CENTRES)
_BACKGROUND /= _BACKGROUND.sum(axis=1, keepdims=True)
_RATIO = _BACKGROUND[:, STEEP : 2 * STEEP].sum(axis=1) / _BACKGROUND[:, :STEEP].sum(axis=1)


def levels(counts: NDArray[np.floating], otherwise: float, odds: float) -> NDArray[np.float32]:
    """Return the threshold of each channel of a bank.

    Parameters
    ----------
    counts
        float[channel, `BINS`]: how often there was which score.
    otherwise
        The threshold, σ, of channels where no neuron is seen.
    odds
        How often a score is a neuron's, for each time it is the background's, at the threshold.

    Returns
    -------
    NDArray[np.float32]
        float32[channel], σ.

    Examples
    --------
    >>> few = np.zeros((1, BINS))
    >>> levels(few, otherwise=6.5, odds=0.5).tolist()
    [6.5]
    """
    found = np.full(len(counts), otherwise, np.float32)
    chosen = np.flatnonzero(counts.sum(axis=1) >= FEWEST)
    if not len(chosen):
        return found
    seen = counts[chosen].astype(np.float64)
    low, above = seen[:, :STEEP].sum(axis=1), seen[:, STEEP : 2 * STEEP].sum(axis=1)
    reach = np.searchsorted(_RATIO[:-1], np.median(above / np.maximum(low, 1)))
    parts, weights, means = _mixture(seen, _BACKGROUND[reach])
    near = np.einsum("cp,cpb->cb", weights[:, 1:], parts[:, 1:])
    wins = near >= odds * weights[:, :1] * parts[:, 0]
    for row in np.flatnonzero(np.isfinite(means)):
        found[chosen[row]] = _lowest(wins[row], float(means[row]))
    return found


def _lowest(wins: NDArray[np.bool_], mean: float) -> float:
    """Return from where on up to the mean of a neuron, or else after it, `wins` is true."""
    at = int(np.searchsorted(_CENTRES, mean))
    behind = np.flatnonzero(~wins[: at + 1])
    first = int(behind[-1]) + 1 if len(behind) else 0
    if first > at:
        first = at + int(np.argmax(wins[at:]))
    return float(_EDGES[first])


def _mixture(
    counts: NDArray[np.float64], background: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit a background and neurons, one after the other, as long as they explain more.

    Returns
    -------
    tuple
        float64[channel, part, bin] and their shares float64[channel, part], the background
        first; and the lowest mean of a neuron, infinite where there is none.
    """
    channels = len(counts)
    parts, weights = np.zeros((channels, 1 + NEURONS, BINS)), np.zeros((channels, 1 + NEURONS))
    parts[:, 0], weights[:, 0] = background, 1
    lowest, going = np.full(channels, np.inf), np.arange(channels)
    for k in range(1, 1 + NEURONS):
        more, shares, seen = parts[going, : k + 1], weights[going, : k + 1], counts[going]
        density = _density(more, shares)
        best = np.argmax((seen / density) @ _NEURONS.T, axis=1)
        shares *= 0.9
        more[:, k], shares[:, k] = _NEURONS[best], 0.1
        for _ in range(STEPS):
            shares *= np.einsum("cpb,cb->cp", more, seen / _density(more, shares))
            shares /= shares.sum(axis=1, keepdims=True)
        better = (seen * np.log(_density(more, shares) / density)).sum(axis=1) > GAIN
        going = going[better]
        parts[going, : k + 1], weights[going, : k + 1] = more[better], shares[better]
        lowest[going] = np.minimum(lowest[going], _MEANS[best[better]])
    return parts, weights, lowest


def _density(parts: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    density: NDArray[np.float64] = np.einsum("cp,cpb->cb", weights, parts) + 1e-12
    return density
