"""Compiled code that finds the values of wanted top-level keys in many JSON objects.

The scanner accepts strict JSON only (RFC 8259) and leaves to others whatever is unusual: a key
with an escape, a wanted key twice, a surrogate escape, an exponent or very long number,
nesting below `MAX_DEPTH`. It says nothing about what is wrong. What it accepts, every
JSON parser reads in the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.columns.coding import code_value
from schemas.columns.keys import WIDTH, look_up
from schemas.columns.memory import (
    PRIME,
    byte_at,
    differ,
    equal,
    hash_of,
    kernel,
    special,
    trailing,
    word,
)

MAX_DEPTH = 60
_DIGITS = 18
#: Objects and arrays that are remembered to be guessed; a power of two.
GUESSES = 1 << 14
#: Words of an object or array that tell it from others of the same key.
_SAMPLES = (1, 13, 33, 49, 61)

_ONE, _TWO, _WIDTH = map(np.uint64, (1, 2, WIDTH))
#: Where the scanner is inside an object or array.
_FIRST, _VALUE, _AFTER = 0, 1, 2
#: What a scan ends with: all is well, an object is unusual, there is no room for new values,
#: a key was met for the first time (and which one).
FINE, UNUSUAL, FULL, ASLEEP = 0, 1, 2, 3


@kernel("boolean(int64)", inline=True)
def _is_hex(byte: Any) -> Any:
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@kernel("uint64(uint64, uint64)", inline=True)
def _string_end(at: Any, end: Any) -> Any:
    """Return the place behind the closing quote of a string that begins at `at`; 0 if none."""
    while at < end:
        found = special(at)
        if found == 0:
            at += np.uint64(32)
            continue
        at += trailing(found)
        byte = byte_at(at)
        if byte == 34:
            return at + _ONE
        if byte != 92:
            return np.uint64(0)
        byte = byte_at(at + _ONE)
        if byte == 117:  # \uXXXX, but no surrogates
            for place in range(np.uint64(2), np.uint64(6)):
                if not _is_hex(byte_at(at + place)):
                    return np.uint64(0)
            first, second = byte_at(at + _TWO), byte_at(at + np.uint64(3))
            if (first == 68 or first == 100) and second >= 56:
                return np.uint64(0)
            at += np.uint64(6)
        elif byte in (34, 92, 47, 98, 102, 110, 114, 116):
            at += _TWO
        else:
            return np.uint64(0)
    return np.uint64(0)


@kernel("uint64(uint64)", inline=True)
def _number_end(at: Any) -> Any:
    """Return the place behind a number without exponent; 0 if it is none, or a long one."""
    start = at
    if byte_at(at) == 45:
        at += _ONE
    first = at
    while 48 <= byte_at(at) <= 57:
        at += _ONE
    if at == first or (byte_at(first) == 48 and at > first + _ONE):
        return np.uint64(0)
    if byte_at(at) == 46:
        at += _ONE
        first = at
        while 48 <= byte_at(at) <= 57:
            at += _ONE
        if at == first:
            return np.uint64(0)
    if byte_at(at) | 32 == 101 or at - start > _DIGITS:
        return np.uint64(0)
    return at


@kernel("uint64(uint64)", inline=True)
def _word_end(at: Any) -> Any:
    """Return the place behind ``true``, ``false`` or ``null``; 0 if it is none of them."""
    four = word(at) & np.uint64(0xFFFFFFFF)
    if four == np.uint64(0x65757274) or four == np.uint64(0x6C6C756E):
        return at + np.uint64(4)
    if four == np.uint64(0x736C6166) and byte_at(at + np.uint64(4)) == 101:
        return at + np.uint64(5)
    return np.uint64(0)


@kernel("uint64(uint64)", inline=True)
def _space_end(at: Any) -> Any:
    while True:
        byte = byte_at(at)
        if byte > 32 or not (byte == 32 or byte == 10 or byte == 13 or byte == 9):
            return at
        at += _ONE


@kernel("uint64(uint64, uint64)", inline=True)
def _value_end(at: Any, end: Any) -> Any:
    """Return the place behind a text, number, ``true``, ``false`` or ``null``; 0 if none."""
    byte = byte_at(at)
    if byte == 34:
        return _string_end(at + _ONE, end)
    if byte == 45 or 48 <= byte <= 57:
        return _number_end(at)
    return _word_end(at)


@kernel("uint64(uint64, uint64)", inline=True)
def _colon_end(at: Any, end: Any) -> Any:
    """Return the place behind a key's colon and space; 0 if there is no key."""
    if byte_at(at) != 34:
        return np.uint64(0)
    at = _string_end(at + _ONE, end)
    if at == 0:
        return at
    at = _space_end(at)
    if byte_at(at) != 58:
        return np.uint64(0)
    return _space_end(at + _ONE)


@kernel("uint64(uint64, uint64)")
def _nested_end(at: Any, end: Any) -> Any:  # noqa: C901 - one loop, or it takes half again
    """Return the place behind the object or array at `at`; 0 if it is none, or unusual."""
    depth, inside = 1, np.uint64(byte_at(at) == 123)  # a bit of `inside` is set for an object
    at = _space_end(at + _ONE)
    state = _FIRST
    while at < end:
        if state != _VALUE and byte_at(at) == (125 if inside & _ONE else 93):
            at += _ONE
            depth -= 1
            inside >>= _ONE
            if depth == 0:
                return at
            at, state = _space_end(at), _AFTER
            continue
        if state == _AFTER:
            if byte_at(at) != 44:
                return np.uint64(0)
            at, state = _space_end(at + _ONE), _VALUE
        if inside & _ONE:
            at = _colon_end(at, end)
            if at == 0:
                return at
        byte = byte_at(at)
        if byte == 123 or byte == 91:
            depth += 1
            if depth > MAX_DEPTH:
                return np.uint64(0)
            inside = (inside << _ONE) | np.uint64(byte == 123)
            at, state = _space_end(at + _ONE), _FIRST
            continue
        at = _value_end(at, end)
        if at == 0:
            return at
        at, state = _space_end(at), _AFTER
    return np.uint64(0)


@kernel("uint64(uint64, int64)", inline=True)
def _sample(at: Any, key: Any) -> Any:
    """Return where the guess is what the object or array at `at` will be."""
    code = np.uint64(key + 1) * PRIME
    for place in _SAMPLES:
        code = (code ^ word(at + np.uint64(place))) * PRIME
        code ^= code >> np.uint64(32)
    return code & np.uint64(GUESSES - 1)


@kernel("int64(uint64, uint64, int64, int64, uint64, int64[::1], int64[::1])", inline=True)
def _guessed(at: Any, end: Any, key: Any, code: Any, arena: Any, kinds: Any, starts: Any) -> Any:
    """Return the length of the value at `at` if it is the one with `code`; 0 if not.

    An object or array ends where its last bracket is, so equal bytes are all of it.
    """
    place = np.uint64(code)
    length = kinds[place] & 0xFFFFFFFF
    if (
        code == 0
        or kinds[place] >> 32 != key
        or at + np.uint64(length) >= end
        or not equal(arena + np.uint64(starts[place]), at, np.uint64(length))
    ):
        return np.int64(0)
    return length


@kernel("int64(uint64, uint64)", inline=True)
def _last(at: Any, end: Any) -> Any:
    """Say whether what is at `at` ends the object, and nothing is behind it."""
    good = byte_at(at) == 125 and at < end and _space_end(at + _ONE) >= end
    return FINE if good else UNUSUAL


@kernel("int64(uint64, uint64, int64[:, ::1], int64)", inline=True)
def _expected(at: Any, texts: Any, marks: Any, mark: Any) -> Any:
    """Return the mark of the key at `at` if it is the one that followed `mark`; 0 if not."""
    guess = marks[mark, 2]
    size = np.uint64(marks[guess, 0])
    other = differ(at, texts + np.uint64(guess) * _WIDTH) & ((_ONE << size) - _ONE)
    return guess if size > 0 and other == 0 and byte_at(at + size) > 32 else np.int64(0)


@kernel(
    "int64(uint64, uint64, int64, uint64, int64, int32[::1], uint64[::1], int64[::1], "
    "int64[::1], int64[::1], int32[::1], uint64)",
    inline=True,
)
def _given(
    value: Any, length: Any, key: Any, arena: Any, room: Any, slots: Any, hashes: Any,
    kinds: Any, starts: Any, fill: Any, guesses: Any, sample: Any,
) -> Any:  # fmt: skip
    """Return the code of a value, 0 if there is no room; it is the next guess at `sample`."""
    code = code_value(
        value, length, hash_of(value, length), key, arena, room, slots, hashes, kinds, starts, fill
    )
    if sample < np.uint64(GUESSES):
        guesses[sample] = code
    return code


@kernel(
    "int64(uint64, uint64, int64, uint64, int64[::1], int64[::1], int16[::1], int64, uint64, "
    "int64[:, ::1], boolean[::1], int32[:, ::1], int32[:, ::1], int32[:, ::1], uint64, int64, "
    "int32[::1], uint64[::1], int64[::1], int64[::1], int64[::1], int32[::1])",
    inline=True,
)
def _scan(  # noqa: C901 - one loop over what comes key by key
    start: Any, end: Any, row: Any, names: Any, key_starts: Any, sizes: Any, keys: Any,
    wanted: Any, texts: Any, marks: Any, coded: Any, begins: Any, lengths: Any, codes: Any,
    arena: Any, room: Any, slots: Any, hashes: Any, kinds: Any, starts: Any, fill: Any,
    guesses: Any,
) -> Any:  # fmt: skip
    """Scan the object of a row in ``[start, end)``; see `scan_rows`."""
    at = _space_end(start)
    if byte_at(at) != 123:
        return UNUSUAL
    at = _space_end(at + _ONE)
    if byte_at(at) == 125:
        return _last(at, end)
    mark = np.int64(0)
    while at < end:
        guess = _expected(at, texts, marks, mark)
        value = at + np.uint64(marks[guess, 0])
        if guess == 0:
            value, guess = _colon_end(at, end), np.int64(-1)
            if 0 < value < end:
                guess = look_up(at, value, names, key_starts, sizes, keys, texts, marks, mark)
            if guess < 0:
                return UNUSUAL
        mark, key = guess, marks[guess, 1]
        if key >= len(coded):
            return ASLEEP + key if key < wanted else UNUSUAL
        if key >= 0 and lengths[key, row] > 0:
            return UNUSUAL
        byte, code = byte_at(value), np.int64(0)
        if byte == 123 or byte == 91:
            sample, length = np.uint64(0), np.int64(0)
            if key >= 0 and coded[key]:
                sample = _sample(value, key)
                code = np.int64(guesses[sample])
                length = _guessed(value, end, key, code, arena, kinds, starts)
            at = value + np.uint64(length)
            if length == 0:
                at, code = _nested_end(value, end), np.int64(0)
        else:
            sample = np.uint64(GUESSES)
            at = _value_end(value, end)
        if at == 0 or at >= end:
            return UNUSUAL
        if key >= 0:
            length = np.int64(at - value)
            begins[key, row], lengths[key, row] = value - start, length
            if coded[key]:
                if code == 0:
                    code = _given(
                        value, np.uint64(length), key, arena, room, slots, hashes, kinds, starts,
                        fill, guesses, sample,
                    )  # fmt: skip
                if code == 0:
                    return FULL
                codes[key, row] = code
        at = _space_end(at)
        if byte_at(at) != 44:
            return _last(at, end)
        at = _space_end(at + _ONE)
    return UNUSUAL


@kernel(
    "int64(uint64, int64[::1], int64, uint64, int64[::1], int64[::1], int16[::1], int64, uint64, "
    "int64[:, ::1], boolean[::1], int32[:, ::1], int32[:, ::1], int32[:, ::1], uint64, int64, "
    "int32[::1], uint64[::1], int64[::1], int64[::1], int64[::1], int32[::1])"
)
def scan_rows(
    base: Any, ends: Any, first: Any, names: Any, key_starts: Any, sizes: Any, keys: Any,
    wanted: Any, texts: Any, marks: Any, coded: Any, begins: Any, lengths: Any, codes: Any,
    arena: Any, room: Any, slots: Any, hashes: Any, kinds: Any, starts: Any, fill: Any,
    guesses: Any,
) -> Any:  # fmt: skip
    """Scan objects that lie end to end; return `FINE`, or what is wrong with one of them.

    Keys come in much the same order, and the objects under them come again. So what comes
    next is guessed and compared, and read only where it is something else.

    Parameters
    ----------
    base, ends
        Where they begin, and where each ends, from there.
    first
        Row of the first.
    names, key_starts, sizes, keys
        The wanted keys: their bytes, and the table that `place_keys` made.
    wanted
        How many of the keys are wanted; those behind them must not occur.
    texts, marks
        Keys met lately, all 0 at first: each one's text up to its value, `WIDTH` bytes; its
        size (0: not kept), its place in `sizes` or -1, and the mark of the key that followed.
    coded
        Whether the values of a key get codes. Keys behind these were never met so far: the
        first one ends the scan, with `ASLEEP` and its place.
    begins, lengths, codes
        ``int32[keys, rows]``, all 0, to be filled: where the value is in its object, its
        length, and its code; 0 where the key is absent.
    arena, room, slots, hashes, kinds, starts, fill
        See `schemas.columns.coding.code_value`.
    guesses
        Codes of objects and arrays met lately, by a hash of some bytes of them; 0: none.
    """
    at = base
    for place in range(len(ends)):
        end = base + np.uint64(ends[place])
        found = _scan(
            at, end, first + place, names, key_starts, sizes, keys, wanted, texts, marks, coded,
            begins, lengths, codes, arena, room, slots, hashes, kinds, starts, fill, guesses,
        )  # fmt: skip
        if found != FINE:
            return found
        at = end
    return FINE
