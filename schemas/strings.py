"""A column of strings: the distinct ones, and for each row which of them it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray


class Strings(NamedTuple):
    """A dictionary-encoded string column.

    Attributes
    ----------
    values
        Distinct strings, first seen first.
    index
        int32[count], the place of each event's string in `values`.
    """

    values: list[str]
    index: NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.index, which no one calls

    @classmethod
    def of(cls, column: Sequence[str]) -> Self:
        """Encode one string per event."""
        if column and column.count(column[0]) == len(column):
            return cls([column[0]], np.zeros(len(column), np.int32))
        values = list(dict.fromkeys(column))
        places = dict(zip(values, range(len(values)), strict=True))
        index = np.fromiter(map(places.__getitem__, column), np.int32, len(column))
        return cls(values, index)

    def at(self, row: int) -> str:
        """Return the string of event `row`."""
        return self.values[int(self.index[row])]

    def record(self) -> dict[str, Any]:
        """Return it as the Avro record ``Strings``."""
        return {"values": self.values, "index": np.asarray(self.index, dtype="<i4").tobytes()}

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """Return what `record` made."""
        return cls(record["values"], np.frombuffer(record["index"], dtype="<i4"))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the strings at `rows`, with just the values that they use."""
        codes = self.index[rows]
        places = np.zeros(len(self.values), np.int32)  # marked, not sorted: codes are few
        places[codes] = 1
        used = np.flatnonzero(places)
        places[used] = np.arange(len(used), dtype=np.int32)
        return type(self)(list(map(self.values.__getitem__, used.tolist())), places[codes])

    def split(self, order: NDArray[np.int64], ends: NDArray[np.int64]) -> list[Strings]:
        """Return the parts of `order` that end at `ends`, each with just the values it uses."""
        from schemas.columns.coding import number_parts  # compiled code, which takes long to load

        codes = self.index[order]
        scratch = np.zeros(len(self.values), np.int32)
        used, index = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32)
        counts = np.empty(len(ends), np.int64)
        number_parts(codes, ends, scratch, used, index, counts)
        texts = list(map(self.values.__getitem__, used[: counts.sum()].tolist()))
        parts, start, first = [], 0, 0
        for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
            parts.append(Strings(texts[first : first + count], index[start:end]))
            start, first = end, first + count
        return parts
