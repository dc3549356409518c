"""From firing rates to intended movement: ridge regression, and a Kalman filter on top.

An example of closing the loop, not a clinical decoder: it is fitted once, on rates and
movements recorded together, and then takes one step a bin of counts. Sources: Hoerl and
Kennard 1970 (ridge), Wu et al. 2006, Neural Computation 18(1) (Kalman filter of motor cortex).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ridge:
    """Linear map from rates to movement.

    Attributes
    ----------
    weights
        float64[channel, dimension].
    offset
        float64[dimension].
    """

    weights: Matrix
    offset: Matrix

    @classmethod
    def fit(cls, rates: Matrix, movement: Matrix, penalty: float = 1.0) -> Self:
        """Fit float64[bin, channel] to float64[bin, dimension]; `penalty` in variances of a rate.

        Raises
        ------
        ValueError
            Not the same number of bins, or fewer than two.
        """
        _check(rates, movement)
        mean, target = rates.mean(axis=0), movement.mean(axis=0)
        x, y = rates - mean, movement - target
        scale = penalty * max(float(x.var(axis=0).mean()), 1e-12)
        weights = np.linalg.solve(x.T @ x + scale * np.eye(x.shape[1]), x.T @ y)
        return cls(weights, target - mean @ weights)

    def step(self, rates: Matrix) -> Matrix:
        """Return float64[dimension] for the float64[channel] of a bin."""
        decoded: Matrix = rates @ self.weights + self.offset
        return decoded


@dataclass(slots=True)
class Kalman:
    """Movement that goes on as movements do, corrected by what rates say.

    The observation is what `Ridge` decodes: a few numbers instead of a thousand rates, so a
    step costs microseconds whatever the number of channels.
    """

    ridge: Ridge
    motion: Matrix
    motion_noise: Matrix
    observation_noise: Matrix
    state: Matrix
    covariance: Matrix

    @classmethod
    def fit(cls, rates: Matrix, movement: Matrix, penalty: float = 1.0) -> Self:
        """Fit as `Ridge.fit` does, and how movement goes on from bin to bin."""
        ridge = Ridge.fit(rates, movement, penalty)
        before, after = movement[:-1], movement[1:]
        motion = np.asarray(np.linalg.lstsq(before, after, rcond=None)[0].T, np.float64)
        size = movement.shape[1]
        small = 1e-9 * np.eye(size)
        moved = np.cov((after - before @ motion.T).T).reshape(size, size) + small
        wrong = rates @ ridge.weights + ridge.offset - movement
        seen = np.cov(wrong.T).reshape(size, size) + small
        return cls(ridge, motion, moved, seen, movement[-1].copy(), np.eye(size))

    def step(self, rates: Matrix) -> Matrix:
        """Take the float64[channel] of a bin and return float64[dimension]."""
        ahead = self.motion @ self.state
        spread = self.motion @ self.covariance @ self.motion.T + self.motion_noise
        gain = np.linalg.solve(spread + self.observation_noise, spread).T
        self.state = ahead + gain @ (self.ridge.step(rates) - ahead)
        self.covariance = (np.eye(len(ahead)) - gain) @ spread
        return self.state.copy()


def _check(rates: Matrix, movement: Matrix) -> None:
    if rates.ndim != 2 or movement.ndim != 2 or not 2 <= len(rates) == len(movement):
        raise ValueError(
            "expected rates[bin, channel] and movement[bin, dimension] of the same bins, at least "
            f"two, found {rates.shape} and {movement.shape}"
        )
