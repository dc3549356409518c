"""One leaf of a condition as a predicate over a field's value, and the reference evaluator.

A value is what a getter returns: a JSON scalar, an object, None (absent), or a list,
of which any element may match. Regular expressions run on RE2, in time linear in the
value whatever the pattern, and are searched for, not anchored; they and ``cased`` see
the text as it is, everything else the folded text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

import re2

from detectors.engine import condition as c
from detectors.engine.values import (
    address_of,
    elements,
    fold,
    number_of,
    text_of,
    time_of,
)

Test = Callable[[Any], bool]


def _plain(text: str) -> str:
    return text


def _exact(want: str, text: Callable[[str], str]) -> Test:
    return lambda value: text(text_of(value)) == want


def _prefix(want: str, text: Callable[[str], str]) -> Test:
    return lambda value: text(text_of(value)).startswith(want)


def _suffix(want: str, text: Callable[[str], str]) -> Test:
    return lambda value: text(text_of(value)).endswith(want)


def _contains(want: str, text: Callable[[str], str]) -> Test:
    return lambda value: want in text(text_of(value))


_LITERAL = {"exact": _exact, "prefix": _prefix, "suffix": _suffix, "contains": _contains}


def _pattern(leaf: c.Leaf) -> Test:
    text = _plain if leaf.cased else fold
    expression = "".join(
        re2.escape(text(part[1:])) if part[0] == "=" else {"*": ".*", "?": "."}[part]
        for part in leaf.parts
    )
    compiled = compile_regex(f"(?s){expression}")
    return lambda value: compiled.fullmatch(text(text_of(value))) is not None


def compile_regex(pattern: str) -> Any:
    """Compile a pattern with RE2; raise `re2.error` where RE2 cannot run it."""
    return re2.compile(pattern, regex_options())


def regex_options() -> Any:
    """Return how RE2 is to run the patterns of rules."""
    options = re2.Options()
    options.log_errors = False  # RE2 would write them to stderr itself
    # Where groups begin and end is what RE2 leaves its automaton for; nobody asks.
    options.never_capture = True
    return options


def _regex(leaf: c.Leaf) -> Test:
    search = compile_regex(leaf.text).search
    # as bytes, which spares the wrapper counting characters
    return lambda value: search(text_of(value).encode()) is not None


def _cidr(leaf: c.Leaf) -> Test:
    network = ip_network(leaf.text)

    def inside(value: Any) -> bool:
        address = address_of(value)
        return address is not None and address.version == network.version and address in network

    return inside


_COMPARE: dict[str, Callable[[int | float, int | float], bool]] = {
    "lt": lambda found, limit: found < limit,
    "lte": lambda found, limit: found <= limit,
    "gt": lambda found, limit: found > limit,
    "gte": lambda found, limit: found >= limit,
    "ne": lambda found, limit: found != limit,
}


def _compare(leaf: c.Leaf) -> Test:
    compare, limit = _COMPARE[leaf.op], leaf.number

    def holds(value: Any) -> bool:
        found = number_of(value)
        return found is not None and compare(found, limit)

    return holds


def _time_part(leaf: c.Leaf) -> Test:
    def holds(value: Any) -> bool:
        time = time_of(value)
        if time is None:
            return False
        part = time.isocalendar().week if leaf.op == "week" else getattr(time, leaf.op)
        return bool(part == leaf.number)

    return holds


def _element_test(leaf: c.Leaf) -> Test:
    """Return the predicate over one element of the value."""
    if leaf.op in _LITERAL:
        text = _plain if leaf.cased else fold
        return _LITERAL[leaf.op](text(leaf.text), text)
    if leaf.op == "present":
        return lambda value: True
    if leaf.op in _COMPARE:
        return _compare(leaf)
    return {"pattern": _pattern, "regex": _regex, "cidr": _cidr}.get(leaf.op, _time_part)(leaf)


def leaf_test(leaf: c.Leaf) -> Test:
    """Return the predicate of a leaf over the whole value of its field.

    Raises
    ------
    re2.error
        The regular expression is none that RE2 can run (look-around, back-reference).
    """
    if leaf.op == "null":
        return lambda value: next(elements(value), None) is None
    if leaf.op == "exists":
        return lambda value: (next(elements(value), None) is not None) == leaf.flag
    test = _element_test(leaf)

    def holds(value: Any) -> bool:
        if value.__class__ is str:  # by far the most common
            return test(value)
        return any(test(item) for item in elements(value))

    return holds


def any_part_test(leaves: Sequence[c.Leaf]) -> Test:
    """Return the predicate that any of many ``contains`` leaves holds, not one ``cased``.

    A value is folded once for all of them.
    """
    wanted = [fold(leaf.text) for leaf in leaves]

    def holds(value: Any) -> bool:
        for item in (value,) if value.__class__ is str else elements(value):
            text = fold(text_of(item))
            if any(want in text for want in wanted):
                return True
        return False

    return holds


_leaf_test = lru_cache(maxsize=100_000)(leaf_test)


def fieldref_test(leaf: c.Leaf) -> Callable[[Any, Any], bool]:
    """Return the predicate of a ``fieldref`` leaf over its field's and the other's value."""
    starts, ends = "*" in leaf.parts[1:], "*" in leaf.parts[:1]

    def holds(found: str, other: str) -> bool:
        if starts and ends:
            return other in found
        if starts:
            return found.startswith(other)
        return found.endswith(other) if ends else found == other

    def test(value: Any, reference: Any) -> bool:
        others = [fold(text_of(item)) for item in elements(reference)]
        return any(
            holds(fold(text_of(item)), other) for item in elements(value) for other in others
        )

    return test


def evaluate(node: c.Node, value_of: Callable[[str | None], Any]) -> bool:
    """Evaluate a condition in the plainest way: the reference that all else is tested against.

    `value_of` returns a field's value, or the event's text for None.
    """
    if isinstance(node, c.Not):
        return not evaluate(node.arg, value_of)
    if isinstance(node, c.All):
        return all(evaluate(arg, value_of) for arg in node.args)
    if isinstance(node, c.Any):
        return any(evaluate(arg, value_of) for arg in node.args)
    return evaluate_leaf(node, value_of)


def evaluate_leaf(leaf: c.Leaf, value_of: Callable[[str | None], Any]) -> bool:
    """Evaluate one leaf."""
    if leaf.op == "fieldref":
        return fieldref_test(leaf)(value_of(leaf.field), value_of(leaf.text))
    return _leaf_test(leaf)(value_of(leaf.field))


def matched_leaves(node: c.Node, value_of: Callable[[str | None], Any]) -> Iterator[c.Leaf]:
    """Yield the leaves that made a condition true: those of the branches that hold."""
    if isinstance(node, c.Not) or not evaluate(node, value_of):
        return
    if isinstance(node, c.Leaf):
        yield node
        return
    for arg in node.args:
        yield from matched_leaves(arg, value_of)
