"""Looking at one field of many events, or at their whole text.

What a value leaves possible is remembered, because telemetry repeats itself. Where it does
not, the new values of a batch are searched all at once and nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import and_
from time import thread_time_ns
from typing import TYPE_CHECKING, Any, Final

from detectors.engine.access import Getter, Raw
from detectors.engine.codegen import MEMO_CHARS, MEMO_ENTRIES, Memo, Memos
from detectors.engine.witness.index import Column
from detectors.engine.witness.patterns import Patterns
from schemas.columns.records import Records

if TYPE_CHECKING:  # numba takes half a second to load, and only few rule sets need it
    from detectors.engine.witness.needles import Needles

#: Smaller batches are not worth looking at as a whole.
_SMALL: Final = 96

#: Microseconds taken to be those of a field that cannot be read.
_UNREADABLE: Final = 5.0
#: Events that rare places of keywords are told by.
_SAMPLE: Final = 512


class Look:
    """A look at one field: a set of clauses (bits) for each event."""

    def __init__(
        self,
        field: str,
        get: Getter,
        column: Column | Patterns,
        memos: Memos,
        everything: int,
    ) -> None:
        self.field = field
        self.get = get
        self.column = column
        self.everything = everything
        self.memo = Memo(column.possible, memos)
        self._nested = False
        #: Reading the field is dear: it is read only where its clauses are still possible.
        self.dear = False

    def narrow(self, events: Sequence[Any], left: list[int]) -> list[int]:
        """Return `left`, the clauses possible on each event, without what the field rules out."""
        if not self.dear:
            return list(map(and_, left, self.all(events)))
        asked = self.column.asked
        rows = [row for row, bits in enumerate(left) if bits & asked]
        for row, possible in zip(rows, self.some(events, rows), strict=True):
            left[row] &= possible
        return left

    def some(self, events: Sequence[Any], rows: Sequence[int]) -> list[int]:
        """Return what the field leaves possible on some of the events."""
        return self.all([events[row] for row in rows])

    def all(self, events: Iterable[Any]) -> list[int]:
        """Return what the field leaves possible on each of the events."""
        if not self._nested:
            try:
                return self.of_values(list(map(self.get, events)))
            except Exception:  # noqa: BLE001 - a list, an object, or a getter that failed
                self._nested = True
        return list(map(self.careful, events))

    def of_values(self, values: list[Any]) -> list[int]:
        """Return what each value leaves possible; raise TypeError where one is no key."""
        memo = self.memo
        if len(values) < _SMALL:
            return list(map(memo.__getitem__, values))
        known = list(map(memo.get, values))
        if 2 * known.count(None) > len(values) and 2 * len(set(values)) > len(values):
            return self._unique(values)
        return [
            memo[value] if bits is None else bits for value, bits in zip(values, known, strict=True)
        ]

    def _unique(self, values: list[Any]) -> list[int]:
        """Do as `of_values` where most values are new."""
        try:
            return self.column.possible_each(values)
        except TypeError:  # not only texts
            texts = [value for value in values if value.__class__ is str]
        found = iter(self.column.possible_each(texts) if texts else ())
        memo = self.memo
        return [next(found) if value.__class__ is str else memo[value] for value in values]

    def careful(self, event: Any) -> int:
        """Return what one event leaves possible, whatever its value; all of it on an error."""
        try:
            value = self.get(event)
            if value.__class__ is list:
                return self._of_list(value)
            nested = isinstance(value, list | dict)
            return int(self.memo.answer(value) if nested else self.memo[value])
        except Exception:  # noqa: BLE001 - the rules will meet and report the same error
            return self.everything

    def _of_list(self, values: list[Any]) -> int:
        """Return what a list leaves possible, element by element because those come again."""
        found = 0
        try:
            for value in values:
                if value is not None:
                    found |= self.memo[value]
        except TypeError:  # an object, or a list in the list
            return int(self.memo.answer(values))
        return found or self.column.absent


class TextLook:
    """A look at the whole text of an event, or at its texts, for keywords.

    Most texts lead nowhere and come again: those are remembered, and only the others
    are searched, all at once.

    Parameters
    ----------
    get
        Gives the text, or the texts, of an event.
    raw
        Gives the JSON whose values the texts are, to be searched first; None: there is none.
    """

    field = None

    def __init__(self, get: Getter, raw: Raw | None, column: Column, everything: int) -> None:
        self.get = get
        self.column = column
        self.everything = everything
        self._raw = None if column.exact else raw
        self._boring: set[str] = set()
        self._together = not column.exact and not any("\n" in part for part in column.parts)
        self._needles: Needles | None = None
        self._sought: list[int] = []
        self._open = 0

    def narrow(self, events: Sequence[Any], left: list[int]) -> list[int]:
        """Return `left`, the clauses possible on each event, without what its text rules out."""
        asked = self.column.asked
        rows = [row for row, bits in enumerate(left) if bits & asked]
        for row, possible in zip(rows, self.some(events, rows), strict=True):
            left[row] &= possible
        return left

    def some(self, events: Sequence[Any], rows: Sequence[int]) -> list[int]:
        """Return what their texts leave possible on some of the events."""
        if self._raw is None or len(rows) < _SMALL:
            return [self.careful(events[row]) for row in rows]
        from detectors.engine.witness.needles import unusual  # compiled code, see above

        try:
            if isinstance(events, Records):
                raws = [events.raws[row] for row in rows]
            else:
                raws = [self._raw(events[row]) for row in rows]
            needles = self._needles or self._prepare(raws)
        except Exception:  # noqa: BLE001 - some event has no JSON: each is looked at by itself
            return [self.careful(events[row]) for row in rows]
        found = [self._open] * len(raws)
        for place, numbers in needles.find(raws).items():
            found[place] |= self.column.of_parts([self._sought[number] for number in numbers])
        for place in unusual(raws):
            found[place] = self.careful(events[rows[place]])
        return found

    def careful(self, event: Any) -> int:
        """Return what the text of one event leaves possible; all of it on an error."""
        try:
            return self._of(self.get(event))
        except Exception:  # noqa: BLE001 - the rules will meet and report the same error
            return self.everything

    def _prepare(self, raws: Sequence[bytes]) -> Needles:
        """Tell the literals that can be looked for in JSON from those that cannot."""
        from detectors.engine.witness.needles import Needles, searchable

        parts = self.column.parts
        self._sought = [number for number, part in enumerate(parts) if searchable(part)]
        rest = set(range(len(parts))).difference(self._sought)
        self._open = self.column.of_parts(rest)
        self._needles = Needles([parts[number] for number in self._sought], raws[:_SAMPLE])
        return self._needles

    def _of(self, value: Any) -> int:
        column, boring = self.column, self._boring
        if value.__class__ is not list or not self._together:
            return column.possible(value)
        unknown = [text for text in value if text not in boring]
        found = column.anywhere("\n".join(unknown))
        if found == column.present:
            if len(boring) > MEMO_ENTRIES:
                boring.clear()
            boring.update(text for text in unknown if len(text) <= MEMO_CHARS)
        return found


def reading_time(get: Getter, events: Sequence[Any]) -> float:
    """Return how long it takes to read a field of an event for the first time, microseconds."""
    started = thread_time_ns()
    try:
        for event in events:
            get(event)
    except Exception:  # noqa: BLE001 - the rules will meet and report the same error
        return _UNREADABLE
    return (thread_time_ns() - started) / 1000 / max(1, len(events))
