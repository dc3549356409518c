"""Why a rule matched an event, in the one explanation shape of design section 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectors.engine import condition as c
from detectors.engine.leaves import evaluate, evaluate_leaf, matched_leaves

#: Longest value quoted in an explanation, characters.
LONGEST = 512


def explain_rule(rule: c.Rule, value_of: Callable[[str | None], Any]) -> dict[str, Any]:
    """Return what of the rule matched and what would have kept it quiet.

    Keys: ``condition`` (as written), ``matched`` (list of ``{selection, field, modifiers,
    pattern, value}``), ``quiet`` (list of sentences), ``false_positives`` (the rule's own).
    """
    return {
        "condition": rule.condition,
        "matched": [
            _item(leaf) | {"value": _quote(value_of(leaf.field))}
            for leaf in matched_leaves(rule.node, value_of)
        ],
        "quiet": _quiet(rule.node, value_of),
        "false_positives": list(rule.falsepositives),
    }


def _item(leaf: c.Leaf) -> dict[str, Any]:
    return {
        "selection": leaf.selection,
        "field": leaf.field or "(keywords)",
        "modifiers": leaf.modifiers,
        "pattern": pattern_of(leaf),
    }


def pattern_of(leaf: c.Leaf) -> str:
    """Return what the leaf compares with, as text."""
    if leaf.op == "null":
        return "null"
    if leaf.op == "exists":
        return str(leaf.flag).lower()
    if leaf.op in (
        "lt",
        "lte",
        "gt",
        "gte",
        "ne",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "year",
    ):
        return f"{leaf.op} {leaf.number}"
    return leaf.text


def _quote(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST:
        return value[:LONGEST] + "…"
    return value


def _quiet(node: c.Node, value_of: Callable[[str | None], Any]) -> list[str]:
    """Name the filters that did not apply, else the items that had to match."""
    filters = [leaf for each in _filters(node) for leaf in c.leaves(each)]
    if filters:
        unmet = [leaf for leaf in filters if not evaluate_leaf(leaf, value_of)]
        return list(dict.fromkeys(f"{_sentence(leaf)} ({leaf.selection})" for leaf in unmet))
    if isinstance(node, c.All):
        needed = [arg for arg in node.args if evaluate(arg, value_of)]
        first = next(matched_leaves(needed[0], value_of), None) if needed else None
    else:
        first = next(matched_leaves(node, value_of), None)
    return [f"another value than {_sentence(first)}"] if first is not None else []


def _filters(node: c.Node) -> list[c.Node]:
    """Return the outermost negated parts of a condition."""
    if isinstance(node, c.Not):
        return [node.arg]
    if isinstance(node, c.Leaf):
        return []
    return [found for arg in node.args for found in _filters(arg)]


def _sentence(leaf: c.Leaf) -> str:
    field = leaf.field or "the event"
    how = leaf.modifiers.replace("|", " ") or "is"
    return f"{field} {how} {pattern_of(leaf)!r}"
