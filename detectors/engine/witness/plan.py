"""Which fields of the events are looked at, chosen by what was seen of them.

A look at a field costs every event, a candidate that comes to nothing only the events that
have it. How often that is depends on the events, so the choice is made on a sample of them,
and again when there are many more candidates than the sample promised. It decides about
speed alone: whichever fields are looked at, the rules that match are candidates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from detectors.engine.access import Getter, Raw
from detectors.engine.codegen import Memos
from detectors.engine.witness.index import Clause, Column, Witness
from detectors.engine.witness.looks import Look, TextLook, reading_time
from detectors.engine.witness.patterns import Patterns

#: Microseconds on one core, beside what it takes to read the fields: a look, one for regular
#: expressions, one at the whole text, and a rule, which reads some fields itself.
LOOK: Final = 0.1
LOOK_AT_PATTERNS: Final = 0.5
LOOK_AT_TEXT: Final = 4.0
EVALUATE: Final = 0.5
_FIELDS: Final = 2
#: A look that costs more is taken only at events for which it may matter.
_DEAR: Final = 0.8

#: Events that a choice is made on.
SAMPLE: Final = 64

#: A choice is made again when there are so many times the candidates that it expected, and
#: this many more per event.
_MISJUDGED, _SLACK = 2.0, 0.25


class Plan:
    """The clauses that events with only some fields can meet, and the looks that tell which.

    Parameters
    ----------
    clauses
        Of all rules.
    live
        Says of a field whether any event may have it.
    getters
        By field; None gives the whole text.
    raw
        See `detectors.engine.witness.looks.TextLook`.
    sample
        Some of the events.

    Attributes
    ----------
    looks
        What to look at, most telling first; the whole text last.
    everything
        Bits of all clauses.
    words
        Machine words that hold `everything`.
    expected
        Candidates per event of the sample.
    """

    def __init__(
        self,
        clauses: Sequence[Clause],
        live: Callable[[str | None], bool],
        getters: Mapping[str | None, Getter],
        raw: Raw | None,
        sample: Sequence[Any],
    ) -> None:
        alive = [clause for clause in clauses if all(map(live, clause.needs))]
        self.everything = (1 << len(alive)) - 1
        self.words = max(1, -(-len(alive) // 64))
        self.rules = [clause.rule for clause in alive]
        self._ordinals: dict[int, tuple[int, ...]] = {}
        entries: dict[str | None, list[tuple[Witness, int]]] = defaultdict(list)
        patterns: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for number, clause in enumerate(alive):
            for field, witnesses in clause.needs.items():
                entries[field].extend((witness, number) for witness in witnesses)
                if field is not None and all(each.kind == "regex" for each in witnesses):
                    patterns[field].extend((each.text, number) for each in witnesses)
        memos = Memos()
        looks: list[Look | TextLook] = []
        for field, found in entries.items():
            get, column = getters[field], Column(found, self.everything)
            if field is None:
                looks.append(TextLook(get, raw, column, self.everything))
            else:
                looks.append(Look(field, get, column, memos, self.everything))
        for name, wanted in patterns.items():
            together = Patterns(wanted, self.everything)
            looks.append(Look(name, getters[name], together, memos, self.everything))
        self.looks, self.expected = _chosen(looks, sample, self.everything)
        memos.all = [look.memo for look in self.looks if isinstance(look, Look)]

    def ordinals(self, bits: int) -> tuple[int, ...]:
        """Return the rules of a set of clauses, ascending."""
        found = self._ordinals.get(bits)
        if found is None:
            if len(self._ordinals) >= 1 << 14:
                self._ordinals.clear()
            rules = {self.rules[number] for number in numbers(bits)}
            found = self._ordinals[bits] = tuple(sorted(rules))
        return found

    def misjudged(self, candidates: int, events: int) -> bool:
        """Say whether so many candidates of so many events are far more than expected."""
        return candidates > events * (_MISJUDGED * self.expected + _SLACK)


def numbers(bits: int) -> Iterable[int]:
    """Yield the places of the bits that are set, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _chosen(
    looks: Sequence[Look | TextLook], sample: Sequence[Any], everything: int
) -> tuple[list[Look | TextLook], float]:
    """Return the looks that save more than they cost, and the candidates that are left.

    Greedy: always the one that saves most on the sample.
    """
    left = [everything] * len(sample)
    costs = {look: _cost(look, sample) for look in looks}
    evaluate = EVALUATE + _FIELDS * (median(costs.values()) if costs else 0.0)
    seen = {look: list(map(look.careful, sample)) for look in looks}
    chosen: list[Look | TextLook] = []
    count = everything.bit_count() * len(sample)
    while seen:
        remaining = {
            look: sum((bits & more).bit_count() for bits, more in zip(left, masks, strict=True))
            for look, masks in seen.items()
        }
        gains = {
            look: (count - after) * evaluate - _spent(look, costs[look], left)
            for look, after in remaining.items()
        }
        best = max(gains, key=gains.__getitem__)
        if gains[best] <= 0:
            break
        chosen.append(best)
        if isinstance(best, Look):
            best.dear = _is_dear(best, costs[best])
        count = remaining[best]
        left = [bits & more for bits, more in zip(left, seen.pop(best), strict=True)]
    chosen.sort(key=lambda look: (isinstance(look, TextLook), isinstance(look.column, Patterns)))
    return chosen, count / max(1, len(sample))


def _spent(look: Look | TextLook, cost: float, left: Sequence[int]) -> float:
    """Return what a look costs where so many clauses are possible on each event."""
    if not _is_dear(look, cost):
        return cost * len(left)
    asked = look.column.asked
    return cost * sum(1 for bits in left if bits & asked) + LOOK / 2 * len(left)


def _is_dear(look: Look | TextLook, cost: float) -> bool:
    """Say whether a look is taken only at events for which it may matter."""
    return cost > _DEAR or isinstance(look, TextLook) or isinstance(look.column, Patterns)


def _cost(look: Look | TextLook, sample: Sequence[Any]) -> float:
    """Return what a look costs an event, in microseconds."""
    fixed = LOOK_AT_TEXT if isinstance(look, TextLook) else LOOK
    if isinstance(look.column, Patterns):
        fixed = LOOK_AT_PATTERNS
    return fixed + reading_time(look.get, sample)
