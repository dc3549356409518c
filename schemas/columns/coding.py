"""Compiled code that gives equal things equal numbers.

*Codes* are numbers that stay: a value of a key keeps its code from batch to batch, kept as
its bytes in an arena, and so does a pair of codes. *Numbers* count from 0 in one batch.

Tables are open-addressing, at most half full. Whoever sends made-up values may make their
hashes meet, so a search gives up after `PROBES` steps, as if the table were full.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.columns.memory import PRIME, copy, equal, kernel

PROBES = 256
_ONE, _29, _32 = map(np.uint64, (1, 29, 32))
#: Places in the `fill` of values: how many there are, and bytes of them.
COUNT, BYTES = 0, 1


@kernel(
    "int64(uint64, uint64, uint64, int64, uint64, int64, int32[::1], uint64[::1], int64[::1], "
    "int64[::1], int64[::1])",
    inline=True,
)
def code_value(
    at: Any, length: Any, hashed: Any, key: Any, arena: Any, room: Any,
    slots: Any, hashes: Any, kinds: Any, starts: Any, fill: Any,
) -> Any:  # fmt: skip
    """Return the code of a value, 1 or more, given to it if it is new; 0 if there is no room.

    Parameters
    ----------
    at, length, hashed
        The bytes and their hash.
    key
        Number of the key whose value it is.
    arena, room
        Where bytes are kept, and how many fit.
    slots, hashes, kinds, starts
        The table: code by slot; of each code its hash, key and length, and place in the arena.
    fill
        See `COUNT`.
    """
    hashed ^= np.uint64(key + 1) * PRIME
    hashed ^= hashed >> _29
    kind = (np.int64(key) << 32) | np.int64(length)
    mask = np.uint64(len(slots) - 1)
    slot = hashed & mask
    for _ in range(PROBES):
        code = slots[slot]
        if code == 0:
            code = fill[COUNT] + 1
            if code >= len(hashes) or fill[BYTES] + np.int64(length) > room:
                return np.int64(0)
            slots[slot], hashes[code], kinds[code], starts[code] = code, hashed, kind, fill[BYTES]
            copy(at, arena + np.uint64(fill[BYTES]), length)
            fill[COUNT] = code
            fill[BYTES] += np.int64(length)
            return np.int64(code)
        place = np.uint64(code)
        if (
            hashes[place] == hashed
            and kinds[place] == kind
            and equal(arena + np.uint64(starts[place]), at, length)
        ):
            return np.int64(code)
        slot = (slot + _ONE) & mask
    return np.int64(0)


@kernel("boolean(int32[::1], int32[::1], int64, int32[::1], int64[::1], int64[::1], int32[::1])")
def code_pairs(
    one: Any, other: Any, offset: Any, slots: Any, pairs: Any, fill: Any, out: Any
) -> Any:
    """Give each pair of codes a code, in `out`; return whether there was room.

    Parameters
    ----------
    offset
        Added to the codes of `one`, so that those of pairs are told from those of values.
    slots, pairs
        The table: code by slot, and the pair of each code.
    fill
        How many codes there are.
    """
    mask = np.uint64(len(slots) - 1)
    for row in range(len(out)):
        pair = ((np.int64(one[row]) + offset) << 32) | np.int64(other[row])
        hashed = np.uint64(pair) * PRIME
        hashed = (hashed ^ (hashed >> _29)) * PRIME
        slot = (hashed ^ (hashed >> _32)) & mask
        for _ in range(PROBES):
            code = slots[slot]
            if code == 0:
                code = fill[0] + 1
                if code >= len(pairs):
                    return False
                slots[slot], pairs[code], fill[0] = code, pair, code
            if pairs[np.uint64(code)] == pair:
                out[row] = code
                break
            slot = (slot + _ONE) & mask
        else:
            return False
    return True


@kernel("int64(int32[::1], int32[::1], int32[::1], int32[::1])")
def number(codes: Any, scratch: Any, firsts: Any, out: Any) -> Any:
    """Give equal codes equal numbers in `out`, first met first; return how many there are.

    Parameters
    ----------
    scratch
        An item for each code there is, all 0; so they are again in the end.
    firsts
        Filled with the first row of each number.
    """
    count = 0
    for row in range(len(codes)):
        code = np.uint64(codes[row])
        place = scratch[code]
        if place == 0:
            firsts[count] = row
            count += 1
            scratch[code] = place = count
        out[row] = place - 1
    for place in range(count):
        scratch[np.uint64(codes[np.uint64(firsts[place])])] = 0
    return count


@kernel("void(int32[::1], int64[::1], int32[::1], int32[::1], int32[::1], int64[::1])")
def number_parts(codes: Any, ends: Any, scratch: Any, used: Any, out: Any, counts: Any) -> Any:
    """Do as `number` for parts of `codes`, each by itself.

    Parameters
    ----------
    ends
        Where each part ends.
    scratch
        See `number`.
    used
        Filled with the codes of each part, first met first, the parts one behind the other.
    counts
        Filled with how many each part has.
    """
    row, total = np.int64(0), np.int64(0)
    for part in range(len(ends)):
        first = total
        while row < ends[part]:
            code = np.uint64(codes[row])
            place = scratch[code]
            if place == 0:
                used[total] = codes[row]
                total += 1
                scratch[code] = place = total - first
            out[row] = place - 1
            row += 1
        counts[part] = total - first
        for at in range(first, total):
            scratch[np.uint64(used[np.uint64(at)])] = 0


@kernel("int64(uint64, int64[::1], int32[::1], int32[::1], uint64, int64[::1])")
def gather(base: Any, ends: Any, begins: Any, lengths: Any, target: Any, out: Any) -> Any:
    """Copy a value of each object to `target`, end to end; `out` is where each ends there.

    `begins` count from the beginning of the object, the last of which is at ``ends[-1]``.
    """
    total, start = np.int64(0), np.int64(0)
    for row in range(len(ends)):
        length = np.int64(lengths[row])
        copy(base + np.uint64(start + begins[row]), target + np.uint64(total), np.uint64(length))
        total += length
        out[row] = total
        start = ends[row]
    return total
