"""Compiled building blocks over raw memory: words, vectors, hashes, comparisons, copies.

Addresses are unsigned 64-bit numbers. Reads go in whole words and vectors: up to `PAD` bytes
behind the last one must be readable.

Special bytes are found 32 at a time with vector comparisons, which every processor that LLVM
knows has in one width or another (Langdale and Lemire 2019, "Parsing Gigabytes of JSON per
Second", section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from schemas.columns.compiled import kernel as kernel

#: Bytes that may be read behind the last one.
PAD = bytes(64)
PRIME = np.uint64(0x9E3779B97F4A7C15)
_PRIME_2, _PRIME_3 = np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_ONE, _3, _8, _29, _32 = map(np.uint64, (1, 3, 8, 29, 32))
_intrinsic = cast("Callable[[Callable[..., Any]], Any]", intrinsic)
_WIDTH = 32


def address(array: NDArray[Any]) -> np.uint64:
    """Return where the items of an array begin."""
    return np.uint64(array.ctypes.data)


@_intrinsic
def word(_context: Any, address: Any) -> Any:
    """Read the little-endian word at an address, aligned or not."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)

    return types.uint64(types.uint64), generate


@_intrinsic
def put_word(_context: Any, address: Any, value: Any) -> Any:
    """Write a word to an address, aligned or not; return it."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)
        return args[1]

    return types.uint64(types.uint64, types.uint64), generate


@_intrinsic
def byte_at(_context: Any, address: Any) -> Any:
    """Read the byte at an address."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        byte = builder.load(builder.inttoptr(args[0], ir.IntType(8).as_pointer()))
        return builder.zext(byte, ir.IntType(64))

    return types.int64(types.uint64), generate


@_intrinsic
def trailing(_context: Any, word: Any) -> Any:
    """Count the zero bits below the lowest bit that is set."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


def _vector(builder: Any, address: Any) -> Any:
    kind = ir.VectorType(ir.IntType(8), _WIDTH)
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _bits(builder: Any, flags: Any) -> Any:
    return builder.zext(builder.bitcast(flags, ir.IntType(_WIDTH)), ir.IntType(64))


@_intrinsic
def special(_context: Any, address: Any) -> Any:
    """Return a bit for each of 32 bytes: it is a quote, a backslash or a control character."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        found = _vector(builder, args[0])

        def each(byte: int) -> Any:
            return ir.Constant(found.type, [ir.Constant(ir.IntType(8), byte)] * _WIDTH)

        flags = builder.or_(
            builder.or_(
                builder.icmp_unsigned("==", found, each(34)),
                builder.icmp_unsigned("==", found, each(92)),
            ),
            builder.icmp_unsigned("<", found, each(32)),
        )
        return _bits(builder, flags)

    return types.uint64(types.uint64), generate


@_intrinsic
def differ(_context: Any, one: Any, other: Any) -> Any:
    """Return a bit for each of 32 bytes: it differs between two places."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        one, other = _vector(builder, args[0]), _vector(builder, args[1])
        return _bits(builder, builder.icmp_unsigned("!=", one, other))

    return types.uint64(types.uint64, types.uint64), generate


@kernel("uint64(uint64, uint64)", inline=True)
def hash_of(at: Any, length: Any) -> Any:
    """Return a hash of bytes. Only speed hangs on it: equal hashes are compared in full.

    Two lanes, so that one need not wait for the multiplication of the other.
    """
    code, more = length * PRIME, _PRIME_2
    end = at + length
    while at + _8 + _8 <= end:
        code = (code ^ word(at)) * _PRIME_2
        more = (more ^ word(at + _8)) * _PRIME_3
        code ^= code >> _29
        more ^= more >> _32
        at += _8 + _8
    if at + _8 <= end:
        code = (code ^ word(at)) * _PRIME_2
        code ^= code >> _29
        at += _8
    left = end - at
    if left:
        more = (more ^ (word(at) & ((_ONE << (left << _3)) - _ONE))) * _PRIME_3
        more ^= more >> _32
    code = (code ^ (more >> _29) ^ more) * PRIME
    return code ^ (code >> _32)


@kernel("boolean(uint64, uint64, uint64)", inline=True)
def equal(one: Any, other: Any, length: Any) -> Any:
    """Return whether so many bytes are the same at two places."""
    width, place = np.uint64(_WIDTH), np.uint64(0)
    while place + width <= length:
        if differ(one + place, other + place) != 0:
            return False
        place += width
    left = length - place
    if left == 0:
        return True
    return (differ(one + place, other + place) & ((_ONE << left) - _ONE)) == 0


@kernel("void(uint64, uint64, uint64)", inline=True)
def copy(source: Any, target: Any, length: Any) -> Any:
    """Copy bytes; up to 7 behind the last one are overwritten as well."""
    place = np.uint64(0)
    while place < length:
        put_word(target + place, word(source + place))
        place += _8
