"""Movement out of rates of channels that are tuned to it."""

from __future__ import annotations

import numpy as np
import pytest

from bci.decoder import Kalman, Ridge

CHANNELS = 96


def reach(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of cosine-tuned channels in bins of 20 ms, and the velocity."""
    draw = np.random.default_rng(seed)
    tuning = np.random.default_rng(1).normal(0, 0.4, (2, CHANNELS))
    velocity = np.zeros((3000, 2))
    for k in range(1, len(velocity)):
        velocity[k] = 0.98 * velocity[k - 1] + draw.normal(0, 0.15, 2)
    return draw.poisson(np.exp(velocity @ tuning - 1.5)).astype(float), velocity


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(one[:, d], other[:, d])[0, 1] for d in range(2)]))


def test_decodes_what_it_has_not_seen_and_the_filter_does_better():
    rates, velocity = reach(2)
    later_rates, later = reach(3)
    ridge, kalman = Ridge.fit(rates, velocity, 10.0), Kalman.fit(rates, velocity, 10.0)

    plain = correlation(np.array([ridge.step(row) for row in later_rates]), later)
    filtered = correlation(np.array([kalman.step(row) for row in later_rates]), later)

    assert plain > 0.7
    assert filtered > plain + 0.05


def test_bins_must_be_the_same():
    with pytest.raises(ValueError, match="same bins"):
        Ridge.fit(np.zeros((5, 3)), np.zeros((4, 2)))
