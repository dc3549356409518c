"""Match events against a rule set: candidates from the witness index, then exact evaluation.

The index says which rules an event can match at all; only those are evaluated, each
by one generated Python expression over memoised predicates. `Matcher.match_brute`
evaluates every rule in the plainest way instead: both must give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from detectors.engine.codegen import Compiler, Memo, Memos, Shapes
from detectors.engine.condition import Rule
from detectors.engine.explain import explain_rule
from detectors.engine.index import LOOK, Column, Index
from detectors.engine.leaves import evaluate
from detectors.engine.values import text_of
from schemas.typed import walk

Getter = Callable[[Any], Any]
GetterFactory = Callable[[str], Getter]
Text = Callable[[Any], str]

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
        The raw text of an event, in which keywords are searched. Without it, the
        text is the event itself (str, bytes) or all values of a dict event, one a line.

    Attributes
    ----------
    errors
        What rules raised in the last call of `match` or `match_brute`; such a rule
        counts as not matched on that event, all others are evaluated all the same.
    """

    def __init__(
        self, rules: Sequence[Rule], getter_factory: GetterFactory, text: Text | None = None
    ) -> None:
        self.rules = tuple(rules)
        self.fields: frozenset[str] = frozenset().union(*(rule.fields for rule in self.rules))
        self.errors: list[RuleFailure] = []
        self._getters: dict[str | None, Getter] = {
            name: getter_factory(name) for name in sorted(self.fields)
        }
        self._getters[None] = _remembering(text or event_text)
        memos = Memos()
        self._compiler = Compiler(self._getters, memos)
        self._compiled: list[tuple[Callable[[Any], bool], Callable[[Any], bool]] | None]
        self._compiled = [None] * len(self.rules)
        by_key = getter_factory is dict_getter
        index = Index([rule.node for rule in self.rules], LOOK / 100 if by_key else LOOK)
        looks = [_Look(name, self._getters[name], column, memos) for name, column in index]
        everything = tuple(range(len(self.rules)))
        self._candidates = (_ByKey if by_key else _ByColumn)(looks, index.always, everything)

    def match(self, events: Sequence[Any]) -> list[tuple[int, Rule]]:
        """Return (row, rule) of every match, by row and then in the order of `rules`.

        Raises nothing: what a rule raised is in `errors`.
        """
        self.errors = []
        found = []
        compiled, rules = self._compiled, self.rules
        for row, candidates in self._candidates.of(events):
            event = events[row]
            for ordinal in candidates:
                pair = compiled[ordinal] or self._compile(ordinal)
                try:
                    hit = pair[0](event)
                except Exception:  # noqa: BLE001 - no rule may cost an event
                    hit = self._again(row, ordinal, event)
                if hit:
                    found.append((row, rules[ordinal]))
        return found

    def _compile(self, ordinal: int) -> tuple[Callable[[Any], bool], Callable[[Any], bool]]:
        """Compile a rule when it is first needed: most rules of a big set never are."""
        pair = self._compiled[ordinal] = self._compiler.compile(self.rules[ordinal].node)
        return pair

    def _again(self, row: int, ordinal: int, event: Any) -> bool:
        """Evaluate without memos what failed with them; report what fails again."""
        try:
            return self._compile(ordinal)[1](event)
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


class _Look:
    """One field of the index: how to get it, and what its values lead to."""

    def __init__(self, field: str | None, get: Getter, column: Column, memos: Memos) -> None:
        self.field = field
        self.get = get
        self.memo = Memo(column.rules, memos)

    def careful(self, event: Any, everything: tuple[int, ...]) -> tuple[int, ...]:
        """Return the candidates of one event, whatever its value; all of them on an error."""
        try:
            value = self.get(event)
            found: tuple[int, ...] = (
                self.memo.answer(value) if isinstance(value, list | dict) else self.memo[value]
            )
        except Exception:  # noqa: BLE001 - the rules will meet and report the same error
            return everything
        return found


class _ByColumn:
    """Candidates of a batch, field by field: for decoded events with fixed fields."""

    def __init__(
        self, looks: Sequence[_Look], always: tuple[int, ...], everything: tuple[int, ...]
    ) -> None:
        self.looks = looks
        self.always = always
        self.everything = everything
        self._nested: set[_Look] = set()

    def of(self, events: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield (row, candidates) in row order where there are any."""
        hits: dict[int, tuple[int, ...]] = {}
        if self.always:
            hits = dict.fromkeys(range(len(events)), self.always)
        for look in self.looks:
            for row, found in enumerate(self._look(look, events)):
                if found:
                    hits[row] = _merged(hits[row], found) if row in hits else found
        for row in sorted(hits):
            yield row, hits[row]

    def _look(self, look: _Look, events: Sequence[Any]) -> list[tuple[int, ...]]:
        if look not in self._nested:
            try:
                return list(map(look.memo.__getitem__, map(look.get, events)))
            except Exception:  # noqa: BLE001 - a list, an object, or a getter that failed
                self._nested.add(look)
        return [look.careful(event, self.everything) for event in events]


class _ByKey(_ByColumn):
    """Candidates of plain dict events, by the keys they have: most fields are absent."""

    def __init__(
        self, looks: Sequence[_Look], always: tuple[int, ...], everything: tuple[int, ...]
    ) -> None:
        super().__init__(looks, always, everything)
        self._by_key: dict[str, list[_Look]] = {}
        self._whole: list[tuple[str, _Look]] = []
        for look in looks:
            if look.field is None:
                self._whole.append(("", look))
                continue
            for key in {look.field, look.field.partition(".")[0]}:
                self._by_key.setdefault(key, []).append(look)
        self._shapes = Shapes(self._of_shape)

    def of(self, events: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield (row, candidates) in row order where there are any."""
        shapes, everything = self._shapes, self.everything
        for row, event in enumerate(events):
            found = self.always
            shape = shapes[tuple(event)] if isinstance(event, dict) else self._whole
            for key, look in shape:
                try:
                    more = look.memo[event[key] if key else look.get(event)]
                except Exception:  # noqa: BLE001 - a list, an object, or a getter that failed
                    more = look.careful(event, everything)
                if more:
                    found = _merged(found, more) if found else more
            if found:
                yield row, found

    def _of_shape(self, keys: tuple[str, ...]) -> list[tuple[str, _Look]]:
        """Return the looks that events with these keys need; the key where it is the field."""
        looks = dict.fromkeys(look for key in keys for look in self._by_key.get(key, ()))
        named = [(str(look.field), look) for look in looks]
        return [*self._whole, *(("" if "." in name else name, look) for name, look in named)]


def _merged(some: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*some, *more}))


def dict_getter(field: str) -> Getter:
    """Return a getter for decoded JSON objects: the exact key, else a dotted path.

    A list on the path stands for its items (see `schemas.typed.walk`).

    >>> dict_getter("a.b")({"a": {"b": 1}}), dict_getter("a.b")({"a.b": 2, "a": {"b": 1}})
    (1, 2)
    >>> dict_getter("a.b")({"a": [{"b": 1}, {"b": 2}]})
    [1, 2]
    """
    if "." not in field:
        return lambda event: event.get(field) if isinstance(event, dict) else None
    first, *rest = names = field.split(".")

    def get(event: Any) -> Any:
        if not isinstance(event, dict):
            return None
        value = event.get(field)
        if value is not None:
            return value
        value = event.get(first)
        for name in rest:
            if value.__class__ is not dict:
                return None if value is None else walk(event, names)
            value = value.get(name)
        return value

    return get


def event_text(event: Any) -> str:
    """Return the text of an event that keywords are searched in.

    Raises
    ------
    TypeError
        The event is neither text nor a dict: give the matcher a `text` function.
    """
    if isinstance(event, str):
        return event
    if isinstance(event, bytes):
        return event.decode(errors="replace")
    if isinstance(event, dict):
        return "\n".join(_texts(event))
    raise TypeError(
        f"keywords need the text of an event: expected str, bytes or dict, found "
        f"{type(event).__name__}; give the matcher a `text` function"
    )


def _texts(event: dict[str, Any]) -> list[str]:
    texts: list[str] = []
    nodes: list[Any] = [event]
    for node in nodes:  # grows while it is walked, so that depth costs no stack
        for value in node.values() if node.__class__ is dict else node:
            kind = value.__class__
            if kind is str:
                texts.append(value)
            elif kind is dict or kind is list:
                nodes.append(value)
            elif value is not None:
                texts.append(text_of(value))
    return texts


def _remembering(text: Text) -> Text:
    """Return `text` remembering the last event: the index and several rules ask for it."""
    last: list[Any] = [None, ""]

    def get(event: Any) -> str:
        if event is not last[0]:
            last[:] = event, text(event)
        return str(last[1])

    return get
