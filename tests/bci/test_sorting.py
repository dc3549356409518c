"""Units: learnt from the stream, gone by, and the same whatever the blocks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from bci.engine import Engine, Spikes
from bci.score import score
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings

FS = 30_000.0
START = 1 << 33
SETTINGS = EngineSettings(learn_s=0.5, learn_spikes=30, relearn_s=0.5, sort_s=2.5)
#: Sample from which on units are known.
SORTED = round(3.5 * FS)


@pytest.fixture(scope="module")
def synth() -> Synth:
    """Eight large units under sixteen electrodes, which often fire at the same time."""
    given = SynthSettings(
        channels=16, seconds=6.0, seed=3, pitch_um=30.0, units=8, rate_hz=30.0, snr=(8.0, 14.0)
    )
    return Synth(given)


@pytest.fixture(scope="module")
def samples(synth: Synth) -> NDArray[np.int16]:
    return np.concatenate(list(synth.blocks()))


@pytest.fixture(scope="module")
def whole(through, synth: Synth, samples: NDArray[np.int16]) -> Spikes:
    return through(synth, samples, START, iter(lambda: len(samples), None), SETTINGS)


def test_units_are_the_same_in_any_blocks_and_after_restarts(through, synth, samples, whole):
    draw = np.random.default_rng(0)

    sizes = iter(lambda: int(draw.integers(1, 400)), None)
    found = through(synth, samples, START, sizes, SETTINGS, restart=40)

    assert (whole.unit >= 0).sum() > 500
    for name, one, other in zip(Spikes._fields, found, whole, strict=True):
        assert np.array_equal(one, other), name


def test_a_unit_is_one_neuron_and_spikes_at_the_same_time_are_both_found(synth, samples, whole):
    truth = synth.truth
    late = truth.sample >= SORTED
    spikes, units = truth.sample[late], truth.unit[late]
    sample = whole.sample - START
    known = sample >= SORTED

    found = score(
        spikes,
        truth.positions[units],
        sample[known],
        synth.probe.positions[whole.channel[known]],
        FS,
    )

    assert found.recall > 0.9
    assert found.precision > 0.9
    told = whole.unit[known][found.matched[found.matched >= 0]]
    real = units[found.matched >= 0]
    pairs = Counter(zip(real.tolist(), told.tolist(), strict=True))
    usual = sum(
        max(count for pair, count in pairs.items() if pair[0] == neuron) for neuron in set(real)
    )
    assert usual / len(real) > 0.9


def test_banks_without_neighbours_are_not_sorted(samples):
    far = Synth(SynthSettings(channels=16)).probe

    spikes = Engine(FS, 0.25, far, SETTINGS).process(samples, 0).spikes

    assert len(spikes.unit) > 100
    assert (spikes.unit == -1).all()
