"""Made recordings: the same seed, the same samples; the truth is what is in them."""

from __future__ import annotations

import numpy as np
import pytest

from bci.formats import FormatError
from bci.synth import Synth, SynthSettings
from bci.truth import Truth

SMALL = SynthSettings(channels=6, seconds=1.5, seed=3, rate_hz=20.0)


def test_same_seed_same_recording():
    one, other = (np.concatenate(list(Synth(SMALL).blocks())) for _ in range(2))

    assert one.shape == (45_000, 6)
    assert np.array_equal(one, other)


def test_another_seed_is_another_recording():
    other = SynthSettings(channels=6, seconds=1.5, seed=4, rate_hz=20.0)

    assert not np.array_equal(next(Synth(SMALL).blocks()), next(Synth(other).blocks()))


def test_the_mean_at_the_spikes_of_a_unit_is_its_amplitude():
    synth = Synth(SynthSettings(channels=4, seconds=20.0, seed=1, lfp_uv=0.0, rate_hz=20.0))
    volts = np.concatenate(list(synth.blocks())) * synth.settings.uv_per_bit
    truth = synth.truth

    for unit, (place, amplitude) in enumerate(zip(truth.positions, truth.amplitudes, strict=True)):
        nearest = np.argmin(np.hypot(*(synth.probe.positions - place).T))
        at = truth.sample[truth.unit == unit]
        assert len(at) > 20
        assert np.median(volts[at, nearest]) == pytest.approx(-amplitude, abs=0.15 * amplitude + 4)


def test_trains_keep_a_dead_time():
    truth = Synth(SynthSettings(channels=4, seconds=20.0, seed=1, rate_hz=60.0)).truth

    for unit in range(len(truth.positions)):
        assert (np.diff(truth.sample[truth.unit == unit]) >= 89).all()


def test_truth_survives_a_file(tmp_path):
    truth = Synth(SMALL).truth
    truth.save(tmp_path / "t.npz")

    again = Truth.load(tmp_path / "t.npz")

    assert np.array_equal(again.sample, truth.sample)
    assert np.array_equal(again.electrodes, truth.electrodes)
    assert again.fs == 30_000.0


def test_another_file_is_no_truth(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.zeros(3))

    with pytest.raises(FormatError, match="expected the truth"):
        Truth.load(tmp_path / "t.npz")
