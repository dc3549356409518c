"""Match events against a rule set: candidates from the witness index, then exact evaluation.

The index says which rules an event can match at all; only those are evaluated, each
by one generated Python expression over memoised predicates. `Matcher.match_brute`
evaluates every rule in the plainest way instead: both must give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from detectors.engine.access import Getter, Raw, Text, dict_getter, event_text, remembering
from detectors.engine.codegen import Compiler, Memos
from detectors.engine.condition import Rule
from detectors.engine.explain import explain_rule
from detectors.engine.leaves import evaluate
from detectors.engine.witness.candidates import Candidates, Seen
from detectors.engine.witness.index import clauses_of
from schemas.columns.records import FEW_ROWS, Records

__all__ = ["Getter", "GetterFactory", "Matcher", "Text", "dict_getter", "event_text"]

GetterFactory = Callable[[str], Getter]

#: Row of the event, id of the rule, and what the rule raised on it.
RuleFailure = tuple[int, str, Exception]


class Matcher:
    """A rule set compiled for one kind of event. Not thread-safe: it keeps memos.

    Parameters
    ----------
    rules
        In the order in which matches of one event are reported.
    getter_factory
        Gives, for a field name, a function from an event to the field's value: a JSON
        scalar, a list (any element may match), an object, or None where it is absent.
    text
        The text of an event, or its texts, in which keywords are searched; without it
        that is the event itself (str, bytes) or every value in a dict event.
    seen
        Knows the top-level keys of all events decoded so far: a field that no event has is
        not looked at.
    raw
        The JSON of an event whose values, all of them, are its text, one a line: keywords
        are looked for in it first, because that is cheap.

    Attributes
    ----------
    errors
        What rules raised in the last call of `match` or `match_brute`; such a rule
        counts as not matched on that event, all others are evaluated all the same.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        getter_factory: GetterFactory,
        text: Text | None = None,
        seen: Seen | None = None,
        raw: Raw | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.fields: frozenset[str] = frozenset().union(*(rule.fields for rule in self.rules))
        self.errors: list[RuleFailure] = []
        self._keys = [_keys(rule) for rule in self.rules]
        self._getters: dict[str | None, Getter] = {
            name: getter_factory(name) for name in sorted(self.fields)
        }
        self._getters[None] = remembering(text or event_text)
        self._compiler = Compiler(self._getters, Memos())
        self._compiled: list[tuple[Callable[[Any], bool], Callable[[Any], bool]] | None]
        self._compiled = [None] * len(self.rules)
        clauses = [
            clause
            for ordinal, rule in enumerate(self.rules)
            for clause in clauses_of(ordinal, rule.node)
        ]
        by_key = getter_factory is dict_getter
        self._candidates = Candidates(clauses, self._getters, seen, raw, by_key=by_key)

    def match(self, events: Sequence[Any]) -> list[tuple[int, Rule]]:
        """Return (row, rule) of every match, by row and then in the order of `rules`.

        Raises nothing: what a rule raised is in `errors`.
        """
        self.errors = []
        if isinstance(events, Records):
            return self._match_alike(events)
        found = []
        compiled, rules = self._compiled, self.rules
        for row, candidates in self._candidates.of(events):
            event = events[row]
            for ordinal in candidates:
                try:
                    hit = (compiled[ordinal] or self._compile(ordinal))[0](event)
                except Exception:  # noqa: BLE001 - no rule may cost an event
                    hit = self._again(row, ordinal, event)
                if hit:
                    found.append((row, rules[ordinal]))
        return found

    def _match_alike(self, events: Records) -> list[tuple[int, Rule]]:
        """Match rule by rule, once for all events that are alike in what the rule reads."""
        found, failed = list[NDArray[np.int64]](), list[tuple[int, int, Exception]]()
        ordinals = list[int]()
        for ordinal, rows in self._candidates.by_rule(events):
            outcomes, places = self._outcomes(ordinal, rows, events)
            hits = np.array([outcome is True for outcome in outcomes])
            found.append(rows[hits[places]])
            ordinals.append(ordinal)
            for place, outcome in enumerate(outcomes):
                if outcome.__class__ is not bool:
                    which = rows[places == place].tolist()
                    failed.extend((row, ordinal, cast(Exception, outcome)) for row in which)
        self.errors = [(row, self.rules[at].id, error) for row, at, error in sorted(failed)]
        if not found:
            return []
        rows, of_rules = np.concatenate(found), np.repeat(ordinals, list(map(len, found)))
        order = np.argsort(rows, kind="stable")
        matched = map(self.rules.__getitem__, of_rules[order].tolist())
        return list(zip(rows[order].tolist(), matched, strict=True))

    def _outcomes(
        self, ordinal: int, rows: NDArray[np.int64], events: Records
    ) -> tuple[list[bool | Exception], NDArray[np.int32]]:
        """Return what a rule comes to on some events, and which of that it is for each of them.

        It is evaluated unless that is known for what it reads there.
        """
        keys = self._keys[ordinal]
        alike = events.alike(keys or (None,), rows)
        firsts = rows[alike.firsts]
        codes = events.codes(keys) if keys and len(rows) > FEW_ROWS else None
        if codes is None:
            return [self._outcome(ordinal, events[row]) for row in firsts.tolist()], alike.index
        known = codes.memos.setdefault((self, ordinal), {})
        wanted = codes.codes[firsts].tolist()
        for row, code in zip(firsts.tolist(), wanted, strict=True):
            if code not in known:
                known[code] = self._outcome(ordinal, events[row])
        return list(map(known.__getitem__, wanted)), alike.index

    def _outcome(self, ordinal: int, event: Any) -> bool | Exception:
        """Evaluate a rule; return what it raises."""
        compiled = self._compiled[ordinal] or self._compile(ordinal)
        try:
            return bool(compiled[0](event))
        except Exception:  # noqa: BLE001 - no rule may cost an event
            careful = compiled[1]
        try:
            return bool(careful(event))
        except Exception as error:  # noqa: BLE001 - see `match`
            return error

    def _compile(self, ordinal: int) -> tuple[Callable[[Any], bool], Callable[[Any], bool]]:
        """Compile a rule when it is first needed: most rules of a big set never are."""
        pair = self._compiled[ordinal] = self._compiler.compile(self.rules[ordinal].node)
        return pair

    def _again(self, row: int, ordinal: int, event: Any) -> bool:
        """Evaluate without memos what failed with them; report what fails again."""
        try:
            return (self._compiled[ordinal] or self._compile(ordinal))[1](event)
        except Exception as error:  # noqa: BLE001 - see `match`
            self.errors.append((row, self.rules[ordinal].id, error))
            return False

    def match_brute(self, events: Sequence[Any]) -> list[tuple[int, Rule]]:
        """Return what `match` returns, without index, memo or generated code."""
        self.errors = []
        found = []
        for row, event in enumerate(events):
            value_of = self._value_of(event)
            for rule in self.rules:
                try:
                    if evaluate(rule.node, value_of):
                        found.append((row, rule))
                except Exception as error:  # noqa: BLE001 - no rule may cost an event
                    self.errors.append((row, rule.id, error))
        return found

    def explain(self, event: Any, rule: Rule) -> dict[str, Any]:
        """Say why `rule` matched `event`; see `detectors.engine.explain.explain_rule`."""
        return explain_rule(rule, self._value_of(event))

    def _value_of(self, event: Any) -> Callable[[str | None], Any]:
        getters = self._getters
        return lambda field: getters[field](event)


def _keys(rule: Rule) -> tuple[str, ...]:
    """Return the top-level keys that a rule reads; none where it reads the whole text."""
    if None in rule.reads:
        return ()
    return tuple(sorted({field.partition(".")[0] for field in rule.fields}))
