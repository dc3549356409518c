"""The witness index: from the values of an event to the few rules it can match at all.

A *witness* of a rule is a set of (field, literal) of which at least one must be
present whenever the rule matches: of a conjunction the best witness of any argument,
of a disjunction the union of one witness of each, of a negation none. A rule without
one is evaluated on every event. Exact literals are found in a dict, parts of a value by
one Aho-Corasick automaton per field, both over the folded value, and what a value leads
to is remembered. The idea and its worth (13-23 times the rate on 3,132 rules) are those
of RSigma's candidate index (github.com/timescale/rsigma, BENCHMARKS.md).

Which fields are looked at is chosen by cost: a look at a field costs every event, an
unnecessary candidate only the events that meet its literal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation

from detectors.engine import condition as c
from detectors.engine.leaves import evaluate
from detectors.engine.literals import required_literal
from detectors.engine.values import elements, fold, text_of

#: Relative costs on one core (measured: about 0.12 µs a look at a field, 0.4 µs a rule).
LOOK, EVALUATE = 0.12, 0.4

#: Assumed share of events that meet a literal; only their order matters.
_EXACT, _PRESENT = 0.002, 0.5

#: What the worst witness costs: still less than none.
_WORST = 0.8 * EVALUATE


class Witness(NamedTuple):
    """A literal that a value of `field` must show; `kind` is exact, prefix … or present."""

    field: str | None
    kind: str
    text: str = ""


class Option(NamedTuple):
    """One way to witness a rule and what it is expected to cost per event."""

    cost: float
    witnesses: frozenset[Witness]


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


class _Chooser:
    """Estimates what witnesses cost, and picks fields and options."""

    def __init__(self, nodes: Sequence[c.Node], look: float) -> None:
        self.nodes = nodes
        self.look = look
        self.uses = Counter(
            witness
            for node in nodes
            for witness in {witness_of(leaf) for leaf in c.leaves(node)}
            if witness is not None
        )

    def chance(self, witness: Witness) -> float:
        """Return the assumed share of events that meet a literal.

        Shorter literals meet more; what many rules ask for is common in the data too.
        """
        if witness.kind == "present" or witness.field == c.CATEGORY:
            return _PRESENT
        common = 1 + self.uses[witness] / 4
        if witness.kind == "exact":
            return min(_PRESENT, _EXACT * common)
        return min(_PRESENT, (_EXACT + 0.5 ** min(len(witness.text), 12)) * common)

    def best(self, node: c.Node, fields: set[str | None], extra: float = 0.0) -> Option | None:
        """Return the cheapest option of a condition over `fields`.

        With `extra`, other fields may be used as well, at that cost each.
        """
        if isinstance(node, c.Not):
            return None
        if isinstance(node, c.Leaf):
            return self._leaf(node, fields, extra)
        options = [self.best(arg, fields, extra) for arg in node.args]
        known = [option for option in options if option is not None]
        if isinstance(node, c.All):
            return min(known, key=lambda option: option.cost, default=None)
        if len(known) < len(options):
            return None
        witnesses = frozenset().union(*(option.witnesses for option in known))
        # Many literals of a field do not add up to more than its presence does.
        return Option(min(_WORST, sum(option.cost for option in known)), witnesses)

    def _leaf(self, leaf: c.Leaf, fields: set[str | None], extra: float) -> Option | None:
        witness = witness_of(leaf)
        if witness is None:
            return None
        known = leaf.field in fields
        if not known and not extra:
            return None
        cost = self.chance(witness) * EVALUATE + (0 if known else extra)
        return Option(cost, frozenset((witness,)))

    def fields(self) -> set[str | None]:
        """Choose the fields to look at."""
        chosen: set[str | None] = set()
        current = [EVALUATE] * len(self.nodes)
        through: dict[str | None, dict[int, float]] = defaultdict(dict)
        for rule, node in enumerate(self.nodes):
            for field in {leaf.field for leaf in c.leaves(node)}:
                option = self.best(node, {field})
                if option is not None:
                    through[field][rule] = option.cost
        while through:
            gains = {
                field: sum(max(0.0, current[rule] - cost) for rule, cost in costs.items())
                for field, costs in through.items()
            }
            field = max(gains, key=lambda name: (gains[name], str(name)))
            if gains[field] <= self.look:
                break
            chosen.add(field)
            for rule, cost in through.pop(field).items():
                current[rule] = min(current[rule], cost)
        self._cover_the_rest(chosen, current)
        return chosen

    def _cover_the_rest(self, chosen: set[str | None], current: list[float]) -> None:
        """Add the fields of rules that take several of them together."""
        for rule, node in enumerate(self.nodes):
            if current[rule] < EVALUATE:
                continue
            option = self.best(node, chosen, extra=self.look)
            if option is not None and option.cost < EVALUATE:
                chosen.update(witness.field for witness in option.witnesses)


class Column:
    """The literals of one field, and the rules they lead to."""

    def __init__(self, entries: Sequence[tuple[Witness, int]]) -> None:
        exact: dict[str, set[int]] = defaultdict(set)
        parts: dict[str, set[tuple[str, int]]] = defaultdict(set)
        present: set[int] = set()
        for witness, rule in entries:
            if witness.kind == "present":
                present.add(rule)
            elif witness.kind == "exact":
                exact[witness.text].add(rule)
            else:
                parts[witness.text].add((witness.kind, rule))
        self.present = tuple(sorted(present))
        self.exact = {text: tuple(sorted(rules | present)) for text, rules in exact.items()}
        self.parts = [_Part(text, parts[text]) for text in sorted(parts)]
        self._find = _finder([part.text for part in self.parts])

    def rules(self, value: Any) -> tuple[int, ...]:
        """Return the rules that a value leads to, ascending."""
        if value.__class__ is str:
            return self._of_text(fold(value))
        texts = {fold(text_of(item)) for item in elements(value)}
        return tuple(sorted({rule for text in texts for rule in self._of_text(text)}))

    def anywhere(self, text: str) -> tuple[int, ...]:
        """Return the rules with a part anywhere in `text`; `present` itself if there is none.

        For several values joined to one text; exact literals are not looked for.
        """
        found = {part for part, _, _ in self._find(fold(text))}
        if not found:
            return self.present
        rules = {rule for part in found for rule in self.parts[part].rules(True, True)}
        return tuple(sorted(rules.union(self.present)))

    def _of_text(self, text: str) -> tuple[int, ...]:
        known = self.exact.get(text, self.present)
        places = self._find(text)
        if not places:
            return known
        found = set(known)
        for part, start, end in places:
            found |= self.parts[part].rules(start == 0, end == len(text))
        return tuple(sorted(found))


Places = list[tuple[int, int, int]]

#: Up to so many parts are looked for one by one; an automaton costs more to call.
_FEW = 3

#: A table-driven automaton is twice as fast but takes some 250 bytes a character.
_TABLE_CHARS = 40_000


def _finder(texts: list[str]) -> Callable[[str], Places]:
    """Return a function that finds (part, start, end) of `texts` in a text.

    Of several finds of one part at least those at the start and the end are returned.
    """
    if len(texts) > _FEW:
        table = sum(map(len, texts)) <= _TABLE_CHARS
        automaton = AhoCorasick(texts, implementation=Implementation.DFA if table else None)
        return lambda text: automaton.find_matches_as_indexes(text, overlapping=True)
    numbered = list(enumerate(texts))

    def find(text: str) -> Places:
        return [
            place
            for part, wanted in numbered
            if wanted in text
            for place in (
                (part, text.find(wanted), -1),
                (part, -1, len(text) if text.endswith(wanted) else -1),
            )
        ]

    return find


class _Part:
    """The rules behind one substring, by where in the value it was found."""

    def __init__(self, text: str, uses: set[tuple[str, int]]) -> None:
        self.text = text
        self._by_place = {
            (first, last): frozenset(
                rule
                for kind, rule in uses
                if kind == "contains" or (kind == "prefix" and first) or (kind == "suffix" and last)
            )
            for first in (False, True)
            for last in (False, True)
        }

    def rules(self, first: bool, last: bool) -> frozenset[int]:
        """Return the rules for a find at the start or the end of the value, or neither."""
        return self._by_place[first, last]


def _presence(node: c.Node) -> frozenset[Witness]:
    """Return the presence of any field of a rule that an event without any does not match.

    Empty where such an event matches: then the rule has to run on every event. An event
    that has no value at all has no text either, and no keyword is in it, not even an empty
    one; a text that is empty is a value.
    """
    if evaluate(node, lambda field: None):
        return frozenset()
    fields = {name for leaf in c.leaves(node) for name in c.fields_of(leaf)}
    return frozenset(Witness(name, "present") for name in fields)


class Index:
    """The columns of a rule set and the rules that run on every event.

    Parameters
    ----------
    nodes
        The conditions; a rule is known by its place among them.
    look
        What it costs to look at a field of an event, relative to `EVALUATE`.
    """

    def __init__(self, nodes: Sequence[c.Node], look: float = LOOK) -> None:
        chooser = _Chooser(nodes, look)
        fields = chooser.fields()
        entries: dict[str | None, list[tuple[Witness, int]]] = defaultdict(list)
        always = []
        for rule, node in enumerate(nodes):
            option = chooser.best(node, fields)
            witnesses = option.witnesses if option else _presence(node)
            if not witnesses:
                always.append(rule)
            for witness in witnesses:
                entries[witness.field].append((witness, rule))
        self.always = tuple(always)
        self.columns = {field: Column(found) for field, found in entries.items()}

    def __iter__(self) -> Iterator[tuple[str | None, Column]]:
        """Yield each field that is looked at, with its column."""
        yield from self.columns.items()
