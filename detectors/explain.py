"""One explanation shape for whatever raises an alert, as JSON.

===================  ==========================================================================
key                  meaning
===================  ==========================================================================
kind                 ``rule``, ``model``, ``risk``, ``budget`` and so on: that of the alert
what                 one sentence for an analyst
description          rule and correlation: why it matters, in the words of the rule's author
condition            the rule's condition; empty for a model
matched              rule: ``{selection, field, modifiers, pattern, value}`` for each part
contributions        model: ``{field, value, weight}``, largest first, weights adding up to 1;
                     risk: the parts of it, the same way; correlation: each rule's events
baseline             model: what it was compared with, ``since`` when (ms since the epoch, UTC)
                     and how rare it is; null for a rule
events               ids of the events it is about, where the writer knows them
techniques           ATT&CK technique ids
quiet                what would have kept it quiet
false_positives      what the rule's author says also causes it
references           where the rule's author says more can be read
cold_start           true while the model has too short a history to be sure
===================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from schemas.batch import RuleRef

#: Characters of one value that an explanation shows; the whole event travels beside it.
LONGEST = 256
#: Parts that the sentence names; the lists have them all.
NAMED = 3


class Explanation(msgspec.Struct, kw_only=True):
    """The shape above."""

    kind: str
    what: str
    description: str = ""
    condition: str = ""
    matched: list[Any] = []
    contributions: list[Any] = []
    baseline: Any = None
    events: list[str] = []
    techniques: list[str] = []
    quiet: str = ""
    false_positives: list[Any] = []
    references: list[str] = []
    cold_start: bool = False


def rule_explanation(rule: RuleRef, matched: Mapping[str, Any], events: Sequence[str] = ()) -> str:
    """Return the explanation of a rule hit, as JSON.

    Parameters
    ----------
    rule
        The rule that matched.
    matched
        What the matcher says about the first event: ``description``, ``condition``,
        ``matched``, ``quiet``, ``false_positives``, ``references``; any may be missing.
    events
        Ids of the events, where known.
    """
    parts = [_short(part) for part in matched.get("matched", ())]
    # that the event is of the rule's log source goes without saying
    clauses = [_clause(part) for part in parts if part.get("selection") != "logsource"]
    named = " and ".join(clauses[:NAMED])
    more = f" and {len(clauses) - NAMED} more" if len(clauses) > NAMED else ""
    return _json(
        Explanation(
            kind="rule",
            what=f"{rule.title}: {named}{more}." if named else f"{rule.title}.",
            description=str(matched.get("description") or ""),
            condition=str(matched.get("condition", "")),
            matched=parts,
            events=list(events),
            techniques=list(rule.techniques),
            quiet=str(matched.get("quiet") or ""),
            false_positives=list(matched.get("false_positives") or ()),
            references=list(matched.get("references") or ()),
        )
    )


def model_explanation(
    title: str,
    techniques: Sequence[str],
    entity: str,
    said: Mapping[str, Any],
    events: Sequence[str] = (),
) -> str:
    """Return the explanation of a model alert, as JSON.

    Parameters
    ----------
    title, techniques
        Those of the model.
    entity
        Who acted.
    said
        What `detectors.base.Model.explain` returned.
    events
        Ids of the events, where known.
    """
    parts = [_short(part) for part in said.get("contributions", ())]
    named = ", ".join(f"{part['field']} {_quoted(part['value'])}" for part in parts[:NAMED])
    cold = " The model is still learning." if said.get("cold_start") else ""
    return _json(
        Explanation(
            kind="model",
            what=f"{title}, by {entity or 'an unnamed entity'}: {named or 'no one field'}.{cold}",
            contributions=parts,
            baseline=said.get("baseline"),
            events=list(events),
            techniques=list(techniques),
            quiet=str(said.get("quiet") or ""),
            cold_start=bool(said.get("cold_start")),
        )
    )


def budget_explanation(whose: str, limit: int, unit: str, start: int, budget: str, cut: str) -> str:
    """Return the explanation of the alert that says a budget is used up, as JSON.

    Parameters
    ----------
    whose
        Rule or tenant, in words.
    limit, unit, start
        Alerts that it may have in an hour or a day, and when that began, ms since the epoch.
    budget, cut
        Ids of the budget and of the first alert that was cut.
    """
    return _json(
        Explanation(
            kind="budget",
            what=f"The {whose} has had the {limit} alerts per {unit} of its budget; those beyond "
            f"it are kept with the status suppressed, the first is {cut}.",
            matched=[{"field": "budget", "value": budget}, {"field": "alert", "value": cut}],
            baseline={"limit": limit, "per": unit, "since": start},
            quiet="A larger budget, or a suppression of what floods: `sentinel suppressions`.",
        )
    )


def risk_explanation(
    entity: str,
    risk: float,
    threshold: float,
    parts: Sequence[Mapping[str, Any]],
    techniques: Sequence[str],
    tactics: Sequence[str],
    half_life_h: float,
) -> str:
    """Return the explanation of a risk alert, as JSON.

    Parameters
    ----------
    entity
        Whose risk it is.
    risk, threshold
        What it adds up to, and from what an alert is made.
    parts
        ``{rule_id, title, kind, time, points, tactics}`` each, `points` as they are now.
    techniques, tactics
        Of all parts.
    half_life_h
        Hours after which a part counts half.
    """
    ordered = sorted(parts, key=lambda part: (-part["points"], part["rule_id"]))
    total = sum(part["points"] for part in ordered) or 1.0
    named = ", ".join(str(part["title"]) for part in ordered[:NAMED])
    more = f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else ""
    breadth = f", over {len(tactics)} tactics" if len(tactics) > 1 else ""
    return _json(
        Explanation(
            kind="risk",
            what=f"The risk of {entity} is {risk:.2f}{breadth}: {named}{more}.",
            contributions=[
                _short({"field": each["title"], "value": each["rule_id"], "weight": w, **each})
                for each in ordered
                for w in [round(each["points"] / total, 4)]
            ],
            baseline={
                "threshold": threshold,
                "since": min((part["time"] for part in ordered), default=0),
                "half_life_h": half_life_h,
                "tactics": list(tactics),
            },
            techniques=list(techniques),
            quiet=f"A sum below {threshold:g}: fewer of these, or further apart.",
        )
    )


def _clause(part: Mapping[str, Any]) -> str:
    """Say one matched part: ``eventName is 'CreateUser'``, or with the pattern it met.

    Of several values only what met the pattern says something.
    """
    field, value = part.get("field") or "the event", _quoted(part.get("value"))
    modifiers, pattern = part.get("modifiers"), _quoted(part.get("pattern"))
    if isinstance(part.get("value"), list) and part.get("pattern"):
        return (
            f"{field} has one that {modifiers} {pattern}" if modifiers else f"{field} has {pattern}"
        )
    return f"{field} {value} ({modifiers} {pattern})" if modifiers else f"{field} is {value}"


def _quoted(value: Any) -> str:
    """Return a value as people read it."""
    return f"'{value}'" if isinstance(value, str) else str(value)


def _short(value: Any) -> Any:
    """Cut every string in a JSON value to `LONGEST` characters."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return value


def _json(explanation: Explanation) -> str:
    """Encode; what JSON has no form for is written as its text."""
    return msgspec.json.encode(explanation, enc_hook=str).decode()
