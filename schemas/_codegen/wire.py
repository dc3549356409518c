"""What generated Avro codecs call: variable-length numbers and strings, both ways.

Source: Apache Avro 1.12 specification, "Binary Encoding". Integers are zigzag coded,
then written in groups of 7 bits, least significant first.
"""

from __future__ import annotations

from operator import index
from typing import Any

from sentinel.errors import SchemaError

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
_MEMO_STRINGS = 16_384
_MEMO_BYTES = 64

_LOW = [bytes((n,)) for n in range(128)]
#: Encodings of up to two bytes, by zigzag number.
TWO = _LOW + [bytes((n & 127 | 128, n >> 7)) for n in range(128, 16_384)]
_MORE = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(16_384)]


def put_long(value: int) -> bytes:
    """Return a ``long``; two bytes at a time from tables, which loops cannot match."""
    value = index(value)
    if not LONG_MIN <= value <= LONG_MAX:
        raise OverflowError(f"expected a 64-bit integer, found {value}")
    n = (value << 1) ^ (value >> 63)
    head = b""
    while n >= 16_384:
        head += _MORE[n & 16_383]
        n >>= 14
    return head + TWO[n]


class Longs(dict[int, bytes]):
    """Encoded ``long`` by value, of class int; remembers, since times come again."""

    def __missing__(self, value: int) -> bytes:
        if len(self) >= _MEMO_STRINGS:
            self.clear()
        encoded = self[value] = put_long(value)
        return encoded


def put_int(value: int) -> bytes:
    """Return an ``int``."""
    if not INT_MIN <= value <= INT_MAX:
        raise OverflowError(f"expected a 32-bit integer, found {value}")
    return put_long(value)


def put_bytes(value: Any) -> bytes:
    """Return anything with a buffer as ``bytes`` without its length."""
    return bytes(memoryview(value))


def put_parts(value: Any) -> list[bytes]:
    """Return, with its length in front, a list of bytes that are one, or what has a buffer."""
    if value.__class__ is list:
        return [put_long(sum(map(len, value))), *value]
    content = put_bytes(value)
    return [put_long(len(content)), content]


def put_fixed(value: Any, size: int) -> bytes:
    """Return anything with a buffer of `size` bytes as ``fixed``."""
    content = put_bytes(value)
    if len(content) != size:
        raise ValueError(f"expected {size} bytes, found {len(content)}")
    return content


class Strings(dict[str, bytes]):
    """Encoded ``string`` by value; remembers short ones, since columns repeat themselves."""

    def __missing__(self, value: str) -> bytes:
        encoded = value.encode()
        encoded = put_long(len(encoded)) + encoded
        if len(encoded) <= _MEMO_BYTES:
            if len(self) >= _MEMO_STRINGS:
                self.clear()
            self[value] = encoded
        return encoded


def get_long(data: bytes, at: int) -> tuple[int, int]:
    """Return the ``long`` at `at` and where it ends."""
    byte = data[at]
    at += 1
    n = byte & 127
    shift = 0
    while byte > 127:
        byte = data[at]
        at += 1
        shift += 7
        n |= (byte & 127) << shift
        if shift > 63:
            raise SchemaError("expected a number of at most 10 bytes, found a longer one")
    if n >> 64:
        raise SchemaError("expected a 64-bit number, found a larger one")
    return (n >> 1) ^ -(n & 1), at


def get_int(data: bytes, at: int) -> tuple[int, int]:
    """Return the ``int`` at `at` and where it ends."""
    value, at = get_long(data, at)
    if not INT_MIN <= value <= INT_MAX:
        raise SchemaError(f"expected a 32-bit number, found {value}")
    return value, at


def get_size(data: bytes, at: int) -> tuple[int, int]:
    """Return the length of a ``bytes`` or ``string`` at `at`, and where its content starts."""
    size, at = get_long(data, at)
    if size < 0:
        raise SchemaError(f"expected a length, found {size}")
    return size, at


def get_count(data: bytes, at: int, least: int) -> tuple[int, int]:
    """Return the number of items in the block at `at`, and where they start.

    Parameters
    ----------
    least
        Fewest bytes that an item takes.

    Raises
    ------
    SchemaError
        So many cannot be there.
    """
    count, at = get_long(data, at)
    if count < 0:
        count = -count
        _, at = get_size(data, at)
    room = (len(data) - at) // least
    if count > room:
        raise SchemaError(f"expected at most {room} more items, found {count} declared")
    return count, at


def get_index(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Return the place in an enum or union of `size` members, and where it ends."""
    place, at = get_long(data, at)
    if not 0 <= place < size:
        raise SchemaError(f"expected one of {size} members, found number {place}")
    return place, at
