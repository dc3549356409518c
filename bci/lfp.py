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

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.engine import design
from bci.engine.kernel import bare
from bci.engine.plan import TILE
from bci.settings import TOP

#: Bands by name, Hz; those of which less than half lies below `TOP` of the rate are left out.
BANDS: Final = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 70.0),
    "high_gamma": (70.0, 200.0),
}
HIGHEST: Final = 200.0
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
        taps = design.low_pass(length, corner, self.fs / self._sum) / self._sum
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

        Bands that are narrower than what so few samples can tell apart are left out, as are
        those that the sampling rate cannot show by half; others end where it ends.
        """
        from scipy.fft import rfft

        count = int(self._state["counts"][FILLED])
        self._state["counts"][FILLED] = 0
        if count < 2:
            return {}
        shape = np.hanning(count + 1)[:-1].astype(np.float32)
        at = np.arange(count // 2 + 1) * self.rate / count
        top = TOP * self.rate
        used = slice(0, int(np.searchsorted(at, min(HIGHEST, top))))
        spectra = []
        for tile in self._state["window"]:
            columns = np.ascontiguousarray(tile[:count].T)
            # an electrode's offset would leak into delta, one bin beside it; at the beginning
            # the filter does not see all of it yet
            columns -= columns[:, min(OUTPUTS, count - 1) :].mean(axis=1, keepdims=True)
            columns *= shape
            spectrum = rfft(columns)[:, used]
            spectra.append(np.square(spectrum.real) + np.square(spectrum.imag))
        power = np.concatenate(spectra)[: len(self.uv_per_bit)]
        # not a product of vectors: its last bit depends on where these lie in memory
        weight = math.fsum(np.square(shape, dtype=np.float64).tolist())
        power *= (2 / (count * weight) * np.square(self.uv_per_bit))[:, None]
        power /= self._gain(at[used])
        return {
            name: power[:, (at[used] >= low) & (at[used] < high)].sum(axis=1)
            for name, (low, high) in BANDS.items()
            if low + high <= 2 * top and high - low >= self.rate / count
        }

    def _gain(self, hz: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return what decimation does to power: short filters fall off within their band."""
        summed = design.response(np.ones(self._sum), hz, self.fs)
        filtered = design.response(self._taps, hz, self.fs / self._sum)
        gain: NDArray[np.float32] = np.square(np.abs(summed * filtered)).astype(np.float32)
        return gain

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


@bare
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
    """Sum, filter and write to `window`, all tiles of int16[time, channel].

    Row by row, since rows lie one after the other; places are the same for every tile.
    """
    time = 0
    while time < samples.shape[0]:
        step = 5 if length == 5 and counts[SUMMED] == 0 and time + 5 <= samples.shape[0] else 1
        _add_rows(samples, time, step, sums)
        time += step
        counts[SUMMED] += step
        if counts[SUMMED] == length:
            counts[SUMMED] = 0
            _take_sums(sums, ring, window, counts, taps, every)


@bare
def _add_rows(samples: Any, time: Any, count: Any, sums: Any) -> None:
    """Add one row to the sums, or put there the sums of five."""
    flat, row = samples.reshape(-1), np.uint64(samples.shape[1])
    for tile in range(sums.shape[0]):
        first, total = tile * TILE, sums[tile]
        if count == 5 and first + TILE <= samples.shape[1]:
            _sum_five(flat, np.uint64(time) * row + np.uint64(first), row, total)
            continue
        for c in range(min(TILE, samples.shape[1] - first)):
            for k in range(count):
                total[c] += np.int32(samples[time + k, first + c])


@bare
def _take_sums(sums: Any, ring: Any, window: Any, counts: Any, taps: Any, every: Any) -> None:
    """Move the sums into the ring; write to `window` what is due."""
    for tile in range(sums.shape[0]):
        entry, total = ring[tile, counts[HEAD]], sums[tile]
        for c in range(TILE):
            entry[c] = np.float32(total[c])
            total[c] = 0
    counts[HEAD] = counts[HEAD] + 1 if counts[HEAD] + 1 < len(taps) else 0
    counts[DUE] -= 1
    if counts[DUE]:
        return
    counts[DUE] = every
    if counts[FILLED] == window.shape[1]:
        return
    rings, windows = ring.reshape(-1), window.reshape(-1)
    for tile in range(sums.shape[0]):
        begin = np.uint64(tile * len(taps) * TILE)
        to = np.uint64((tile * window.shape[1] + counts[FILLED]) * TILE)
        _weigh(rings, begin, counts[HEAD], taps, windows, to)
    counts[FILLED] += 1


@bare
def _sum_five(samples: Any, at: Any, width: Any, out: Any) -> None:
    """Put the sum of five rows of a whole tile into `out`: the usual case, in vectors.

    Unsigned indices into a flat array: others may be negative, which prevents vectors.
    """
    for c in range(TILE):
        one = at + np.uint64(c)
        two, three = one + width, one + width + width
        four, five = three + width, three + width + width
        out[c] = (
            np.int32(samples[one])
            + np.int32(samples[two])
            + np.int32(samples[three])
            + np.int32(samples[four])
            + np.int32(samples[five])
        )


@bare
def _weigh(ring: Any, begin: Any, head: Any, taps: Any, window: Any, to: Any) -> None:
    """Put the sum of rows, oldest first, times `taps` into ``window[to : to + TILE]``.

    The rows are those of a ring that begins at `begin`; the oldest is its row `head`.
    """
    for c in range(TILE):
        window[to + np.uint64(c)] = np.float32(0)
    for k in range(len(taps)):
        at = head + k
        at = at - len(taps) if at >= len(taps) else at
        row, weight = begin + np.uint64(at) * np.uint64(TILE), taps[k]
        for c in range(TILE):
            window[to + np.uint64(c)] += weight * ring[row + np.uint64(c)]
