"""The witness index: from the values of an event to the few rules it can match at all.

A *witness* is a literal that a value of a field must show (the whole of it, a part of it, or
just be there). A *clause* of a rule says, for some of its fields, which witnesses one of must
be met: of a conjunction all that its arguments need, of a disjunction what they all need, of
a negation nothing. A disjunction whose arguments look at different fields makes several
clauses. Where a rule matches, all needs of one of its clauses are met.

So each value of a field has a set of clauses that it leaves possible, and the candidates of
an event are the rules of the clauses that all its values leave possible. Sets are integers,
a bit for each clause: telling the candidates of an event is one ``&`` per field.

Exact literals are found in a dict, parts of a value by one Aho-Corasick automaton per field,
both over the folded value. The idea of witnesses and its worth (13-23 times the rate on
3,132 rules) are those of RSigma's candidate index (github.com/timescale/rsigma,
BENCHMARKS.md); that all fields together narrow the candidates down is ours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, product, repeat
from math import prod
from typing import Any, Final, NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation

from detectors.engine import condition as c
from detectors.engine.leaves import evaluate
from detectors.engine.values import elements, fold, text_of
from detectors.engine.witness.literals import required_literal

#: Clauses that one rule is split into at most.
MOST_CLAUSES: Final = 32

#: Shorter literals of regular expressions are in most values.
_TELLING: Final = 3


class Witness(NamedTuple):
    """What a value of `field` must show.

    `kind` is exact, prefix, suffix or contains for the literal `text`, ``regex`` for a pattern,
    or ``present`` where any value will do.
    """

    field: str | None
    kind: str
    text: str = ""


#: By field, the witnesses one of which must be met.
Needs = dict[str | None, frozenset[Witness]]


class Clause(NamedTuple):
    """One way in which a rule, known by its place among the rules, can match."""

    rule: int
    needs: Needs


def witness_of(leaf: c.Leaf) -> Witness | None:
    """Return what a value must show for `leaf` to hold, or None where it may be absent."""
    if leaf.op == "null" or (leaf.op == "exists" and not leaf.flag):
        return None
    if leaf.op == "exact":
        return Witness(leaf.field, "exact", fold(leaf.text))
    kind, text = "", ""
    if leaf.op in ("prefix", "suffix", "contains"):
        kind, text = leaf.op, leaf.text
    elif leaf.op == "pattern":
        kind, text = _longest(leaf.parts)
    elif leaf.op == "regex":
        kind, text = "contains", required_literal(leaf.text)
        if len(text) < _TELLING:
            return Witness(leaf.field, "regex", leaf.text)
    if not text:
        return Witness(leaf.field, "present")
    return Witness(leaf.field, kind, fold(text))


def _longest(parts: Sequence[str]) -> tuple[str, str]:
    """Return the longest literal of a pattern and where in the value it must be."""
    literals = [(len(part), index) for index, part in enumerate(parts) if part[0] == "="]
    if not literals:
        return "", ""
    index = max(literals)[1]
    kind = "prefix" if index == 0 else "suffix" if index == len(parts) - 1 else "contains"
    return kind, parts[index][1:]


def clauses_of(rule: int, node: c.Node) -> list[Clause]:
    """Return the clauses of a rule; one without needs where it has to run on every event."""
    found = _split(node)
    if not all(found):
        found = _presence(node)
    return [Clause(rule, needs) for needs in found]


def _presence(node: c.Node) -> list[Needs]:
    """Return the presence of each field of a rule that an event without any does not match.

    No needs where such an event matches: then the rule has to run on every event. An event
    that has no value at all has no text either, and no keyword is in it, not even an empty
    one; a text that is empty is a value.
    """
    if evaluate(node, lambda field: None):
        return [{}]
    names = dict.fromkeys(name for leaf in c.leaves(node) for name in c.fields_of(leaf))
    return [{name: frozenset((Witness(name, "present"),))} for name in names]


def _needs(node: c.Node) -> Needs:
    """Return what an event must show for a condition to hold."""
    if isinstance(node, c.Not):
        return {}
    if isinstance(node, c.Leaf):
        witness = witness_of(node)
        found = {} if witness is None else {witness.field: frozenset((witness,))}
        if node.op == "fieldref":
            found.setdefault(node.text, frozenset((Witness(node.text, "present"),)))
        return found
    parts = [_needs(arg) for arg in node.args]
    return _all_of(parts) if isinstance(node, c.All) else _any_of(parts)


def _all_of(parts: Iterable[Needs]) -> Needs:
    """Return what all parts need; of a field that several look at, what is rarest."""
    found: Needs = {}
    for part in parts:
        for field, witnesses in part.items():
            known = found.get(field)
            if known is None or _commonness(witnesses) < _commonness(known):
                found[field] = witnesses
    return found


def _any_of(parts: Sequence[Needs]) -> Needs:
    """Return what each of the parts needs."""
    common = set(parts[0]).intersection(*parts[1:])
    return {
        field: frozenset().union(*(part[field] for part in parts))
        for field in parts[0]
        if field in common
    }


def _commonness(witnesses: frozenset[Witness]) -> float:
    """Return about how often one of the witnesses is met; only the order matters."""
    chances = {"present": 1.0, "regex": 0.9, "exact": 0.002}
    return sum(
        chances.get(each.kind) or 0.002 + 0.5 ** min(len(each.text), 12) for each in witnesses
    )


def _split(node: c.Node) -> list[Needs]:
    """Return the needs of each clause of a condition, few of them."""
    if isinstance(node, c.Any):
        found = [needs for arg in node.args for needs in _split(arg)]
        merged = _any_of(found)
        alike = all(needs.keys() == merged.keys() for needs in found)
        return [merged] if alike or len(found) > MOST_CLAUSES else found
    if isinstance(node, c.All):
        parts = [_split(arg) for arg in node.args]
        while prod(map(len, parts)) > MOST_CLAUSES:
            widest = max(range(len(parts)), key=lambda at: len(parts[at]))
            parts[widest] = [_any_of(parts[widest])]
        return [_all_of(chosen) for chosen in product(*parts)]
    return [_needs(node)]


class Column:
    """What the values of one field leave possible.

    Parameters
    ----------
    entries
        Witnesses of the field, each with the number of a clause that needs one of them.
    everything
        A bit for each clause.

    Attributes
    ----------
    absent
        Clauses possible without a value: those that need none of this field.
    present
        Clauses possible whatever the value is, as far as can be told without patterns.
    """

    def __init__(self, entries: Iterable[tuple[Witness, int]], everything: int) -> None:
        exact: dict[str, int] = defaultdict(int)
        parts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        asked = present = 0
        for witness, number in entries:
            bit = 1 << number
            asked |= bit
            if witness.kind in ("present", "regex"):
                present |= bit
            elif witness.kind == "exact":
                exact[witness.text] |= bit
            else:
                parts[witness.text][witness.kind] |= bit
        self.asked = asked
        self.absent = everything & ~asked
        self.present = self.absent | present
        self.exact = {text: bits | self.present for text, bits in exact.items()}
        self.parts = sorted(parts)
        self._places = [_by_place(parts[text]) for text in self.parts]
        self._find = _finder(self.parts)

    def possible(self, value: Any) -> int:
        """Return the clauses that a value leaves possible."""
        if value.__class__ is str:
            return self._of_text(fold(value))
        texts = {fold(text_of(item)) for item in elements(value)}
        return _either(map(self._of_text, texts), self.absent)

    def possible_each(self, values: Sequence[str]) -> list[int]:
        """Return what each of many texts leaves possible: they are searched all at once."""
        joined = fold("\n".join(values))
        texts = joined.split("\n")
        if len(texts) != len(values):
            return list(map(self.possible, values))
        found = list(map(self.exact.get, texts, repeat(self.present)))
        ends = list(accumulate(map((1).__add__, map(len, texts))))
        for part, start, end in self._find(joined):
            row = bisect_right(ends, start)
            if end < ends[row]:
                first, last = start == ends[row] - len(texts[row]) - 1, end == ends[row] - 1
                found[row] |= self._places[part][2 * first + last]
        return found

    def anywhere(self, text: str) -> int:
        """Return the clauses possible with `text` in which several values were joined.

        Exact literals are not looked for.
        """
        return self.of_parts({part for part, _, _ in self._find(fold(text))})

    def of_parts(self, numbers: Iterable[int]) -> int:
        """Return the clauses possible with a value in which these of `parts` are, somewhere."""
        found = self.present
        for number in numbers:
            found |= self._places[number][3]
        return found

    def _of_text(self, text: str) -> int:
        found = self.exact.get(text, self.present)
        for part, start, end in self._find(text):
            found |= self._places[part][2 * (start == 0) + (end == len(text))]
        return found


def _either(sets: Iterable[int], otherwise: int) -> int:
    """Return the union of sets, or something else where there are none."""
    found = None
    for each in sets:
        found = each if found is None else found | each
    return otherwise if found is None else found


def _by_place(uses: dict[str, int]) -> tuple[int, int, int, int]:
    """Return the clauses of a part found inside a value, at its end, its start, and both."""
    inside = uses.get("contains", 0)
    last, first = inside | uses.get("suffix", 0), inside | uses.get("prefix", 0)
    return inside, last, first, last | first


Places = list[tuple[int, int, int]]

#: Up to so many parts are looked for one by one; an automaton costs more to call.
_FEW = 3

#: A table-driven automaton is twice as fast but takes some 250 bytes a character.
_TABLE_CHARS = 40_000


def _finder(texts: Sequence[str]) -> Callable[[str], Places]:
    """Return a function that finds each (part, start, end) of `texts` in a text."""
    if len(texts) > _FEW:
        table = sum(map(len, texts)) <= _TABLE_CHARS
        automaton = AhoCorasick(texts, implementation=Implementation.DFA if table else None)
        return lambda text: automaton.find_matches_as_indexes(text, overlapping=True)
    numbered = list(enumerate(texts))

    def find(text: str) -> Places:
        return [
            (part, start, start + len(wanted))
            for part, wanted in numbered
            if wanted in text
            for start in _starts(wanted, text)
        ]

    return find


def _starts(wanted: str, text: str) -> list[int]:
    """Return where a literal is found, overlapping or not."""
    found, start = [], text.find(wanted)
    while start >= 0:
        found.append(start)
        start = text.find(wanted, start + 1)
    return found
