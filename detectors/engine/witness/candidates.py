"""The candidates of a batch of events: which rules are worth evaluating on which event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.engine.access import Getter, Raw
from detectors.engine.witness.index import Clause
from detectors.engine.witness.looks import Look, TextLook
from detectors.engine.witness.plan import SAMPLE, Plan, numbers
from schemas.columns.records import Codes, Records


class Seen(Protocol):
    """What a decoder knows of the events that it has decoded; see `schemas.typed`."""

    @property
    def seen(self) -> frozenset[str] | None:
        """Top-level keys that any event so far has had; None where that is not known."""

    def ways(self, path: str, /) -> tuple[str, ...] | None:
        """Return the paths where a field is looked for; None: anywhere."""


#: A plan is made again after so many events and then ever later, but not sooner after one
#: that promised too much.
_AGAIN, _SOONEST = 20_000, 256
#: Events by which a plan is judged.
_ENOUGH = 1000


class Candidates:
    """Finds candidates with a plan that follows the events.

    Parameters
    ----------
    clauses
        Of all rules.
    getters
        By field; None gives the whole text.
    seen
        Without it, events that are no dicts may have any field.
    raw
        See `TextLook`.
    by_key
        Events are plain dicts, whose own keys tell what they have.
    """

    def __init__(
        self,
        clauses: Sequence[Clause],
        getters: dict[str | None, Getter],
        seen: Seen | None,
        raw: Raw | None,
        *,
        by_key: bool = False,
    ) -> None:
        self._clauses = clauses
        self._getters = getters
        self._seen = seen
        self._raw = raw
        self._by_key = by_key
        self._keys = {
            field: _keys((field,) if seen is None else seen.ways(field))
            for field in getters
            if field is not None
        }
        self._all_keys = frozenset().union(*(keys or () for keys in self._keys.values()))
        self._known: frozenset[str] | None = frozenset()
        self._plan: Plan | None = None
        self._due = 0
        self._events = 0
        self._judged = [0, 0]

    def of(self, events: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield (row, candidates) in row order where there are any."""
        if not events:
            return
        plan = self._fitting(events, self._met(events))
        left = [plan.everything] * len(events)
        for look in plan.looks:
            left = look.narrow(events, left)
        count, ordinals = 0, plan.ordinals
        for row, bits in enumerate(left):
            if bits:
                found = ordinals(bits)
                count += len(found)
                yield row, found
        self._judge(plan, count, len(events))

    def by_rule(self, events: Records) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each rule that is a candidate, and the rows where it is, both ascending."""
        if not events:
            return
        plan = self._fitting(events, events.keys())
        left = _words([plan.everything], plan.words)[np.zeros(len(events), np.intp)]
        for look in plan.looks:
            codes = events.codes([look.field.partition(".")[0]]) if look.field else None
            if isinstance(look, TextLook) or (codes is None and look.dear):
                self._narrow(look, events, left, plan.words)
            elif codes is not None:
                left &= self._column(look, events, codes, plan.words)
            else:
                left &= _words(look.all(events.all(look.field)), plan.words)
        count = 0
        for rule, rows in _by_rule(left, plan.rules):
            count += len(rows)
            yield rule, rows
        self._judge(plan, count, len(events))

    def _column(self, look: Look, events: Records, codes: Codes, words: int) -> NDArray[np.uint64]:
        """Return what a field leaves possible on each event, known for values met before."""
        key = (self, look.field, type(look.column))
        memo = codes.memos.get(key)
        if memo is None or memo.look is not look:
            memo = codes.memos[key] = _Known(look, codes.size, words)
        places = memo.places[codes.codes]
        if not places.all():
            rows = np.flatnonzero(places == 0)
            new, firsts = np.unique(codes.codes[rows], return_index=True)
            memo.add(new, [events[row] for row in rows[firsts].tolist()])
            places = memo.places[codes.codes]
        return memo.sets[places]

    def _narrow(
        self, look: Look | TextLook, events: Records, left: NDArray[np.uint64], words: int
    ) -> None:
        """Take what a look rules out from the clauses possible on events, where it may matter."""
        asked = _words([look.column.asked], words)
        rows = np.flatnonzero((left & asked).any(axis=1))
        if len(rows):
            left[rows] &= _words(look.some(events, rows.tolist()), words)

    def _met(self, events: Sequence[Any]) -> frozenset[str] | None:
        """Return keys that events may have beside those of before; None: any."""
        if not self._by_key:
            seen = self._seen.seen if self._seen else None
            return None if seen is None else self._all_keys & seen
        found: set[Any] = set()
        found.update(*(event for event in events if isinstance(event, dict)))
        return self._all_keys & found

    def _fitting(self, events: Sequence[Any], met: frozenset[str] | None) -> Plan:
        """Return a plan for events that have no keys but `met` and those of before."""
        known = self._known
        if known is not None and (met is None or not met <= known):
            self._known = None if met is None else known | met
        elif self._plan is not None and self._events < self._due:
            return self._plan
        self._due = max(_AGAIN, 8 * self._events)
        sample = events[:: max(1, len(events) // SAMPLE)][:SAMPLE]
        self._plan = Plan(self._clauses, self._live, self._getters, self._raw, sample)
        return self._plan

    def _live(self, field: str | None) -> bool:
        """Say whether any event may have a field."""
        known = self._known
        if known is None or field is None:
            return True
        keys = self._keys[field]
        return keys is None or not known.isdisjoint(keys)

    def _judge(self, plan: Plan, candidates: int, events: int) -> None:
        """Count events; have a plan made anew that promised too much."""
        self._events += events
        self._judged[0] += candidates
        self._judged[1] += events
        if self._judged[1] < _ENOUGH:
            return
        if plan.misjudged(*self._judged):
            self._due = min(self._due, self._events + max(_SOONEST, self._events // 4))
        self._judged = [0, 0]


class _Known:
    """What the values of a field leave possible, by their codes.

    Attributes
    ----------
    places
        int32[codes], where in `sets` it is; 0: not known.
    sets
        uint64[sets, words], different ones.
    """

    def __init__(self, look: Look, size: int, words: int) -> None:
        self.look = look
        self.places = np.zeros(size, np.int32)
        self.sets = np.zeros((1, words), np.uint64)
        self._numbers: dict[int, int] = {}

    def add(self, codes: NDArray[np.int32], events: Sequence[Any]) -> None:
        """Look at one event of each of some codes."""
        numbers, words = self._numbers, self.sets.shape[1]
        found = self.look.all(events)
        new = [bits for bits in dict.fromkeys(found) if bits not in numbers]
        for bits in new:
            numbers[bits] = len(numbers) + 1
        if new:
            self.sets = np.concatenate((self.sets, _words(new, words)))
        self.places[codes] = [numbers[bits] for bits in found]


def _keys(paths: tuple[str, ...] | None) -> frozenset[str] | None:
    """Return the top-level keys, one of which an event has that has any of the paths."""
    if paths is None:
        return None
    return frozenset({*paths, *(path.partition(".")[0] for path in paths)})


def _by_rule(
    left: NDArray[np.uint64], rules: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each rule of which a clause is possible anywhere, and the rows where one is.

    A pass for each such clause: there are few, and going through all bits takes far longer.
    """
    columns = np.ascontiguousarray(left.T)
    met = int.from_bytes(np.bitwise_or.reduce(columns, axis=1).tobytes(), "little")
    for rule, clauses in groupby(numbers(met), key=rules.__getitem__):
        here: Any = False
        for clause in clauses:
            here |= columns[clause // 64] & np.uint64(1 << clause % 64) != 0
        yield rule, np.flatnonzero(here)


def _words(sets: Sequence[int], words: int) -> NDArray[np.uint64]:
    """Return sets of clauses as rows of machine words."""
    data = b"".join([each.to_bytes(8 * words, "little") for each in sets])
    return np.frombuffer(data, np.uint64).reshape(len(sets), words)
