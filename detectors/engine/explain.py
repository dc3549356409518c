"""Why a rule matched an event, in the one explanation shape of design section 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectors.engine import condition as c
from detectors.engine.leaves import evaluate_leaf, matched_leaves
from detectors.fields import shown

#: Longest value quoted in an explanation, characters.
LONGEST = 512

#: Unmet filters, and references, named in an explanation.
MOST = 5


def explain_rule(rule: c.Rule, value_of: Callable[[str | None], Any]) -> dict[str, Any]:
    """Return what of the rule matched, why that matters, and what would have kept it quiet.

    Keys: ``description`` and ``references`` of the rule, ``condition`` (as written),
    ``matched`` (list of ``{selection, field, modifiers, pattern, value}``), ``quiet`` (what
    would have kept it quiet), ``false_positives``.
    """
    return {
        "description": _quote(" ".join(rule.description.split())),
        "references": list(rule.references[:MOST]),
        "condition": rule.condition,
        "matched": [
            _item(rule, leaf) | {"value": _quote(value_of(leaf.field))}
            for leaf in matched_leaves(rule.node, value_of)
        ],
        "quiet": _quiet(rule, value_of),
        "false_positives": list(rule.falsepositives),
    }


def _item(rule: c.Rule, leaf: c.Leaf) -> dict[str, Any]:
    return {
        "selection": leaf.selection,
        "field": shown(rule, leaf.field),
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


def _quiet(rule: c.Rule, value_of: Callable[[str | None], Any]) -> str:
    """Say which filters did not apply, or without filters what had to match."""
    filters = [leaf for each in _filters(rule.node) for leaf in c.leaves(each)]
    if filters:
        unmet = [leaf for leaf in filters if not evaluate_leaf(leaf, value_of)]
        names = dict.fromkeys(f"{_sentence(rule, leaf)} ({leaf.selection})" for leaf in unmet)
        return "; ".join(list(names)[:MOST])
    met = [leaf for leaf in matched_leaves(rule.node, value_of) if leaf.selection != "logsource"]
    return f"anything else than: {_sentence(rule, met[0])}" if met else ""


def _filters(node: c.Node) -> list[c.Node]:
    """Return the outermost negated parts of a condition."""
    if isinstance(node, c.Not):
        return [node.arg]
    if isinstance(node, c.Leaf):
        return []
    return [found for arg in node.args for found in _filters(arg)]


def _sentence(rule: c.Rule, leaf: c.Leaf) -> str:
    how = leaf.modifiers.replace("|", " ") or "is"
    return f"{shown(rule, leaf.field)} {how} {pattern_of(leaf)!r}"
