"""From int16 to band-passed µV: scale, second-order sections, reference; a tile at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci.engine import design
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
    sections = design.band_pass(settings.order, settings.low_hz, high, fs)
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
    first = tile * TILE
    gain, good, limit = p.gain[tile], p.good[tile], s.limit[tile]
    share = p.share[tile] if p.mode == 1 else np.float32(0)
    rows, filters = s.rows[tile], s.filters[tile]
    if p.mode != 2 and p.sos.shape[0] == 2 and block.shape[1] - first >= TILE:
        _full(block, first, held, gain, good, limit, share, p.sos, filters, rows, at)
    else:
        _any(block, first, held, gain, good, limit, share, p.sos, filters, rows, at)
        if p.mode == 2:
            for time in range(block.shape[0]):
                _take_local(rows[at + time], limit, p.around[tile], good)


@kernel
def _full(
    block: Any,
    first: Any,
    held: Any,
    gain: Any,
    good: Any,
    limit: Any,
    share: Any,
    sos: Any,
    filters: Any,
    rows: Any,
    at: Any,
) -> None:
    """Do the usual case: a full tile, two sections, the bank's mean or none.

    One loop whose values stay in registers. Arrays made here are known not to overlap: only
    then does it become vectors; `min` and `max` care for NaN and would prevent it, too.
    """
    value, scale, most, ok = np.empty(TILE, np.float32), gain.copy(), limit.copy(), good.copy()
    state = np.empty((4, TILE), np.float32)
    one, two, three, four = state[0], state[1], state[2], state[3]
    one[:], two[:], three[:], four[:] = filters[0, 0], filters[0, 1], filters[1, 0], filters[1, 1]
    b0, b1, b2, a1, a2 = sos[0, 0], sos[0, 1], sos[0, 2], sos[0, 3], sos[0, 4]
    d0, d1, d2, c1, c2 = sos[1, 0], sos[1, 1], sos[1, 2], sos[1, 3], sos[1, 4]
    for time in range(block.shape[0]):
        if held[time]:
            for c in range(TILE):
                rows[at + time, c] = np.float32(0)
            continue
        samples = block[time, first : first + TILE]
        total = np.float32(0)
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
            z = m if z > m else z
            z = -m if z < -m else z
            total += z
        row, mean = rows[at + time], total * share
        for c in range(TILE):
            row[c] = (value[c] - mean) * ok[c]
    filters[0, 0], filters[0, 1], filters[1, 0], filters[1, 1] = one, two, three, four


@kernel
def _any(
    block: Any,
    first: Any,
    held: Any,
    gain: Any,
    good: Any,
    limit: Any,
    share: Any,
    sos: Any,
    filters: Any,
    rows: Any,
    at: Any,
) -> None:
    """Do what `_full` does, for any number of channels and sections."""
    width, value = min(TILE, block.shape[1] - first), np.zeros(TILE, np.float32)
    for time in range(block.shape[0]):
        if held[time]:
            rows[at + time] = np.float32(0)
            continue
        for c in range(width):
            value[c] = np.float32(block[time, first + c]) * gain[c]
        for k in range(sos.shape[0]):
            for c in range(width):
                x = value[c]
                y = sos[k, 0] * x + filters[k, 0, c]
                filters[k, 0, c] = sos[k, 1] * x - sos[k, 3] * y + filters[k, 1, c]
                filters[k, 1, c] = sos[k, 2] * x - sos[k, 4] * y
                value[c] = y
        total = np.float32(0)
        for c in range(width):
            total += max(min(value[c], limit[c]), -limit[c])
        for c in range(TILE):
            rows[at + time, c] = (value[c] - total * share) * good[c]


@kernel
def _take_local(row: Any, limit: Any, around: Any, good: Any) -> None:
    """Take the mean of each channel's good neighbours off it."""
    value = row.copy()
    for c in range(TILE):
        total, count = np.float32(0), np.float32(0)
        for n in range(around.shape[1]):
            other = around[c, n]
            if other >= 0:
                total += max(min(value[other], limit[other]), -limit[other])
                count += good[other]
        row[c] = good[c] * (value[c] - total / max(count, np.float32(1)))
