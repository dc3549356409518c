"""Many JSON objects as columns: where each wanted key's value lies, and which are the same.

Audit logs repeat themselves: of 5,000 CloudTrail records there are some 200 different
``userIdentity`` and as many ``userAgent``. So a batch is scanned once (`schemas.columns.scan`),
equal bytes of a key's values get equal numbers, and whoever needs a value decodes each
different one once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from schemas.columns.records import Alike
from schemas.columns.scan import PAD, SLOTS, number_codes, number_values, place_keys, scan_all


class Keys:
    """The top-level keys that are wanted; made once, for many batches."""

    def __init__(self, names: Sequence[str]) -> None:
        encoded = [name.encode() for name in names]
        self.place = {name: place for place, name in enumerate(names)}
        self.sizes = np.array([len(name) for name in encoded], np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.names = np.frombuffer(b"".join(encoded) + PAD, np.uint8)
        self.slots = np.full(SLOTS, -1, np.int16)
        if len(encoded) > SLOTS // 2:
            raise ValueError(f"expected at most {SLOTS // 2} keys, found {len(encoded)}")
        place_keys(_address(self.names), self.starts, self.sizes, self.slots)


class Spans:
    """Where the values of the wanted keys of many objects lie.

    Attributes
    ----------
    joined
        All objects, one behind the other, and some bytes behind them.
    ends
        int64[rows], where each ends in `joined`.
    begins, lengths
        int64[keys, rows], bytes of each value in `joined`; length 0: the key is absent.
    """

    def __init__(self, keys: Keys, raws: Sequence[bytes]) -> None:
        self._keys = keys
        self.joined = b"".join([*raws, PAD])
        self.ends = np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)))
        self._bytes = np.frombuffer(self.joined, np.uint8)
        self._base = _address(self._bytes)
        shape = (len(keys.place), len(raws))
        self.begins = np.zeros(shape, np.int64)
        self.lengths = np.zeros(shape, np.int64)
        self._hashes = np.zeros(shape, np.uint64)
        self._alike: dict[tuple[str, ...], Alike] = {}

    @classmethod
    def of(cls, keys: Keys, raws: Sequence[bytes]) -> Self | None:
        """Scan objects; None where one of them is unusual, or no strict JSON object."""
        spans = cls(keys, raws)
        try:
            if not spans.joined.isascii():
                spans.joined.decode()  # objects begin with ASCII: no character is of two of them
        except UnicodeDecodeError:
            return None
        accepted = scan_all(
            spans._base, spans.ends, _address(keys.names), keys.starts, keys.sizes, keys.slots,
            spans.begins, spans.lengths, spans._hashes,
        )  # fmt: skip
        return spans if accepted else None

    def knows(self, key: str) -> bool:
        """Say whether a key was looked for."""
        return key in self._keys.place

    def texts(self, key: str, rows: slice | NDArray[np.int32] = slice(None)) -> list[bytes]:
        """Return the JSON texts of the values of a key, empty where it is absent."""
        place, joined = self._keys.place[key], self.joined
        begins = self.begins[place, rows]
        ends = (begins + self.lengths[place, rows]).tolist()
        return [joined[begin:end] for begin, end in zip(begins.tolist(), ends, strict=True)]

    def alike(self, *keys: str) -> Alike:
        """Say which rows have the same bytes in all of `keys`."""
        found = self._alike.get(keys)
        if found is None:
            found = self._one(keys[0]) if len(keys) == 1 else self._several(keys)
            self._alike[keys] = found
        return found

    def _one(self, key: str) -> Alike:
        place, rows = self._keys.place[key], len(self.ends)
        slots, firsts, index = _room(rows)
        count = number_values(
            self._base, self.begins[place], self.lengths[place], self._hashes[place],
            slots, firsts, index,
        )  # fmt: skip
        return Alike(index, firsts[:count])

    def _several(self, keys: Sequence[str]) -> Alike:
        return _combined([self.alike(key) for key in keys], slice(None))

    def among(self, keys: Sequence[str], rows: NDArray[np.int64]) -> Alike:
        """Do as `alike` for some rows; `firsts` are places in `rows`."""
        parts = [self.alike(key) for key in keys]
        return _combined(parts if len(parts) > 1 else parts * 2, rows)


def _combined(parts: Sequence[Alike], rows: slice | NDArray[np.int64]) -> Alike:
    """Return which of `rows` are alike in all of two or more `parts`."""
    found = Alike(parts[0].index[rows], parts[0].firsts)
    for part in parts[1:]:
        codes = found.index.astype(np.int64) * len(part.firsts) + part.index[rows]
        slots, firsts, index = _room(len(codes))
        count = number_codes(codes, slots, firsts, index)
        found = Alike(index, firsts[:count])
    return found


def _room(rows: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return slots, firsts and index for numbering so many rows."""
    slots = np.zeros(1 << (2 * rows).bit_length(), np.int32)
    return slots, np.empty(rows, np.int32), np.empty(rows, np.int32)


def _address(array: NDArray[Any]) -> np.uint64:
    return np.uint64(array.ctypes.data)
