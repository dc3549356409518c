"""Filters are those of scipy, which a running worker does without."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, firwin, freqz, sosfreqz

from bci.engine import design

RATES = st.floats(700.0, 200_000.0)
SHARES = st.floats(0.001, 0.4)


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize(
    ("low", "high", "fs"),
    [(300, 6000, 30_000), (250, 5000, 24_414.0625), (0.5, 100, 700), (1, 340, 700), (10, 11, 1000)],
)
def test_a_band_pass_has_the_sections_of_scipy(
    order: int, low: float, high: float, fs: float
) -> None:
    expected = butter(order, [low, high], "bandpass", fs=fs, output="sos")
    found = design.band_pass(order, low, high, fs)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(st.integers(1, 4), SHARES, st.floats(1.05, 20.0), RATES)
def test_any_band_pass_lets_through_what_scipy_s_does(
    order: int, share: float, wider: float, fs: float
) -> None:
    low, high = share * fs, min(share * wider, 0.45) * fs
    at = np.linspace(low / 2, (high + fs / 2) / 2, 50)
    _, expected = sosfreqz(butter(order, [low, high], "bandpass", fs=fs, output="sos"), at, fs=fs)
    _, found = sosfreqz(design.band_pass(order, low, high, fs), at, fs=fs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@given(st.integers(3, 120), SHARES, RATES)
def test_a_low_pass_and_its_response_are_those_of_scipy(
    length: int, share: float, fs: float
) -> None:
    expected = firwin(length, share * fs, fs=fs)
    found = design.low_pass(length, share * fs, fs)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    hz = np.linspace(0, fs / 2, 40)
    _, passed = freqz(expected, worN=hz, fs=fs)
    np.testing.assert_allclose(design.response(found, hz, fs), passed, rtol=1e-9, atol=1e-9)
