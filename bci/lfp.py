"""Field potentials: decimation to about 1 kHz in one pass, and band power of each second.

Decimation is a moving sum (exact, in integers) over a few samples, then a windowed-sinc FIR
that is only worked out where an output is due; so it costs about two operations a sample.
The sum has its zeros where it would alias onto 0 Hz; up to 200 Hz what is left of the first
alias is at most -28 dB, on top of what electrodes have at 5.8 kHz anyway.

Band power is the mean square in a band, µV², from one periodogram with a Hann window (Harris
1978, Proc. IEEE 66(1)). It is worked out a tile of 64 channels at a time, always in arrays
of the same shape: then a bank alone gives the same bits as among others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin

from bci.engine.kernel import kernel
from bci.engine.plan import TILE

#: Bands by name, Hz; those beyond half of the decimated rate are left out.
BANDS: Final = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 70.0),
    "high_gamma": (70.0, 200.0),
}
#: Rate that is decimated to, Hz, or the nearest below that a whole factor gives.
RATE: Final = 1000.0
#: Corner of the FIR, Hz, and its length in outputs.
CORNER: Final = 300.0
OUTPUTS: Final = 3
#: Places in `Lfp.counts`.
SUMMED, HEAD, DUE, FILLED = 0, 1, 2, 3


@dataclass(slots=True)
class Lfp:
    """Decimates int16[time, channel] and tells band powers.

    Parameters
    ----------
    fs
        Sampling rate, Hz.
    uv_per_bit
        float[channel], µV.

    Attributes
    ----------
    rate
        Of what is decimated, Hz.
    """

    fs: float
    uv_per_bit: NDArray[Any]
    rate: float = field(init=False)
    _sum: int = field(init=False)
    _every: int = field(init=False)
    _taps: NDArray[np.float32] = field(init=False)
    _state: dict[str, NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        factor = max(1, round(self.fs / RATE))
        self._sum = next(n for n in (5, 4, 3, 2, 1) if factor % n == 0)
        self._every = factor // self._sum
        self.rate = self.fs / factor
        length = max(OUTPUTS * self._every, 3)
        corner = min(CORNER, 0.3 * self.rate)
        taps = firwin(length, corner, fs=self.fs / self._sum) / self._sum
        self._taps = np.ascontiguousarray(taps[::-1], np.float32)
        self.begin()

    @property
    def _tiles(self) -> int:
        return -(-len(self.uv_per_bit) // TILE)

    def begin(self) -> None:
        """Start anew, after a gap."""
        tiles, length = self._tiles, len(self._taps)
        self._state = {
            "sums": np.zeros((tiles, TILE), np.int32),
            "ring": np.zeros((tiles, length, TILE), np.float32),
            "window": np.zeros((tiles, int(self.rate) + 2, TILE), np.float32),
            "counts": np.array([0, 0, self._every, 0], np.int64),
        }

    def process(self, samples: NDArray[np.int16]) -> None:
        """Take the next int16[time, channel]; more than a second is too much at once."""
        state = self._state
        if len(samples):
            _decimate(
                samples, state["sums"], state["ring"], state["window"], state["counts"],
                self._taps, self._sum, self._every,
            )  # fmt: skip

    def window(self) -> NDArray[np.float32]:
        """Return what was decimated since the last `power`: float32[time, channel], µV."""
        count = int(self._state["counts"][FILLED])
        flat = self._state["window"][:, :count].transpose(1, 0, 2).reshape(count, -1)
        scaled: NDArray[np.float32] = flat[:, : len(self.uv_per_bit)] * self.uv_per_bit
        return scaled

    def power(self) -> dict[str, NDArray[np.float32]]:
        """Return float32[channel] of each band, µV², since the last call; forget the samples.

        Bands that are narrower than what so few samples can tell apart are left out.
        """
        count = int(self._state["counts"][FILLED])
        self._state["counts"][FILLED] = 0
        if count < 2:
            return {}
        shape = np.hanning(count + 1)[:-1]
        scale = 2 / (count * (shape @ shape))
        spectra = []
        for tile in self._state["window"]:
            spectrum = np.fft.rfft(tile[:count] * shape[:, None], axis=0)
            spectra.append(scale * (spectrum.real**2 + spectrum.imag**2))
        power = np.concatenate(spectra, axis=1)[:, : len(self.uv_per_bit)]
        at = np.arange(len(power)) * self.rate / count
        found = {}
        for name, (low, high) in BANDS.items():
            inside = (at >= low) & (at < min(high, 0.45 * self.rate))
            if inside.any() and high - low >= self.rate / count:
                sums = np.add.reduce(power[inside], axis=0)
                found[name] = (sums * np.square(self.uv_per_bit)).astype(np.float32)
        return found

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state, for `restore`."""
        count = int(self._state["counts"][FILLED])
        return {**self._state, "window": self._state["window"][:, :count]}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `snapshot` returned."""
        self.begin()
        count = int(state["counts"][FILLED])
        self._state["window"][:, :count] = state["window"]
        self._state |= {name: state[name] for name in ("sums", "ring", "counts")}


@kernel
def _decimate(
    samples: Any,
    sums: Any,
    ring: Any,
    window: Any,
    counts: Any,
    taps: Any,
    length: Any,
    every: Any,
) -> None:
    """Sum, filter and write to `window`, all tiles of int16[time, channel]."""
    last = counts.copy()
    for tile in range(sums.shape[0]):
        first = tile * TILE
        width = min(TILE, samples.shape[1] - first)
        summed, head, due, filled = counts[0], counts[1], counts[2], counts[3]
        total = np.zeros(TILE, np.int32)
        total[:] = sums[tile]
        for time in range(samples.shape[0]):
            row = samples[time, first : first + width]
            if width == TILE:
                for c in range(TILE):
                    total[c] += np.int32(row[c])
            else:
                for c in range(width):
                    total[c] += np.int32(row[c])
            summed += 1
            if summed < length:
                continue
            summed = 0
            entry = ring[tile, head]
            for c in range(TILE):
                entry[c] = np.float32(total[c])
                total[c] = 0
            head = head + 1 if head + 1 < len(taps) else 0
            due -= 1
            if due == 0:
                due = every
                if filled < window.shape[1]:
                    _weigh(ring[tile], head, taps, window[tile, filled])
                    filled += 1
        sums[tile] = total
        last[0], last[1], last[2], last[3] = summed, head, due, filled
    counts[:] = last


@kernel
def _weigh(ring: Any, head: Any, taps: Any, out: Any) -> None:
    """Put the sum of the rows of a ring, oldest first from `head` on, times `taps` into `out`."""
    total = np.zeros(TILE, np.float32)
    for k in range(len(taps)):
        at = head + k
        row, weight = ring[at - len(taps) if at >= len(taps) else at], taps[k]
        for c in range(TILE):
            total[c] += weight * row[c]
    for c in range(TILE):
        out[c] = total[c]
