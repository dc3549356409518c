r"""Many literals looked for in the raw JSON of many events at once, by compiled code.

Keywords are looked for in every value of an event, and to take it apart for that costs more
than all else together. Its raw bytes hold every value as it is, but for escapes, so a literal
that they lack is in none of them: what is found here may be no match, what is not found is
none. `unusual` says of which events that does not hold.

At each byte the next three, in lower case, are looked up in a table of 65,536 bits; where one
is set, the literals with such three bytes at their rarest place are compared in full (Wu and
Manber, "A fast algorithm for multi-pattern searching", 1994, without the shifts: the bits fit
into the nearest cache and a byte takes less than a nanosecond, an automaton of 400 literals
four).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Shorter literals are not looked for.
SHORTEST: Final = 3
_BITS: Final = 16
_PRIME: Final = np.uint32(0x9E3779B1)
_LOWER: Final = np.uint32(0x202020)
_SHIFT: Final = np.uint32(32 - _BITS)
_8, _16 = np.uint32(8), np.uint32(16)
_3, _7, _1 = np.uint64(3), np.uint64(7), np.uint8(1)
_PAD: Final = bytes(8)
_BLOCK: Final = 64
#: Events searched together: they fit into the cache.
_TOGETHER: Final = 256
_NOT_IN_STRINGS: Final = ("true", "false", "null")


def searchable(literal: str) -> bool:
    """Say whether a folded literal can be looked for in plain JSON.

    One of several lines cannot: it may be of several values.
    """
    return len(literal) >= SHORTEST and "\n" not in literal


def unusual(raws: Sequence[bytes]) -> list[int]:
    r"""Return the rows of events of which not every value is in their JSON as it is.

    Values are, but for the escapes that must be, in ASCII without ``\u`` (which may stand
    for anything) and ``\/``.
    """
    joined = b"".join(raws)
    odd = [] if joined.isascii() else [row for row, raw in enumerate(raws) if not raw.isascii()]
    if b"\\" not in joined:
        return odd
    escaped = [row for row, raw in enumerate(raws) if b"\\" in raw]
    more = [row for row in escaped if b"\\u" in raws[row] or b"\\/" in raws[row]]
    return sorted({*odd, *more})


class Needles:
    """Literals prepared to be looked for; all `searchable`.

    Parameters
    ----------
    literals
        Folded.
    sample
        Raw JSON by which the rarest places of literals are told.
    """

    def __init__(self, literals: Sequence[str], sample: Sequence[bytes]) -> None:
        self.count = len(literals)
        # What is no ASCII is in no plain event: an empty needle, which is never found.
        encoded = [_escaped(text) if text.isascii() else b"" for text in literals]
        self._lengths = np.array([len(each) for each in encoded], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._pool = np.frombuffer(bytearray().join([*encoded, _PAD]), np.uint8)
        self._worded = np.array([_only_in_strings(text) for text in literals], np.bool_)
        grams = _grams(np.frombuffer(b"".join(sample) + _PAD, np.uint8))
        common = np.bincount(grams, minlength=1 << _BITS)
        self._heads = np.full(1 << _BITS, -1, np.int32)
        self._nexts = np.full(len(encoded), -1, np.int32)
        self._places = np.zeros(len(encoded), np.int64)
        self._bits = np.zeros(1 << (_BITS - 3), np.uint8)
        for number, text in enumerate(encoded):
            if text:
                self._add(number, text, common)

    def _add(self, number: int, text: bytes, common: NDArray[np.int64]) -> None:
        codes = _grams(np.frombuffer(text + _PAD, np.uint8))[: len(text) - SHORTEST + 1]
        place = int(np.argmin(common[codes]))
        code = int(codes[place])
        self._places[number] = place
        self._nexts[number] = self._heads[code]
        self._heads[code] = number
        self._bits[code >> 3] |= 1 << (code & 7)

    def find(self, raws: Sequence[bytes]) -> dict[int, list[int]]:
        """Return the literals that are found in each event, by row, where there are any."""
        found: dict[int, list[int]] = defaultdict(list)
        for start in range(0, len(raws), _TOGETHER):
            for row, number in self._of(raws[start : start + _TOGETHER]):
                found[start + row].append(number)
        return found

    def _of(self, raws: Sequence[bytes]) -> Iterator[tuple[int, int]]:
        data = np.frombuffer(bytearray().join([*raws, _PAD]), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)))
        rows = np.empty(4 * len(raws) + self.count, np.int32)
        which = np.empty(len(rows), np.int32)
        last = np.full(self.count, -1, np.int64)
        done = 0
        while done < len(raws):
            done, count = _find(
                data, ends, done, self._bits, self._heads, self._nexts, self._places,
                self._pool, self._starts, self._lengths, self._worded, last, rows, which,
            )  # fmt: skip
            yield from zip(rows[:count].tolist(), which[:count].tolist(), strict=True)


def _escaped(text: str) -> bytes:
    """Return a literal as it is in JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _only_in_strings(text: str) -> bool:
    """Say whether a literal can be inside strings only: not in numbers, nor in words."""
    return any(map(str.isalpha, text)) and not any(text in word for word in _NOT_IN_STRINGS)


def _grams(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the code of the three bytes at each place, as `_find` makes it."""
    wide = data.astype(np.uint32)
    three = wide[:-2] | (wide[1:-1] << np.uint32(8)) | (wide[2:] << np.uint32(16))
    codes = ((three | _LOWER) * _PRIME) >> _SHIFT
    found: NDArray[np.int64] = codes.astype(np.int64)
    return found


@njit("boolean(uint8[::1], int64, int64)", cache=True, nogil=True)
def _in_key(data: Any, at: Any, end: Any) -> Any:
    """Say whether the string that goes on at a place is a key: a colon follows it."""
    while at < end and data[at] != 34:
        at += 2 if data[at] == 92 else 1
    at += 1
    while at < end and (data[at] == 32 or 9 <= data[at] <= 13):
        at += 1
    return at < end and data[at] == 58


@njit(
    "boolean(uint8[::1], int64, int64, uint8[::1], int64, int64, boolean)",
    cache=True,
    nogil=True,
)
def _is_here(
    data: Any, start: Any, end: Any, pool: Any, begin: Any, length: Any, worded: Any
) -> Any:
    """Say whether a literal is at a place of an event that ends at `end`, in no key."""
    for offset in range(length):
        byte = data[start + offset]
        if 65 <= byte <= 90:
            byte += 32
        if byte != pool[begin + offset]:
            return False
    return not (worded and _in_key(data, start + length, end))


@njit("uint64(uint8[::1], uint64, uint64, uint8[::1])", cache=True, nogil=True)
def _hits(data: Any, begin: Any, end: Any, bits: Any) -> Any:
    """Count the places whose next three bytes are those of a literal; this is vectorised."""
    count, one, two = np.uint64(0), data[1:], data[2:]
    for at in range(begin, end):
        three = np.uint32(data[at]) | np.uint32(one[at]) << _8 | np.uint32(two[at]) << _16
        code = np.uint64(np.uint32((three | _LOWER) * _PRIME) >> _SHIFT)
        count += np.uint64(bits[code >> _3] >> np.uint8(code & _7) & _1)
    return count


@njit(
    "UniTuple(int64, 2)(uint8[::1], int64[::1], int64, uint8[::1], int32[::1], int32[::1], "
    "int64[::1], uint8[::1], int64[::1], int64[::1], boolean[::1], int64[::1], int32[::1], "
    "int32[::1])",
    cache=True,
    nogil=True,
)
def _find(
    data: Any, ends: Any, row: Any, bits: Any, heads: Any, nexts: Any, places: Any,
    pool: Any, starts: Any, lengths: Any, worded: Any, last: Any, rows: Any, which: Any,
) -> Any:  # fmt: skip
    """Search events from `row` on; return the event to go on with, and how many were found.

    `last` is, by literal, the last event that it was found in.
    """
    count = 0
    while row < len(ends) and count + len(last) <= len(rows):
        begin, end = ends[row - 1] if row else 0, ends[row]
        for block in range(begin, end - 2, _BLOCK):
            stop = min(block + _BLOCK, end - 2)
            if _hits(data, np.uint64(block), np.uint64(stop), bits) == 0:
                continue
            for at in range(block, stop):
                three = data[at] | np.uint32(data[at + 1]) << _8 | np.uint32(data[at + 2]) << _16
                code = np.uint64(np.uint32((three | _LOWER) * _PRIME) >> _SHIFT)
                if bits[code >> _3] >> np.uint8(code & _7) & _1 == 0:
                    continue
                number = heads[code]
                while number >= 0:
                    start, length = at - places[number], lengths[number]
                    if (
                        last[number] != row
                        and start >= begin
                        and start + length <= end
                        and _is_here(data, start, end, pool, starts[number], length, worded[number])
                    ):
                        last[number], rows[count], which[count] = row, row, number
                        count += 1
                    number = nexts[number]
        row += 1
    return row, count
