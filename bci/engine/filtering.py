"""From int16 to band-passed µV: scale, second-order sections, reference; a tile at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci.engine import design
from bci.engine.kernel import (
    LANES,
    convert,
    every,
    exact,
    fetch,
    kernel,
    load,
    store,
    total,
    within,
)
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
def filter_tile(tile: Any, block: Any, held: Any, at: Any, p: Any, s: Any, sums: Any) -> None:
    """Filter a tile's channels of ``int16[time, channel]`` into ``rows[tile, at:]``.

    Where `held` (stimulation), filters stand still and the output is 0. Filters are linear,
    so the reference may as well be taken off afterwards; there it can be robust: a channel
    counts with at most its `limit`, so that spikes do not leak into the others. `sums` is
    room for as many `LANES` as the block has rows.
    """
    first = tile * TILE
    gain, good, limit = p.gain[tile], p.good[tile], s.limit[tile]
    share = p.share[tile] if p.mode == 1 else np.float32(0)
    rows, filters = s.rows[tile], s.filters[tile]
    if p.mode != 2 and p.sos.shape[0] == 2 and block.shape[1] - first >= TILE:
        for c in range(0, TILE, LANES):
            _sections(block, first, c, held, gain, limit, p.sos, filters, rows, at, sums)
        _take_mean(held, share, good, rows, at, sums)
    else:
        _any(block, first, held, gain, good, limit, share, p.sos, filters, rows, at)
        if p.mode == 2:
            for time in range(block.shape[0]):
                _take_local(rows[at + time], limit, p.around[tile], good)


@exact
def _sections(
    block: Any, first: Any, c: Any, held: Any, gain: Any, limit: Any,
    sos: Any, filters: Any, rows: Any, at: Any, sums: Any,
) -> None:  # fmt: skip
    """Filter the channels from `c` on of the usual case: a full tile, two sections.

    What they add to the reference is added to `sums`, or put there by the first of them.
    """
    b0, b1, b2 = every(sos[0, 0]), every(sos[0, 1]), every(sos[0, 2])
    a1, a2 = every(sos[0, 3]), every(sos[0, 4])
    d0, d1, d2 = every(sos[1, 0]), every(sos[1, 1]), every(sos[1, 2])
    c1, c2 = every(sos[1, 3]), every(sos[1, 4])
    one, two = load(filters, c), load(filters, TILE + c)
    three, four = load(filters, 2 * TILE + c), load(filters, 3 * TILE + c)
    scale, most = load(gain, c), load(limit, c)
    wide, nothing = block.shape[1], every(np.float32(0))
    for time in range(block.shape[0]):
        z = nothing
        if not held[time]:
            x = convert(block, time * wide + first + c) * scale
            y = b0 * x + one
            one = b1 * x - a1 * y + two
            two = b2 * x - a2 * y
            z = d0 * y + three
            three = d1 * y - c1 * z + four
            four = d2 * y - c2 * z
        store(rows, (at + time) * TILE + c, z)
        added = within(z, most)
        if c:
            added = load(sums, time * LANES) + added
        if c >= TILE - 2 * LANES:  # the next tile's, while this one is worked on
            fetch(block, time * wide + first + TILE + 2 * (c - TILE + 2 * LANES))
        store(sums, time * LANES, added)
    store(filters, c, one)
    store(filters, TILE + c, two)
    store(filters, 2 * TILE + c, three)
    store(filters, 3 * TILE + c, four)


@exact
def _take_mean(held: Any, share: Any, good: Any, rows: Any, at: Any, sums: Any) -> None:
    """Take the reference off, and make bad channels 0."""
    for time in range(len(held)):
        mean = every(total(load(sums, time * LANES)) * share)
        for c in range(0, TILE, LANES):
            here = (at + time) * TILE + c
            store(rows, here, (load(rows, here) - mean) * load(good, c))


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
