"""What was written after a pipe in a condition, and the correlation that says the same now.

Sigma 1 had ``selection | count(user) by src > 5`` with a ``timeframe``, and ``| near``; Sigma 2
has correlation documents instead (Sigma specification 2.1, Sigma Correlation Rules, and its
appendix on the migration from aggregations).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_AGGREGATION: Final = re.compile(
    r"\s*(?P<what>count|min|max|avg|sum)\s*\(\s*(?P<field>[^)\s]*)\s*\)"
    r"(?:\s+by\s+(?P<by>[^\s<>=]+))?\s*(?P<how>[<>]=?|==?)\s*(?P<than>-?[\d.]+)\s*",
    re.IGNORECASE,
)
_TYPES: Final = {
    "count": "value_count",
    "sum": "value_sum",
    "avg": "value_avg",
}
_COMPARISONS: Final = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "=": "eq", "==": "eq"}


def instead(condition: str, rule: Mapping[str, Any]) -> str:
    """Return the reason why a condition with a pipe is refused, and what to write for it.

    Parameters
    ----------
    condition
        With a pipe in it.
    rule
        The document it is from.
    """
    before, _, after = condition.partition("|")
    reason = f"`|{after}` is an aggregation, which Sigma has replaced by correlations; "
    detection = rule.get("detection")
    timeframe = detection.get("timeframe") if isinstance(detection, Mapping) else None
    span = timeframe or "5m"
    if after.split()[:1] == ["near"]:
        others = [word for word in after.split()[1:] if word not in ("and", "or", "not")]
        rules = ", ".join([*before.split(), *others])
        return (
            f"{reason}make each selection a rule with a name of its own, and write "
            f"`correlation: {{type: temporal, rules: [{rules}], timespan: {span}}}`"
        )
    found = _AGGREGATION.fullmatch(after)
    if found is None or (found["what"].lower() in ("min", "max")):
        return f"{reason}no type of correlation says this, see the Sigma specification"
    kind, field = _TYPES[found["what"].lower()], found["field"]
    kind = kind if field else "event_count"
    group = f"group-by: [{found['by']}], " if found["by"] else ""
    about = f"field: {field}, " if field else ""
    name = rule.get("name") or rule.get("id") or "NAME"
    return (
        f"{reason}end the condition before it and write beside the rule `correlation: "
        f"{{type: {kind}, rules: [{name}], {group}timespan: {span}, "
        f"condition: {{{about}{_COMPARISONS[found['how']]}: {found['than']}}}}}`"
    )
