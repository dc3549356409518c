"""Field potentials: what comes out of known waves, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import periodogram

from bci.lfp import BANDS, OUTPUTS, Lfp


def wave(fs: float, hz: float, uv: float, channels: int, seconds: float = 1.0) -> NDArray[np.int16]:
    time = np.arange(round(fs * seconds)) / fs
    return np.round(np.sin(2 * np.pi * hz * time)[:, None] * np.full(channels, uv / 0.25)).astype(
        np.int16
    )


@pytest.mark.parametrize("fs", [30_000.0, 32_000.0, 19_531.25, 15_000.0, 24_414.0625, 2000.0])
@pytest.mark.parametrize(("hz", "band"), [(2.0, "delta"), (6.0, "theta"), (20.0, "beta"),
                                          (50.0, "gamma"), (120.0, "high_gamma")])  # fmt: skip
def test_power_is_in_the_band_of_the_wave(fs: float, hz: float, band: str) -> None:
    lfp = Lfp(fs, np.full(3, 0.25))
    lfp.process(wave(fs, hz, 100.0, 3))
    powers = {name: float(power[1]) for name, power in lfp.power().items()}

    assert powers.pop(band) == pytest.approx(100**2 / 2, rel=0.1)
    assert max(powers.values()) < 0.02 * 100**2


def test_spikes_and_noise_do_not_alias_into_the_bands() -> None:
    lfp = Lfp(30_000.0, np.full(64, 0.25))
    lfp.process(wave(30_000.0, 5_950.0, 100.0, 64))

    assert max(float(power.max()) for power in lfp.power().values()) < 0.003 * 100**2 / 2


def test_bands_are_those_of_a_periodogram_of_what_was_decimated() -> None:
    draw = np.random.default_rng(1)
    lfp = Lfp(30_000.0, np.full(70, 0.25))
    lfp.process(draw.integers(-900, 900, (30_000, 70), dtype=np.int16))
    window = lfp.window()
    level = window - window[OUTPUTS:].mean(axis=0)
    at, density = periodogram(level, lfp.rate, "hann", detrend=False, axis=0)
    powers = lfp.power()

    assert window.shape == (1000, 70)
    for name, (low, high) in BANDS.items():
        inside = (at >= low) & (at < high)
        gain = lfp._gain(at[inside])[:, None]
        wanted = (density[inside] / gain).sum(axis=0) * (at[1] - at[0])
        assert powers[name] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("fs", "missing"),
    [
        (50.0, {"gamma", "high_gamma"}),
        (128.0, {"high_gamma"}),
        (249.98, {"high_gamma"}),
        (512.0, set()),
        (30_000.0, set()),
    ],
)
def test_bands_that_a_slow_recording_cannot_show_are_absent_not_zero(
    fs: float, missing: set[str]
) -> None:
    lfp = Lfp(fs, np.full(3, 0.25))
    lfp.process(wave(fs, 10.0, 100.0, 3))
    powers = lfp.power()

    assert powers.keys() == BANDS.keys() - missing
    assert powers["alpha"] == pytest.approx(100**2 / 2, rel=0.1)


def test_the_offset_of_an_electrode_is_no_delta() -> None:
    lfp = Lfp(250.0, np.ones(2))
    lfp.process(wave(250.0, 10.0, 100.0, 2) + np.array([20_000, -20_000], np.int16))

    assert lfp.power()["delta"].max() < 0.01 * 100**2 / 2


def test_blocks_and_banks_and_restarts_do_not_change_a_bit() -> None:
    draw = np.random.default_rng(2)
    samples = draw.integers(-900, 900, (30_000, 130), dtype=np.int16)
    whole, parts = Lfp(30_000.0, np.full(130, 0.25)), Lfp(30_000.0, np.full(130, 0.25))
    alone = Lfp(30_000.0, np.full(64, 0.25))
    whole.process(samples)
    alone.process(np.ascontiguousarray(samples[:, 64:128]))
    at = 0
    while at < len(samples):
        size = int(draw.integers(1, 4000))
        parts.process(samples[at : at + size])
        again = Lfp(30_000.0, np.full(130, 0.25))
        again.restore(parts.snapshot())
        parts, at = again, at + size
    assert np.array_equal(whole.window(), parts.window())
    one, other, bank = whole.power(), parts.power(), alone.power()
    for name, power in one.items():
        assert np.array_equal(power, other[name])
        assert np.array_equal(power[64:128], bank[name])
