"""Events of one batch that are decoded only where, and only as far as, somebody looks.

`Records` is a sequence of events that look like those of a decoder, but each attribute, a
top-level key, is decoded when it is asked for, once for all events, of this batch and of
others, whose bytes are the same there (`schemas.columns.lexicon`). It also says which rows
are alike, so that what follows from some fields need not be worked out for every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from schemas.batch import Strings

if TYPE_CHECKING:  # numba takes half a second to load, and only streams of events need it
    from schemas.columns.lexicon import Numbering, Spans


_NOT_YET: Final = object()
_QUOTE, _SLASH = ord('"'), ord("\\")
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


class Codes(NamedTuple):
    """What rows have in some keys, as codes that mean the same from batch to batch.

    Attributes
    ----------
    codes
        int32[rows], below `size`; equal codes, equal values.
    size
        How many codes there can be.
    memos
        For what follows from the codes, by whoever remembers it. It is another one as soon
        as the codes mean something else.
    """

    codes: NDArray[np.int32]
    size: int
    memos: dict[Any, Any]


class Cell(NamedTuple):
    """How one attribute is decoded: its key, and a decoder of JSON text."""

    key: str
    decode: Callable[[bytes], Any]
    required: bool


class Texts(NamedTuple):
    """Byte strings, end to end.

    Attributes
    ----------
    joined
        ``uint8[bytes]``.
    ends
        ``int64[count]``, where each ends in `joined`.
    """

    joined: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def tolist(self) -> list[bytes]:
        """Return each by itself."""
        joined, starts = self.joined.tobytes(), [0, *self.ends[:-1].tolist()]
        return [joined[a:b] for a, b in zip(starts, self.ends.tolist(), strict=True)]

    @classmethod
    def of(cls, parts: Sequence[Texts]) -> Texts:
        """Return the texts of all parts."""
        if len(parts) == 1:
            return parts[0]
        shifts = np.cumsum([0, *(len(part.joined) for part in parts[:-1])])
        ends = [part.ends + shift for part, shift in zip(parts, shifts, strict=True)]
        return cls(np.concatenate([part.joined for part in parts]), np.concatenate(ends))


class Column:
    """What follows from some top-level keys of an event and nothing else: number or text.

    Make it once, for many batches: what follows from values met before is remembered.

    Parameters
    ----------
    value
        From an event to a number that fits 64 bits, or to a text.
    keys
        The keys it looks at.
    """

    def __init__(self, value: Callable[[Any], Any], *keys: str) -> None:
        self.value = value
        self.keys = keys


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
    spans
        The scan of the events.
    cells
        How attributes are decoded, by name.
    whole
        Attribute that is the event's own bytes.
    """

    def __init__(self, spans: Spans, cells: Mapping[str, Cell], whole: str) -> None:
        self.raws = spans.raws
        self.spans = spans
        self._cells = cells
        self._whole = whole
        self._records: dict[int, Record] = {}
        self._every: list[Record] = []
        self._decoded_keys: set[str] = set()
        self._codes: dict[str, list[int]] = {}
        self._combined: dict[tuple[str, ...], Codes] = {}
        #: The codes of a key that no event has.
        self._nowhere = np.zeros(len(self.raws), np.int32)

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
            The event lacks what is required, or has another type there.
        """
        if attr == self._whole:
            return self.raws[row]
        cell = self._cells.get(attr)
        if cell is None:
            raise AttributeError(attr)
        place = self.spans.place.get(cell.key)
        if place is None:
            return self._absent(cell)
        if not self.spans.coded[place]:
            return self._decoded(row, place, cell)
        codes = self._codes.get(attr)
        if codes is None:
            codes = self._codes[attr] = self.spans.codes[place].tolist()
        values, code = self.spans.numbering.values, codes[row] or -1 - place
        found = values.get(code, _NOT_YET)
        if found is _NOT_YET:
            found = values[code] = self._decoded(row, place, cell)
        return found

    def _decoded(self, row: int, place: int, cell: Cell) -> Any:
        text = self.spans.text(place, row)
        return cell.decode(text) if text else self._absent(cell)

    def _absent(self, cell: Cell) -> None:
        if cell.required:
            raise ValueError(f"expected {cell.key} in every event, found one without")

    def keys(self) -> frozenset[str]:
        """Return the wanted keys that any event has."""
        met = (self.spans.lengths.max(axis=1, initial=0) > 0).tolist()
        return frozenset(key for key, place in self.spans.place.items() if met[place])

    def all(self, field: str) -> list[Any]:
        """Return every event, decoded in the top-level key of `field`."""
        if not self._every:
            self._every = [Record(self, row) for row in range(len(self))]
            self._records = dict(enumerate(self._every))
        key = field.partition(".")[0]
        place = self.spans.place.get(key)
        if place is not None and not self.spans.coded[place] and key not in self._decoded_keys:
            self._decoded_keys.add(key)
            self._decode_all(key, place)
        return self._every

    def _decode_all(self, key: str, place: int) -> None:
        """Decode a key, whose values hardly ever come again, in all events."""
        attr = next((name for name, cell in self._cells.items() if cell.key == key), "")
        if not attr:
            return
        cell, decode = self._cells[attr], self._cells[attr].decode
        begins, lengths = self.spans.begins[place].tolist(), self.spans.lengths[place].tolist()
        for event, raw, begin, length in zip(self._every, self.raws, begins, lengths, strict=True):
            if not length:
                self._absent(cell)
            event.__dict__[attr] = decode(raw[begin : begin + length]) if length else None

    def codes(self, keys: Sequence[str]) -> Codes | None:
        """Return what rows have in `keys` as codes, None where a key has none."""
        spans = self.spans
        wanted = tuple(keys)
        if wanted in self._combined:
            return self._combined[wanted]
        if not wanted or not spans.wanted.issuperset(wanted):
            return None
        places = [spans.place[key] for key in wanted if key in spans.place]
        if not spans.coded[places].all():
            return None
        known: Numbering = spans.numbering
        columns = [
            spans.codes[spans.place[key]] if key in spans.place else self._nowhere for key in wanted
        ]
        if len(columns) == 1:
            found = Codes(columns[0], len(known.scratch), known.memos)
        else:
            found = Codes(known.combined(columns), len(known.scratch), known.pair_memos)
        self._combined[wanted] = found
        return found

    def alike(self, fields: Iterable[str | None], rows: NDArray[np.int64] | None = None) -> Alike:
        """Say which of `rows`, of all by default, are alike in the top-level keys of `fields`.

        No row is said to be like another where a field depends on the whole event, as its
        text does, or on a key whose values hardly ever come again, and among a few rows.
        `firsts` are places in `rows`.
        """
        keys = sorted({field.partition(".")[0] if field else "" for field in fields})
        few = rows is not None and len(rows) <= FEW_ROWS
        codes = None if few or not keys else self.codes(keys)
        if codes is None:
            each = np.arange(len(self) if rows is None else len(rows), dtype=np.int32)
            return Alike(each, each)
        return self._numbered(codes.codes if rows is None else codes.codes[rows])

    def _numbered(self, codes: NDArray[np.int32]) -> Alike:
        from schemas.columns.coding import number

        firsts, index = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32)
        count = number(codes, self.spans.numbering.scratch, firsts, index)
        return Alike(index, firsts[:count])

    def numbers(self, column: Column) -> NDArray[np.int64]:
        """Return what follows from every row: a number each."""
        found = self.codes(column.keys)
        if found is None:
            return np.array([column.value(event) for event in self], np.int64)
        memo = found.memos.get(column)
        if memo is None:
            memo = found.memos[column] = _Numbers(found.size)
        return self._filled(memo, found.codes, column)[found.codes]

    def strings(self, column: Column) -> Strings:
        """Return what follows from every row: a text each."""
        found = self.codes(column.keys)
        if found is None:
            return Strings.of([column.value(event) for event in self])
        memo = found.memos.get(column)
        if memo is None:
            memo = found.memos[column] = _Texts(found.size)
        alike = self._numbered(self._filled(memo, found.codes, column)[found.codes])
        texts = memo.texts
        places = memo.values[found.codes[alike.firsts]].tolist()
        return Strings([texts[place] for place in places], alike.index)

    def plain_texts(self) -> Texts | None:
        """Return the texts of the key that was kept; None where one is empty or has escapes."""
        kept = self.spans.kept
        if kept is None or not len(kept.ends):
            return None
        starts = np.concatenate(([0], kept.ends[:-1]))
        quoted = kept.ends - starts > 2
        if not quoted.all() or not (kept.joined[starts] == _QUOTE).all():
            return None
        if (kept.joined == _SLASH).any():
            return None
        inner = np.ones(len(kept.joined), np.bool_)
        inner[starts] = inner[kept.ends - 1] = False
        return Texts(kept.joined[inner], kept.ends - 2 * np.arange(1, len(starts) + 1))

    def _filled(self, memo: _Numbers, codes: NDArray[np.int32], column: Column) -> NDArray[Any]:
        """Work out what is not known of some of `codes`; return what follows from each code."""
        known = memo.known[codes]
        if not known.all():
            rows = np.flatnonzero(~known)
            new, firsts = np.unique(codes[rows], return_index=True)
            for code, row in zip(new.tolist(), rows[firsts].tolist(), strict=True):
                memo.put(code, column.value(self[row]))
        return memo.values


class _Numbers:
    """A number for each code, where it is known."""

    def __init__(self, size: int, kind: type = np.int64) -> None:
        self.values: NDArray[Any] = np.zeros(size, kind)
        self.known = np.zeros(size, np.bool_)

    def put(self, code: int, value: Any) -> None:
        """Remember the number of a code."""
        self.values[code] = value
        self.known[code] = True


class _Texts(_Numbers):
    """A text for each code, as its place in `texts`."""

    def __init__(self, size: int) -> None:
        super().__init__(size, np.int32)
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def put(self, code: int, value: Any) -> None:
        """Remember the text of a code."""
        place = self._places.setdefault(value, len(self.texts))
        if place == len(self.texts):
            self.texts.append(value)
        super().put(code, place)
