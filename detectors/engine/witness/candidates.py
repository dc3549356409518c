"""The candidates of a batch of events: which rules are worth evaluating on which event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.engine.access import Getter
from detectors.engine.codegen import MEMO_CHARS, MEMO_ENTRIES, Memo, Memos, Shapes
from detectors.engine.index import Column
from schemas.columns.records import Records


class Look:
    """One field of the index: how to get it, and what its values lead to."""

    def __init__(self, field: str | None, get: Getter, column: Column, memos: Memos) -> None:
        self.field = field
        self.get = get
        self.memo = Memo(Texts(column).rules if field is None else column.rules, memos)

    def careful(self, event: Any, everything: tuple[int, ...]) -> tuple[int, ...]:
        """Return the candidates of one event, whatever its value; all of them on an error."""
        try:
            value = self.get(event)
            if self.field is not None and value.__class__ is list:
                found = self._of_list(value)
            elif isinstance(value, list | dict):
                found = self.memo.answer(value)
            else:
                found = self.memo[value]
        except Exception:  # noqa: BLE001 - the rules will meet and report the same error
            return everything
        return found

    def _of_list(self, values: list[Any]) -> tuple[int, ...]:
        """Return the candidates of a list, element by element because those come again."""
        found: tuple[int, ...] = ()
        try:
            for value in values:
                found = _merged(found, self.memo[value])
        except TypeError:  # an object, or a list in the list
            found = self.memo.answer(values)
        return found


class Texts:
    """Leads the texts of an event to the rules whose keywords may be in one of them.

    Most texts lead nowhere and come again: those are remembered, and only the others
    are searched, all at once.
    """

    def __init__(self, column: Column) -> None:
        self._column = column
        self._boring: set[str] = set()
        plain = not column.exact and not any("\n" in part.text for part in column.parts)
        self._together = plain

    def rules(self, value: Any) -> tuple[int, ...]:
        """Return the rules that the texts lead to, ascending."""
        column, boring = self._column, self._boring
        if value.__class__ is not list or not self._together:
            return column.rules(value)
        unknown = [text for text in value if text not in boring]
        found = column.anywhere("\n".join(unknown))
        if found is column.present:
            if len(boring) > MEMO_ENTRIES:
                boring.clear()
            boring.update(text for text in unknown if len(text) <= MEMO_CHARS)
        return found


class ByColumn:
    """Candidates of a batch, field by field: for decoded events with fixed fields."""

    def __init__(
        self, looks: Sequence[Look], always: tuple[int, ...], everything: tuple[int, ...]
    ) -> None:
        self.looks = looks
        self.always = always
        self.everything = everything
        self._nested: set[Look] = set()

    def of(self, events: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield (row, candidates) in row order where there are any."""
        hits: dict[int, tuple[int, ...]] = {}
        if self.always:
            hits = dict.fromkeys(range(len(events)), self.always)
        for look in self.looks:
            for row, found in enumerate(self._look(look, events)):
                if found:
                    hits[row] = _merged(hits.get(row, ()), found)
        for row in sorted(hits):
            yield row, hits[row]

    def by_rule(self, events: Records) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each rule that is a candidate, and the rows where it is, rules ascending."""
        where: dict[int, NDArray[np.bool_]] = {
            rule: np.ones(len(events), bool) for rule in self.always
        }
        for look in self.looks:
            alike = events.alike([look.field])
            leads: dict[int, list[int]] = {}
            for number, first in enumerate(alike.firsts.tolist()):
                for rule in look.careful(events[first], self.everything):
                    leads.setdefault(rule, []).append(number)
            for rule, numbers in leads.items():
                chosen = np.zeros(len(alike.firsts), bool)
                chosen[numbers] = True
                met = chosen[alike.index]
                where[rule] = where[rule] | met if rule in where else met
        for rule in sorted(where):
            rows = np.flatnonzero(where[rule])
            if len(rows):
                yield rule, rows

    def _look(self, look: Look, events: Sequence[Any]) -> list[tuple[int, ...]]:
        if look not in self._nested:
            try:
                return list(map(look.memo.__getitem__, map(look.get, events)))
            except Exception:  # noqa: BLE001 - a list, an object, or a getter that failed
                self._nested.add(look)
        return [look.careful(event, self.everything) for event in events]


class ByKey(ByColumn):
    """Candidates of plain dict events, by the keys they have: most fields are absent."""

    def __init__(
        self, looks: Sequence[Look], always: tuple[int, ...], everything: tuple[int, ...]
    ) -> None:
        super().__init__(looks, always, everything)
        self._by_key: dict[str, list[Look]] = {}
        self._texts = [look for look in looks if look.field is None]
        for look in looks:
            if look.field is not None:
                for key in {look.field, look.field.partition(".")[0]}:
                    self._by_key.setdefault(key, []).append(look)
        self._shapes = Shapes(self._of_shape)

    def of(self, events: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield (row, candidates) in row order where there are any."""
        shapes, everything = self._shapes, self.everything
        for row, event in enumerate(events):
            found = self.always
            for look in self._texts:
                found = _merged(found, look.careful(event, everything))
            for key, look in shapes[tuple(event)] if isinstance(event, dict) else ():
                try:
                    more = look.memo[event[key] if key else look.get(event)]
                except Exception:  # noqa: BLE001 - a list, an object, or a getter that failed
                    more = look.careful(event, everything)
                if more:
                    found = _merged(found, more)
            if found:
                yield row, found

    def _of_shape(self, keys: tuple[str, ...]) -> list[tuple[str, Look]]:
        """Return the looks that events with these keys need; the key where it is the field."""
        looks = dict.fromkeys(look for key in keys for look in self._by_key.get(key, ()))
        named = [(str(look.field), look) for look in looks]
        return [("" if "." in name else name, look) for name, look in named]


def _merged(some: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    if not some or not more:
        return some or more
    return tuple(sorted({*some, *more}))
