"""Compiled code that tells the wanted top-level keys from others."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.columns.memory import byte_at, copy, equal, hash_of, kernel, special, trailing

SLOTS = 8192
#: Keys that are remembered to be guessed; a power of two.
MARKS = 1024
#: Bytes kept of a key, up to its value.
WIDTH = 32
_ONE, _MASK, _WIDTH = map(np.uint64, (1, SLOTS - 1, WIDTH))


@kernel("int64(uint64, uint64, uint64, int64[::1], int64[::1], int16[::1])", inline=True)
def _which(at: Any, length: Any, names: Any, starts: Any, sizes: Any, slots: Any) -> Any:
    """Return the number of a key, -1 where it is not wanted."""
    slot = hash_of(at, length) & _MASK
    while slots[slot] >= 0:
        key = slots[slot]
        if np.uint64(sizes[key]) == length and equal(names + np.uint64(starts[key]), at, length):
            return np.int64(key)
        slot = (slot + _ONE) & _MASK
    return np.int64(-1)


@kernel("void(uint64, int64[::1], int64[::1], int16[::1])")
def place_keys(names: Any, starts: Any, sizes: Any, slots: Any) -> Any:
    """Fill the empty `slots` (-1) with the wanted keys."""
    for key in range(len(starts)):
        slot = hash_of(names + np.uint64(starts[key]), np.uint64(sizes[key])) & _MASK
        while slots[slot] >= 0:
            slot = (slot + _ONE) & _MASK
        slots[slot] = key


@kernel("boolean(uint64, uint64)")
def _slash(at: Any, stop: Any) -> Any:
    while at < stop and byte_at(at) != 92:
        at += _ONE
    return at < stop


@kernel("boolean(uint64, uint64)", inline=True)
def _has_escape(at: Any, stop: Any) -> Any:
    """Return whether the text in ``[at, stop)``, behind which is its quote, has an escape."""
    found = special(at)
    return (at + trailing(found) if found else at + np.uint64(32)) < stop and _slash(at, stop)


@kernel(
    "int64(uint64, uint64, uint64, int64[::1], int64[::1], int16[::1], uint64, int64[:, ::1], "
    "int64)"
)
def look_up(
    at: Any, value: Any, names: Any, key_starts: Any, sizes: Any, keys: Any, texts: Any,
    marks: Any, last: Any,
) -> Any:  # fmt: skip
    """Return the mark of the key at `at`, whose value is at `value`; -1 if it has an escape.

    The next time, it is expected after the key with the mark `last`.
    """
    stop = value - _ONE
    while byte_at(stop) != 34:
        stop -= _ONE
    if _has_escape(at + _ONE, stop):
        return np.int64(-1)
    key = _which(at + _ONE, stop - at - _ONE, names, key_starts, sizes, keys)
    size = value - at
    mark = np.int64(hash_of(at, size) & np.uint64(MARKS - 2)) + 1
    marks[mark, 0], marks[mark, 1] = 0, key
    if size <= _WIDTH:
        copy(at, texts + np.uint64(mark) * _WIDTH, size)
        marks[mark, 0] = np.int64(size)
        marks[last, 2] = mark
    return mark
