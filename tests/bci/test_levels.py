"""Channels without neighbours: thresholds of their own, and the same whatever the blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bci.engine import Spikes
from bci.engine.units.levels import BINS, LOWEST, WIDTH, levels
from bci.score import score
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings

FS = 30_000.0
START = 1 << 33
SETTINGS = EngineSettings(learn_s=0.5, learn_spikes=30, relearn_s=0.5, level_s=2.0)
#: Sample from which on thresholds are made.
LEVELLED = round(3.0 * FS)


def counted(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count scores as the engine does."""
    bins = ((scores[scores >= LOWEST] - LOWEST) / WIDTH).astype(int)
    return np.bincount(np.minimum(bins, BINS - 1), minlength=BINS).astype(float)


@pytest.mark.parametrize("reach", [3.0, 4.25])
def test_a_threshold_lies_between_the_background_and_the_faintest_neuron(reach):
    draw = np.random.default_rng(1)
    background = [draw.uniform(0, reach, 4000) + draw.normal(0, 1, 4000) for _ in range(8)]
    neurons = [[], [], [], [], [6.5], [9.0], [14.0], [7.5, 14.0]]
    counts = [
        counted(np.concatenate([noise, *(draw.normal(mean, 1, 200) for mean in each)]))
        for noise, each in zip(background, neurons, strict=True)
    ]

    found = levels(np.array(counts), otherwise=30.0, odds=0.5)

    assert (found[:4] == 30.0).all()  # no neuron in sight
    for threshold, own, noise in zip(found[4:], neurons[4:], background[4:], strict=True):
        assert LOWEST <= threshold < min(own)
        assert (noise >= threshold).sum() < 100


def test_channels_that_saw_little_keep_the_common_threshold():
    few = counted(np.full(10, 9.0))

    assert levels(np.array([few, few * 0]), otherwise=5.5, odds=0.5).tolist() == [5.5, 5.5]


@pytest.fixture(scope="module")
def synth() -> Synth:
    """Eight units under sixteen electrodes far apart, among background spikes."""
    given = SynthSettings(
        channels=16, seconds=8.0, seed=4, units=8, rate_hz=20.0, snr=(2.5, 7.0), hash_uv=20.0
    )
    return Synth(given)


@pytest.fixture(scope="module")
def samples(synth: Synth) -> NDArray[np.int16]:
    return np.concatenate(list(synth.blocks()))


@pytest.fixture(scope="module")
def whole(through, synth: Synth, samples: NDArray[np.int16]) -> Spikes:
    return through(synth, samples, START, iter(lambda: len(samples), None), SETTINGS)


def f1(synth: Synth, spikes: Spikes) -> float:
    """Return F1 from when thresholds were made."""
    truth, late = synth.truth, spikes.sample - START > LEVELLED
    counts = truth.sample > LEVELLED
    return score(
        truth.sample[counts], truth.positions[truth.unit[counts]],
        (spikes.sample - START)[late], synth.probe.positions[spikes.channel[late]], FS,
    ).f1  # fmt: skip


def test_they_are_the_same_in_any_blocks_and_after_restarts(through, synth, samples, whole):
    draw = np.random.default_rng(0)

    sizes = iter(lambda: int(draw.integers(100, 30_000)), None)
    parts = through(synth, samples, START, sizes, SETTINGS, restart=3)

    assert len(whole.sample) > 500
    for name, one, other in zip(Spikes._fields, whole, parts, strict=True):
        assert np.array_equal(one, other), name


@pytest.mark.parametrize("threshold", [4.5, 5.5, 6.5])
def test_they_find_more_than_one_threshold_for_all_channels(
    through, synth, samples, whole, threshold
):
    common = replace(SETTINGS, levels=False, matched_threshold=threshold)

    beside = through(synth, samples, START, iter(lambda: len(samples), None), common)
    assert f1(synth, whole) > f1(synth, beside)
