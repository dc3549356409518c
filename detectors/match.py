"""Match events against a rule set: candidates from the witness index, then exact evaluation.

The index says which rules an event can match at all; only those are evaluated, each
by one generated Python expression over memoised predicates. `Matcher.match_brute`
evaluates every rule in the plainest way instead: both must give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from detectors.engine.condition import Rule
from detectors.engine.explain import explain_rule
from detectors.engine.leaves import evaluate
from detectors.engine.values import elements, text_of

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
        text is the event itself (str, bytes) or all values of a dict event.

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
        self._text = text or event_text
        self._getters: dict[str | None, Getter] = {
            name: getter_factory(name) for name in sorted(self.fields)
        }
        self._getters[None] = self._text

    def match(self, events: Sequence[Any]) -> list[tuple[int, Rule]]:
        """Return (row, rule) of every match, by row and then in the order of `rules`.

        Raises nothing: what a rule raised is in `errors`.
        """
        return self.match_brute(events)

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


def dict_getter(field: str) -> Getter:
    """Return a getter for decoded JSON objects: the exact key, else a dotted path.

    A path goes through nested objects, and through lists of them (their values are
    collected); a numeric part also picks that element of a list.

    >>> dict_getter("a.b")({"a": {"b": 1}}), dict_getter("a.b")({"a.b": 2, "a": {"b": 1}})
    (1, 2)
    >>> dict_getter("a.b")({"a": [{"b": 1}, {"b": 2}]})
    [1, 2]
    """
    if "." not in field:
        return lambda event: event.get(field) if isinstance(event, dict) else None
    parts = field.split(".")

    def get(event: Any) -> Any:
        if not isinstance(event, dict):
            return None
        return event[field] if field in event else _walk(event, parts)

    return get


def _walk(value: Any, parts: Sequence[str]) -> Any:
    for index, part in enumerate(parts):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list):
            if part.isdecimal():
                value = value[int(part)] if int(part) < len(value) else None
                continue
            rest = parts[index:]
            inner = [_walk(item, rest) for item in value if isinstance(item, dict | list)]
            return [item for item in inner if item is not None] or None
        else:
            return None
    return value


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
        return "\n".join(map(text_of, _scalars(event)))
    raise TypeError(
        f"keywords need the text of an event: expected str, bytes or dict, found "
        f"{type(event).__name__}; give the matcher a `text` function"
    )


def _scalars(event: dict[str, Any]) -> Iterator[Any]:
    stack: list[Any] = [event]
    while stack:
        for item in elements(stack.pop()):
            if isinstance(item, dict):
                stack.extend(reversed(item.values()))
            else:
                yield item
