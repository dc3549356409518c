"""Compiled code that finds the values of wanted top-level keys in many JSON objects.

The scanner accepts strict JSON only (RFC 8259) and leaves to others whatever is unusual: a key
with an escape, a wanted key twice, a surrogate escape, an exponent or very long number,
nesting below `MAX_DEPTH`. It says nothing about what is wrong. What it accepts, every
JSON parser reads in the same way.

Strings are skipped eight bytes at a time by the usual tests of bytes in a word (Mycroft;
Anderson, "Bit Twiddling Hacks", *haszero* and *hasless*).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

MAX_DEPTH = 60
#: Bytes that may be read behind the last one.
PAD = bytes(16)
_intrinsic = cast("Callable[[Callable[..., Any]], Any]", intrinsic)
_DIGITS = 18
SLOTS = 1024

_ONES, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _SLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES = np.uint64(0x2020202020202020)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ONE, _MASK, _SEVEN, _TWO, _29 = map(np.uint64, (1, SLOTS - 1, 7, 2, 29))
#: Where the scanner is inside an object or array.
_FIRST, _VALUE, _AFTER = 0, 1, 2


def _kernel(signature: str, *, inline: bool = False) -> Callable[[F], F]:
    compiled = njit(signature, cache=True, nogil=True, error_model="numpy", forceinline=inline)
    return cast("Callable[[F], F]", compiled)


@_intrinsic
def _word(_context: Any, address: Any) -> Any:
    """Read the little-endian word at an address, aligned or not."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)

    return types.uint64(types.uint64), generate


@_intrinsic
def _byte(_context: Any, address: Any) -> Any:
    """Read the byte at an address."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        byte = builder.load(builder.inttoptr(args[0], ir.IntType(8).as_pointer()))
        return builder.zext(byte, ir.IntType(64))

    return types.int64(types.uint64), generate


@_intrinsic
def _trailing(_context: Any, word: Any) -> Any:
    """Count the zero bits below the lowest bit that is set."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@_kernel("boolean(int64)", inline=True)
def _is_hex(byte: Any) -> Any:
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@_kernel("uint64(uint64, uint64)", inline=True)
def _string_end(at: Any, end: Any) -> Any:
    """Return the place behind the closing quote of a string that begins at `at`; 0 if none."""
    while at < end:
        word = _word(at)
        quote, slash = word ^ _QUOTES, word ^ _SLASHES
        found = (
            ((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _SPACES) & ~word)
        ) & _HIGH
        if found == 0:
            at += np.uint64(8)
            continue
        at += _trailing(found) >> np.uint64(3)
        byte = _byte(at)
        if byte == 34:
            return at + _ONE
        if byte != 92:
            return np.uint64(0)
        byte = _byte(at + _ONE)
        if byte == 117:  # \uXXXX, but no surrogates
            for place in range(np.uint64(2), np.uint64(6)):
                if not _is_hex(_byte(at + place)):
                    return np.uint64(0)
            first, second = _byte(at + _TWO), _byte(at + np.uint64(3))
            if (first == 68 or first == 100) and second >= 56:
                return np.uint64(0)
            at += np.uint64(6)
        elif byte in (34, 92, 47, 98, 102, 110, 114, 116):
            at += _TWO
        else:
            return np.uint64(0)
    return np.uint64(0)


@_kernel("uint64(uint64)", inline=True)
def _number_end(at: Any) -> Any:
    """Return the place behind a number without exponent; 0 if it is none, or a long one."""
    start = at
    if _byte(at) == 45:
        at += _ONE
    first = at
    while 48 <= _byte(at) <= 57:
        at += _ONE
    if at == first or (_byte(first) == 48 and at > first + _ONE):
        return np.uint64(0)
    if _byte(at) == 46:
        at += _ONE
        first = at
        while 48 <= _byte(at) <= 57:
            at += _ONE
        if at == first:
            return np.uint64(0)
    if _byte(at) | 32 == 101 or at - start > _DIGITS:
        return np.uint64(0)
    return at


@_kernel("uint64(uint64)", inline=True)
def _word_end(at: Any) -> Any:
    """Return the place behind ``true``, ``false`` or ``null``; 0 if it is none of them."""
    four = _word(at) & np.uint64(0xFFFFFFFF)
    if four == np.uint64(0x65757274) or four == np.uint64(0x6C6C756E):
        return at + np.uint64(4)
    if four == np.uint64(0x736C6166) and _byte(at + np.uint64(4)) == 101:
        return at + np.uint64(5)
    return np.uint64(0)


@_kernel("uint64(uint64)", inline=True)
def _space_end(at: Any) -> Any:
    while True:
        byte = _byte(at)
        if byte > 32 or not (byte == 32 or byte == 10 or byte == 13 or byte == 9):
            return at
        at += _ONE


@_kernel("uint64(uint64, uint64)", inline=True)
def _hash(at: Any, length: Any) -> Any:
    """Return a hash of bytes. Only speed hangs on it: equal hashes are compared in full."""
    code = length * _PRIME
    end = at + length
    while at + np.uint64(8) <= end:
        code = (code ^ _word(at)) * _PRIME
        code ^= code >> _29
        at += np.uint64(8)
    left = end - at
    if left:
        code = (code ^ (_word(at) & ((_ONE << (left << np.uint64(3))) - _ONE))) * _PRIME
        code ^= code >> _29
    return code ^ (code >> np.uint64(32))


@_kernel("boolean(uint64, uint64, uint64)", inline=True)
def _equal(one: Any, other: Any, length: Any) -> Any:
    place = np.uint64(0)
    while place + np.uint64(8) <= length:
        if _word(one + place) != _word(other + place):
            return False
        place += np.uint64(8)
    while place < length:
        if _byte(one + place) != _byte(other + place):
            return False
        place += _ONE
    return True


@_kernel("int64(uint64, uint64, uint64, int64[::1], int64[::1], int16[::1])", inline=True)
def _which(at: Any, length: Any, names: Any, starts: Any, sizes: Any, slots: Any) -> Any:
    """Return the number of a key, -1 where it is not wanted."""
    slot = _hash(at, length) & _MASK
    while slots[slot] >= 0:
        key = slots[slot]
        if np.uint64(sizes[key]) == length and _equal(names + np.uint64(starts[key]), at, length):
            return np.int64(key)
        slot = (slot + _ONE) & _MASK
    return np.int64(-1)


@_kernel("void(uint64, int64[::1], int64[::1], int16[::1])")
def place_keys(names: Any, starts: Any, sizes: Any, slots: Any) -> Any:
    """Fill the empty `slots` (-1) with the wanted keys."""
    for key in range(len(starts)):
        slot = _hash(names + np.uint64(starts[key]), np.uint64(sizes[key])) & _MASK
        while slots[slot] >= 0:
            slot = (slot + _ONE) & _MASK
        slots[slot] = key


@_kernel("uint64(uint64, uint64)", inline=True)
def _value_end(at: Any, end: Any) -> Any:
    """Return the place behind a text, number, ``true``, ``false`` or ``null``; 0 if none."""
    byte = _byte(at)
    if byte == 34:
        return _string_end(at + _ONE, end)
    if byte == 45 or 48 <= byte <= 57:
        return _number_end(at)
    return _word_end(at)


@_kernel("uint64(uint64, uint64)", inline=True)
def _colon_end(at: Any, end: Any) -> Any:
    """Return the place behind a key's colon and space; 0 if there is no key."""
    if _byte(at) != 34:
        return np.uint64(0)
    at = _string_end(at + _ONE, end)
    if at == 0:
        return at
    at = _space_end(at)
    if _byte(at) != 58:
        return np.uint64(0)
    return _space_end(at + _ONE)


@_kernel("uint64(uint64, uint64)")
def _nested_end(at: Any, end: Any) -> Any:  # noqa: C901 - one loop, or it takes half again
    """Return the place behind the object or array at `at`; 0 if it is none, or unusual."""
    depth, inside = 1, np.uint64(_byte(at) == 123)  # a bit of `inside` is set for an object
    at = _space_end(at + _ONE)
    state = _FIRST
    while at < end:
        if state != _VALUE and _byte(at) == (125 if inside & _ONE else 93):
            at += _ONE
            depth -= 1
            inside >>= _ONE
            if depth == 0:
                return at
            at, state = _space_end(at), _AFTER
            continue
        if state == _AFTER:
            if _byte(at) != 44:
                return np.uint64(0)
            at, state = _space_end(at + _ONE), _VALUE
        if inside & _ONE:
            at = _colon_end(at, end)
            if at == 0:
                return at
        byte = _byte(at)
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


@_kernel("int64(uint64, uint64, uint64, int64[::1], int64[::1], int16[::1])", inline=True)
def _key(at: Any, stop: Any, names: Any, starts: Any, sizes: Any, slots: Any) -> Any:
    """Return the number of the key in ``[at, stop)``; -1: not wanted, -2: has an escape."""
    for place in range(at, stop):
        if _byte(place) == 92:
            return np.int64(-2)
    return _which(at, stop - at, names, starts, sizes, slots)


@_kernel(
    "boolean(uint64, uint64, uint64, int64, uint64, int64[::1], int64[::1], int16[::1], "
    "int64[:, ::1], int64[:, ::1], uint64[:, ::1])"
)
def _scan(
    base: Any, at: Any, end: Any, row: Any, names: Any, starts: Any, sizes: Any, slots: Any,
    begins: Any, lengths: Any, hashes: Any,
) -> Any:  # fmt: skip
    """Scan the object of a row in ``[at, end)``; say whether it is fine."""
    at = _space_end(at)
    if _byte(at) != 123:
        return False
    at = _space_end(at + _ONE)
    if _byte(at) == 125:
        return at < end and _space_end(at + _ONE) >= end
    while at < end:
        value = _colon_end(at, end)
        if value == 0 or value >= end:
            return False
        stop = value - _ONE
        while _byte(stop) != 34:
            stop -= _ONE
        wanted = _key(at + _ONE, stop, names, starts, sizes, slots)
        byte = _byte(value)
        nested = byte == 123 or byte == 91
        at = _nested_end(value, end) if nested else _value_end(value, end)
        if at == 0 or at >= end or wanted == -2 or (wanted >= 0 and lengths[wanted, row] > 0):
            return False
        if wanted >= 0:
            begins[wanted, row], lengths[wanted, row] = value - base, at - value
            hashes[wanted, row] = _hash(value, at - value)
        at = _space_end(at)
        if _byte(at) != 44:
            return _byte(at) == 125 and at < end and _space_end(at + _ONE) >= end
        at = _space_end(at + _ONE)
    return False


@_kernel(
    "boolean(uint64, int64[::1], uint64, int64[::1], int64[::1], int16[::1], "
    "int64[:, ::1], int64[:, ::1], uint64[:, ::1])"
)
def scan_all(
    base: Any, ends: Any, names: Any, starts: Any, sizes: Any, slots: Any,
    begins: Any, lengths: Any, hashes: Any,
) -> Any:  # fmt: skip
    """Scan all objects; say whether each is fine."""
    at = base
    for row in range(len(ends)):
        end = base + np.uint64(ends[row])
        if not _scan(base, at, end, row, names, starts, sizes, slots, begins, lengths, hashes):
            return False
        at = end
    return True


@_kernel("int64(uint64, int64[::1], int64[::1], uint64[::1], int32[::1], int32[::1], int32[::1])")
def number_values(
    base: Any, begins: Any, lengths: Any, hashes: Any, slots: Any, firsts: Any, out: Any
) -> Any:
    """Give equal bytes equal numbers in `out`, the first row of each in `firsts`; return how many.

    `slots` has a power of two of places, more than rows, all 0.
    """
    mask, count = np.uint64(len(slots) - 1), 0
    for row in range(len(out)):
        code, length = hashes[row], lengths[row]
        slot = code & mask
        while True:
            number = slots[slot] - 1
            if number < 0:
                number = count
                slots[slot], firsts[count] = count + 1, row
                count += 1
                break
            first = firsts[number]
            if (
                hashes[first] == code
                and lengths[first] == length
                and _equal(
                    base + np.uint64(begins[first]),
                    base + np.uint64(begins[row]),
                    np.uint64(length),
                )
            ):
                break
            slot = (slot + _ONE) & mask
        out[row] = number
    return count


@_kernel("int64(int64[::1], int32[::1], int32[::1], int32[::1])")
def number_codes(codes: Any, slots: Any, firsts: Any, out: Any) -> Any:
    """Do as `number_values` for numbers."""
    mask, count = np.uint64(len(slots) - 1), 0
    for row in range(len(out)):
        code = np.uint64(codes[row]) * _PRIME
        slot = (code ^ (code >> np.uint64(32))) & mask
        while True:
            number = slots[slot] - 1
            if number < 0:
                number = count
                slots[slot], firsts[count] = count + 1, row
                count += 1
                break
            if codes[firsts[number]] == codes[row]:
                break
            slot = (slot + _ONE) & mask
        out[row] = number
    return count
