"""From int16 to band-passed µV: scale, second-order sections, reference; a tile at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter

from bci.engine.kernel import kernel
from bci.engine.plan import TILE
from bci.settings import EngineSettings


def band_pass(settings: EngineSettings, fs: float) -> NDArray[np.float32]:
    """Return float32[section, 5]: b0, b1, b2, a1, a2 of a causal Butterworth band-pass.

    At least two sections: order 1 gets one that lets all pass.

    Raises
    ------
    ValueError
        The band does not fit below half of `fs`.
    """
    high = min(settings.high_hz, 0.45 * fs)
    if not 0 < settings.low_hz < high:
        raise ValueError(
            f"expected 0 < low_hz < high_hz < fs / 2, found {settings.low_hz} and "
            f"{settings.high_hz} at {fs} Hz; set the band for this sampling rate"
        )
    sections = butter(settings.order, [settings.low_hz, high], "bandpass", fs=fs, output="sos")
    if len(sections) == 1:
        sections = np.vstack([sections, [1, 0, 0, 1, 0, 0]])
    return np.ascontiguousarray(np.delete(sections, 3, axis=1), dtype=np.float32)


@kernel
def filter_tile(tile: Any, block: Any, held: Any, at: Any, p: Any, s: Any) -> None:
    """Filter a tile's channels of ``int16[time, channel]`` into ``rows[tile, at:]``.

    Where `held` (stimulation), filters stand still and the output is 0. Filters are linear,
    so the reference may as well be taken off afterwards; there it can be robust: a channel
    counts with at most its `limit`, so that spikes do not leak into the others.
    """
    # Arrays made here are known not to overlap: only then do the loops become vectors. A full
    # tile and two sections, the default, are one loop whose values stay in registers.
    sos, sections = p.sos, p.sos.shape[0]
    value, clipped = np.zeros(TILE, np.float32), np.zeros(TILE, np.float32)
    memory = np.zeros((2 * sections, TILE), np.float32)
    one, two, three, four = memory[0], memory[1], memory[2], memory[3]
    b0, b1, b2, a1, a2 = sos[0, 0], sos[0, 1], sos[0, 2], sos[0, 3], sos[0, 4]
    d0, d1, d2, c1, c2 = sos[1, 0], sos[1, 1], sos[1, 2], sos[1, 3], sos[1, 4]
    first = tile * TILE
    width = min(TILE, block.shape[1] - first)
    scale, most = p.gain[tile], s.limit[tile]
    for k in range(sections):
        memory[2 * k], memory[2 * k + 1] = s.filters[tile, k, 0], s.filters[tile, k, 1]
    for time in range(block.shape[0]):
        row = s.rows[tile, at + time]
        if held[time]:
            row[:] = np.float32(0)
            continue
        total = np.float32(0)
        if width == TILE and sections == 2:
            samples = block[time, first : first + TILE]
            for c in range(TILE):
                x = np.float32(samples[c]) * scale[c]
                y = b0 * x + one[c]
                one[c] = b1 * x - a1 * y + two[c]
                two[c] = b2 * x - a2 * y
                z = d0 * y + three[c]
                three[c] = d1 * y - c1 * z + four[c]
                four[c] = d2 * y - c2 * z
                value[c] = z
                m = most[c]
                z = m if z > m else z  # not min(): that cares for NaN, and is no vector then
                z = -m if z < -m else z
                clipped[c] = z
                total += z
        else:
            for c in range(width):
                value[c] = np.float32(block[time, first + c]) * scale[c]
            for k in range(sections):
                for c in range(TILE):
                    x = value[c]
                    y = sos[k, 0] * x + memory[2 * k, c]
                    memory[2 * k, c] = sos[k, 1] * x - sos[k, 3] * y + memory[2 * k + 1, c]
                    memory[2 * k + 1, c] = sos[k, 2] * x - sos[k, 4] * y
                    value[c] = y
            for c in range(TILE):
                x, m = value[c], most[c]
                x = m if x > m else x
                clipped[c] = -m if x < -m else x
                total += clipped[c]
        if p.mode == 2:
            _take_local(tile, row, value, clipped, p)
        else:
            mean = total * p.share[tile] if p.mode == 1 else np.float32(0)
            ok = p.good[tile]
            for c in range(TILE):
                row[c] = (value[c] - mean) * ok[c]
    for k in range(sections):
        s.filters[tile, k, 0], s.filters[tile, k, 1] = memory[2 * k], memory[2 * k + 1]


@kernel
def _take_local(tile: Any, row: Any, value: Any, clipped: Any, p: Any) -> None:
    """Take the mean of each channel's good neighbours off it."""
    for c in range(TILE):
        around, count = np.float32(0), np.float32(0)
        for n in range(p.around.shape[2]):
            other = p.around[tile, c, n]
            if other >= 0:
                around += clipped[other] * p.good[tile, other]
                count += p.good[tile, other]
        row[c] = p.good[tile, c] * (value[c] - around / max(count, np.float32(1)))
