"""What is called unusual, and that the usual is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bci.unusual.activity import (
    FLAT,
    GOOD,
    NOISY_STATE,
    SATURATED,
    WEAK_STATE,
    Activity,
    Change,
    Unusual,
)

FS, CHANNELS = 30_000, 32


def trains(
    draw: np.random.Generator, second: int, hz: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    counts = draw.poisson(hz)
    channel = np.repeat(np.arange(CHANNELS), counts)
    sample = draw.integers(second * FS, (second + 1) * FS, len(channel))
    order = np.argsort(sample, kind="stable")
    return sample[order].astype(np.int64), channel[order].astype(np.int32)


def looks(draw: np.random.Generator) -> NDArray[np.int16]:
    return draw.normal(0, 30, (490, CHANNELS)).astype(np.int16)


def watch(
    seconds: int,
    change: Callable[
        [int, NDArray[np.int64], NDArray[np.int32]], tuple[NDArray[np.int64], NDArray[np.int32]]
    ] = lambda second, sample, channel: (sample, channel),
    hz: Callable[[int], float] = lambda second: 5.0,
) -> list[Unusual]:
    """Return what each second gave."""
    draw, made = np.random.default_rng(3), Activity(CHANNELS, FS)
    found = []
    for second in range(seconds):
        sample, channel = trains(draw, second, np.full(CHANNELS, hz(second)))
        sample, channel = change(second, sample, channel)
        span = (second * FS, (second + 1) * FS)
        again = Activity(CHANNELS, FS)
        again.restore(made.snapshot())
        made = again
        sigma = np.full(CHANNELS, 8.0, np.float32)
        found.append(made.second(*span, sample, channel, looks(draw), sigma))
    return found


def bursting(second: int, sample, channel):
    """Add 100 ms in which every channel fires, from the 20th second on."""
    if second < 20:
        return sample, channel
    more = second * FS + 12_000 + np.arange(3000, step=CHANNELS) // 1
    sample = np.concatenate([sample, np.repeat(more, CHANNELS)])
    channel = np.concatenate([channel, np.tile(np.arange(CHANNELS), len(more))])
    order = np.argsort(sample, kind="stable")
    return sample[order].astype(np.int64), channel[order].astype(np.int32)


def test_two_minutes_of_usual_activity_give_nothing():
    for found in watch(120):
        assert found == Unusual([], [], None, [])


def test_bursts_are_told_and_many_of_them_are_synchrony_once():
    found = watch(32, bursting)

    bursts = [burst for each in found for burst in each.bursts]
    assert len(bursts) == 12
    assert bursts[0].channels == CHANNELS
    assert 20 * FS + 11_000 < bursts[0].first <= 20 * FS + 12_000
    assert 2000 < bursts[0].last - bursts[0].first < 6000
    synchrony = [each for second in found for each in second.synchrony]
    assert len(synchrony) == 1
    assert synchrony[0].bursts == 5


def test_a_shift_of_rates_is_told_once():
    found = watch(80, hz=lambda second: 5.0 if second < 50 else 15.0)

    (second,) = [k for k, each in enumerate(found) if each.shift is not None]
    shift = found[second].shift
    assert 50 <= second < 60
    assert len(shift.channels) >= CHANNELS // 4
    assert shift.now.mean() == pytest.approx(15, rel=0.15)
    assert shift.before.mean() == pytest.approx(5, rel=0.15)


def test_bad_channels_are_told_when_they_turn_and_when_they_are_good_again():
    draw, made = np.random.default_rng(4), Activity(CHANNELS, FS)
    none = np.zeros(0, np.int64), np.zeros(0, np.int32)
    seen: list[list[Change]] = []
    for second in range(12):
        raw, sigma = looks(draw), np.full(CHANNELS, 8.0, np.float32)
        if 3 <= second < 8:
            raw[:, 1] = 5
            raw[:, 2] = np.where(np.arange(len(raw)) % 3, 8191, -8192)
            sigma[4], sigma[5] = 1.0, 50.0
        given = made.second(second * FS, (second + 1) * FS, *none, raw, sigma)
        seen.append(given.changes)

    turned = [k for k, changes in enumerate(seen) if changes]
    assert turned == [4, 9]  # confirmed by a second look
    states = {1: FLAT, 2: SATURATED, 4: WEAK_STATE, 5: NOISY_STATE}
    assert seen[4] == [Change(c, GOOD, state) for c, state in states.items()]
    assert seen[9] == [Change(c, state, GOOD) for c, state in states.items()]
