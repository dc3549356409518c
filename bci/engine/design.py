"""Filters designed: a Butterworth band-pass, a low-pass, and how much a filter lets through.

These are scipy.signal's ``butter``, ``firwin`` and ``freqz`` for the few cases that are wanted
here, as tests show. Importing scipy.signal would take a worker a second of CPU time and 77 MB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Sampling rate, in its own unit, at which the bilinear transform is done.
_RATE = 2.0


def band_pass(order: int, low: float, high: float, fs: float) -> NDArray[np.float64]:
    """Return the second-order sections of a Butterworth band-pass.

    The analogue prototype's poles (on the unit circle's left half) are moved to the band, and
    then, by the bilinear transform, to the z-plane (Oppenheim and Schafer, *Discrete-Time Signal
    Processing*, 3rd ed., sections 7.2 and appendix B). The section whose pole is closest to the
    unit circle comes last, with the zeros closest to that pole; the first one has the gain.

    Parameters
    ----------
    order
        Of the prototype: the filter has twice as many poles. At least 1.
    low, high
        Corners, Hz; 0 < low < high < fs / 2.
    fs
        Sampling rate, Hz.

    Returns
    -------
    NDArray[np.float64]
        [section, 6]: b0, b1, b2, a0 (which is 1), a1, a2.
    """
    first, last = (2 * _RATE * np.tan(np.pi * corner / fs) for corner in (low, high))
    turns = np.arange(1 - order, 1, 2)  # those of the upper half, and the real one if there is
    half = (last - first) / 2 * -np.exp(1j * np.pi * turns / (2 * order))
    root = np.sqrt(half * half - first * last)
    pairs = [
        (plus, minus) if turn == 0 else (pole, pole.conjugate())
        for turn, plus, minus in zip(turns, half + root, half - root, strict=True)
        for pole in ((plus,) if turn == 0 else (plus, minus))
    ]
    poles = [tuple((2 * _RATE + each) / (2 * _RATE - each) for each in pair) for pair in pairs]
    poles.sort(key=lambda pair: -min(abs(1 - abs(each)) for each in pair))
    zeros = [1.0] * order + [-1.0] * order
    sections = np.empty((order, 6))
    for section, pair in reversed(list(zip(sections, poles, strict=True))):
        zeros.sort(key=lambda zero: -abs(pair[0] - zero))
        section[:3] = np.poly([zeros.pop(), zeros.pop()])
        section[3:] = np.poly(pair).real
    scale = (last - first) ** order * (2 * _RATE) ** order
    distance = np.prod([2 * _RATE - each for pair in pairs for each in pair])
    sections[0, :3] *= scale / distance.real
    return sections


def low_pass(length: int, corner: float, fs: float) -> NDArray[np.float64]:
    """Return the taps of a linear-phase low-pass by the window method, with a Hamming window.

    Parameters
    ----------
    length
        Number of taps.
    corner
        Where half the amplitude passes, Hz.
    fs
        Sampling rate, Hz.
    """
    share = 2 * corner / fs
    taps = share * np.sinc(share * (np.arange(length) - (length - 1) / 2)) * np.hamming(length)
    scaled: NDArray[np.float64] = taps / taps.sum()
    return scaled


def response(
    taps: NDArray[np.floating], hz: NDArray[np.float64], fs: float
) -> NDArray[np.complex128]:
    """Return what a filter of these taps does to each frequency of `hz`, at `fs` samples/s."""
    turns = np.exp(-2j * np.pi / fs * np.outer(hz, np.arange(len(taps))))
    found: NDArray[np.complex128] = turns @ taps
    return found
