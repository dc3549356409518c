"""Compiled building blocks: stable string hashes, a bounded table; `kernel` compiles them.

A `Table` maps 64-bit keys to rows of columns that compiled loops read and write. It never
grows: the loop stops before the first key that does not fit, `Table.age` drops the least
recently used half and counts it, and the loop goes on. Because that happens at the same
event whatever the batch boundaries, a replay ends in the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.batch import Strings
from schemas.columns.compiled import kernel as kernel
from sentinel.errors import SchemaError

#: Distinct strings whose hash is remembered by the process (about 200 B each).
HASH_MEMO = 65_536
#: Odd 64-bit constants of splitmix64 (Steele, Lea, Flood 2014, "Fast splittable PRNGs").
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class _Hashes:
    """BLAKE2b of strings, remembered.

    Cryptographic, because a made-up value that hashes like a known one would pass for it.
    The last columns asked for are kept whole, and as taken for rows (every model of a batch asks
    for the same ones), known by the identity of lists and arrays, which holding on to them keeps
    their own.
    """

    COLUMNS = 24

    def __init__(self) -> None:
        # copying a fresh state takes half the time of making one
        self._fresh = blake2b(digest_size=8)
        self._known: dict[str, int] = {"": 0}
        self._columns: dict[int, tuple[list[str], NDArray[np.uint64]]] = {}
        self._taken: dict[tuple[int, int, int], tuple[Strings, Any, NDArray[np.uint64]]] = {}

    def at(self, column: Strings, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the hash of the value at each of `rows`."""
        values, index = column.values, column.index
        place = (id(values), id(index), id(rows))
        held = self._taken.get(place)
        if held is None:
            if len(self._taken) >= self.COLUMNS:
                self._taken.clear()
            found = self.of(values).take(index.take(rows))
            held = self._taken[place] = (Strings(values, index), rows, found)
        return held[2]

    def of(self, values: list[str]) -> NDArray[np.uint64]:
        """Return the hash of each of `values`."""
        held = self._columns.get(id(values))
        if held is None:
            if len(self._columns) >= self.COLUMNS:
                self._columns.clear()
            held = self._columns[id(values)] = (values, self.look_up(values))
        return held[1]

    def look_up(self, values: list[str]) -> NDArray[np.uint64]:
        """Return the hashes, working out those not known; forget all when there are too many."""
        known = self._known
        try:  # nearly always all are
            return np.fromiter(map(known.__getitem__, values), np.uint64, len(values))
        except KeyError:
            pass
        missing = [value for value in values if value not in known]
        if missing:
            if len(known) + len(missing) > HASH_MEMO:
                # a new one: another thread may be reading the old
                known = self._known = {"": 0}
                missing = [value for value in values if value]
            digests = np.frombuffer(b"".join(map(self._digest, missing)), dtype="<u8")
            known.update(zip(missing, digests.tolist(), strict=True))
        return np.array([known[value] for value in values], dtype=np.uint64)

    def _digest(self, text: str) -> bytes:
        """Return the 8 bytes of one hash."""
        state = self._fresh.copy()
        state.update(text.encode("utf-8", "surrogatepass"))
        return state.digest()


_hashes = _Hashes()


def hash_column(column: Strings, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return uint64[len(rows)]: the hash of each row's string, the same in every process.

    Each distinct string is hashed once; 0 is the empty string. Not to be written to: who asks
    again for the same rows of the same column gets the same array.
    """
    return _hashes.at(column, rows)


def hash_texts(values: list[str]) -> NDArray[np.uint64]:
    """Return uint64[len(values)]: the hash of each string; 0 is the empty one."""
    return _hashes.look_up(values)


@kernel("uint64(uint64)")
def mix(key: Any) -> Any:
    """Spread the bits of `key` over all 64 (the finaliser of splitmix64)."""
    key = (key ^ (key >> np.uint64(30))) * _MIX_1
    key = (key ^ (key >> np.uint64(27))) * _MIX_2
    return key ^ (key >> np.uint64(31))


@kernel("int64(uint64[::1], int32[::1], uint64)")
def find(keys: Any, slots: Any, key: Any) -> Any:
    """Return the row of `key`, or -1."""
    mask = np.uint64(len(slots) - 1)
    at = key & mask
    while slots[at] != 0:
        # unsigned: numba checks signed indices for wrapping
        row = np.uint64(slots[at] - 1)
        if keys[row] == key:
            return np.int64(row)
        at = (at + np.uint64(1)) & mask
    return np.int64(-1)


@kernel("int64(uint64[::1], int32[::1], int64[::1], uint64)")
def insert(keys: Any, slots: Any, size: Any, key: Any) -> Any:
    """Add `key`, known to be absent and to fit; return its row."""
    mask = np.uint64(len(slots) - 1)
    at = key & mask
    while slots[at] != 0:
        at = (at + np.uint64(1)) & mask
    row = size[0]
    keys[row] = key
    slots[at] = row + 1
    size[0] = row + 1
    return row


@kernel("void(uint64[::1], int32[::1], int64)")
def _index(keys: Any, slots: Any, size: Any) -> Any:
    """Fill the empty `slots` from the first `size` keys."""
    mask = np.uint64(len(slots) - 1)
    for row in range(size):
        at = keys[row] & mask
        while slots[at] != 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = row + 1


class Table:
    """A bounded map from well-mixed 64-bit keys to rows of `columns`.

    Parameters
    ----------
    capacity
        Most rows held.
    columns
        Name → (dtype, width); width 0 is one value a row.

    Attributes
    ----------
    keys, slots, size, last
        ``uint64[capacity]``; ``int32`` open-addressing slots, at most half full;
        ``int64[1]`` rows in use; ``int64[capacity]`` when each row was last used.
    evictions
        Rows dropped since the start.
    """

    def __init__(self, capacity: int, columns: Mapping[str, tuple[str, int]]) -> None:
        self.capacity = capacity
        self.evictions = 0
        self.keys = np.zeros(capacity, np.uint64)
        self.last = np.zeros(capacity, np.int64)
        self.size = np.zeros(1, np.int64)
        self.slots = np.zeros(1 << (2 * capacity - 1).bit_length(), np.int32)
        self.columns: dict[str, NDArray[Any]] = {
            name: np.zeros((capacity, width) if width else capacity, dtype)
            for name, (dtype, width) in columns.items()
        }

    def __len__(self) -> int:
        return int(self.size[0])

    def age(self) -> NDArray[np.int64]:
        """Keep the more recently used half; return the old row numbers that were kept."""
        last = self.last[: len(self)]
        kept = np.flatnonzero(last > np.partition(last, len(last) // 2)[len(last) // 2])
        self.keep(kept)
        return kept

    def keep(self, kept: NDArray[np.int64]) -> None:
        """Keep only the rows `kept` (ascending), close the gaps and count the others."""
        self.evictions += len(self) - len(kept)
        for array in (self.keys, self.last, *self.columns.values()):
            array[: len(kept)] = array[kept]
            array[len(kept) :] = 0
        self._resize(len(kept))

    def state(self) -> dict[str, Any]:
        """Return the rows in use, for `load`."""
        size = len(self)
        arrays = {"keys": self.keys, "last": self.last} | self.columns
        return {name: array[:size].copy() for name, array in arrays.items()} | {
            "evictions": self.evictions
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned; raise `SchemaError` where it does not fit."""
        arrays = {"keys": self.keys, "last": self.last} | self.columns
        size = len(state.get("keys", ()))
        for name, array in arrays.items():
            found = state.get(name)
            if found is None or found.dtype != array.dtype or size > self.capacity:
                raise SchemaError(f"expected column {name!r} of {array.dtype}, found another table")
            if found.shape != (size, *array.shape[1:]):
                raise SchemaError(f"expected {size} rows of column {name!r}, found {found.shape}")
            array[:size] = found
            array[size:] = 0
        self.evictions = int(state["evictions"])
        self._resize(size)

    def _resize(self, size: int) -> None:
        """Set the number of rows and index them anew."""
        self.size[0] = size
        self.slots[:] = 0
        _index(self.keys, self.slots, size)


def load_arrays(own: Mapping[str, NDArray[Any]], found: Mapping[str, Any]) -> None:
    """Copy `found` into `own`; raise `SchemaError` where a shape or type differs."""
    for name, array in own.items():
        other = found.get(name)
        if (
            not isinstance(other, np.ndarray)
            or other.shape != array.shape
            or other.dtype != array.dtype
        ):
            raise SchemaError(f"expected {name} of {array.dtype}{array.shape}, found another")
    for name, array in own.items():
        array[:] = found[name]
