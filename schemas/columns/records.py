"""Events of one batch that are decoded only where, and only as far as, somebody looks.

`Records` is a sequence of events that look like those of a decoder, but each attribute, a
top-level key, is decoded when it is asked for, once for all rows whose bytes are the same
there (`schemas.columns.spans`). It also says which rows are alike, so that what follows from some
fields need not be worked out for every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from schemas.batch import Strings

if TYPE_CHECKING:  # numba takes half a second to load, and only streams of events need it
    from schemas.columns.spans import Spans


_NOT_YET: Final = object()
#: So few rows are looked at one by one: finding those that are alike takes longer.
FEW_ROWS: Final = 24


class Alike:
    """Which rows are alike in something.

    Attributes
    ----------
    index
        int32[rows], the number of each row's value; equal numbers, equal values.
    firsts
        The first row of each number.
    """

    __slots__ = ("firsts", "index")

    def __init__(self, index: NDArray[np.int32], firsts: NDArray[np.int32]) -> None:
        self.index = index
        self.firsts = firsts


class Cell(NamedTuple):
    """How one attribute is decoded: its key, and a decoder of JSON text."""

    key: str
    decode: Callable[[bytes], Any]
    required: bool


class Record:
    """One event; an attribute is decoded when it is first asked for."""

    def __init__(self, records: Records, row: int) -> None:
        self._records = records
        self._row = row

    def __getattr__(self, attr: str) -> Any:
        value = self.__dict__[attr] = self._records.value(self._row, attr)
        return value


class Records(Sequence[Any]):
    """A batch of events of which every one is an object that the scanner accepted.

    Parameters
    ----------
    raws
        The events.
    spans
        The scan of `raws`.
    cells
        How attributes are decoded, by name.
    whole
        Attribute that is the event's own bytes.
    """

    def __init__(
        self, raws: Sequence[bytes], spans: Spans, cells: Mapping[str, Cell], whole: str
    ) -> None:
        self.raws = raws
        self.spans = spans
        self._cells = cells
        self._whole = whole
        self._records: dict[int, Record] = {}
        self._values: dict[str, tuple[list[Any], list[int]]] = {}

    def __len__(self) -> int:
        return len(self.raws)

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Any]: ...
    def __getitem__(self, row: int | slice) -> Any:
        """Return an event."""
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        found = self._records.get(row)
        if found is None:
            if not 0 <= row < len(self):
                raise IndexError(f"expected a row below {len(self)}, found {row}")
            found = self._records[row] = Record(self, row)
        return found

    def value(self, row: int, attr: str) -> Any:
        """Return what an attribute of an event is; None where the key is absent.

        Raises
        ------
        ValueError
            Some event lacks what is required, or has another type there.
        """
        if attr == self._whole:
            return self.raws[row]
        known = self._values.get(attr)
        if known is None:
            if attr not in self._cells:
                raise AttributeError(attr)
            known = self._values[attr] = self._column(self._cells[attr])
        values, index = known
        found = values[index[row]]
        if found is _NOT_YET:
            (text,) = self.spans.texts(self._cells[attr].key, slice(row, row + 1))
            found = values[index[row]] = self._cells[attr].decode(text) if text else None
        return found

    def _column(self, cell: Cell) -> tuple[list[Any], list[int]]:
        """Return the value of each kind of a key, and the kind of each row.

        What is required is decoded at once, so that no event is taken that has another type.
        """
        kinds = self.spans.alike(cell.key)
        if not cell.required:
            return [_NOT_YET] * len(kinds.firsts), kinds.index.tolist()
        texts = self.spans.texts(cell.key, kinds.firsts)
        if b"" in texts:
            raise ValueError(f"expected {cell.key} in every event, found one without")
        return list(map(cell.decode, texts)), kinds.index.tolist()

    def alike(self, fields: Iterable[str | None], rows: NDArray[np.int64] | None = None) -> Alike:
        """Say which of `rows`, of all by default, are alike in the top-level keys of `fields`.

        No row is said to be like another where a field depends on the whole event, as its
        text does, and among a few rows.
        `firsts` are places in `rows`.
        """
        keys = sorted({field.partition(".")[0] if field else "" for field in fields})
        few = rows is not None and len(rows) <= FEW_ROWS
        if not few and keys and all(map(self.spans.knows, keys)):
            return self.spans.alike(*keys) if rows is None else self.spans.among(keys, rows)
        each = np.arange(len(self) if rows is None else len(rows), dtype=np.int32)
        return Alike(each, each)

    def numbers(self, value: Callable[[Any], int], *keys: str) -> NDArray[np.int64]:
        """Return ``value(event)`` of every row; it looks at `keys` of the event alone."""
        kinds = self.spans.alike(*keys)
        values = [value(self[row]) for row in kinds.firsts.tolist()]
        return np.array(values, np.int64)[kinds.index]

    def strings(self, value: Callable[[Any], str], *keys: str) -> Strings:
        """Return ``value(event)`` of every row as a column; it looks at `keys` alone."""
        kinds = self.spans.alike(*keys)
        distinct = Strings.of([value(self[row]) for row in kinds.firsts.tolist()])
        return Strings(distinct.values, distinct.index[kinds.index])
