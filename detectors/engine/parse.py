"""One YAML document to a `Rule`, through pySigma: its parser, modifiers and condition grammar.

pySigma applies the modifiers while it reads a rule, so what arrives here are values
(`sigma.types`) and a condition tree over the names of selections; both are turned
into `detectors.engine.condition`. What the engine cannot run raises `RuleError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar, cast

import msgspec
import re2
from sigma import conditions as sc
from sigma import types as st
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.modifiers import reverse_modifier_mapping
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule, SigmaRuleBase

from detectors.engine import condition as c
from detectors.engine.aggregation import instead
from detectors.engine.leaves import compile_regex, leaf_test
from sentinel.errors import RuleError

#: Values for ``%name%`` placeholders of the ``expand`` modifier.
Placeholders = Mapping[str, Sequence[str]]
Kind = TypeVar("Kind", bound=SigmaRuleBase)


class _RE2(RE2RegexEngine):
    """pySigma's RE2 engine, which would write every invalid pattern to stderr, kept quiet."""

    def compile(self, pattern: str, flags: int = 0) -> Any:
        """Compile without logging; flags as pySigma passes them (those of `re`)."""
        named = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
        letters = "".join(letter for flag, letter in named.items() if flags & flag)
        return compile_regex(f"(?{letters}){pattern}" if letters else pattern)


_POLICY = SigmaPolicy(regex_engine=_RE2())
_SEVERITY = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_TECHNIQUE = re.compile(r"t\d{4}(\.\d{3})?\Z", re.IGNORECASE)


def parse_document(document: Any, placeholders: Placeholders) -> c.Rule | c.Filter:
    """Turn one YAML document into a rule or filter; `id` is empty where the document has none.

    Raises
    ------
    RuleError
        With the reason: neither of them, invalid, or not supported.
    """
    if not isinstance(document, dict):
        raise RuleError(f"expected a Sigma rule (a mapping), found {type(document).__name__}")
    if "detection" not in document and "filter" not in document:
        raise RuleError("not a Sigma rule: expected `detection`, found none")
    read, kind = (_rule, "") if "detection" in document else (_filter, "filter: ")
    try:
        return read(document, placeholders)
    except SigmaError as error:
        raise RuleError(f"{kind}{error}") from error
    except RecursionError as error:
        raise RuleError("the condition is nested too deep; write it flatter") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise RuleError(f"malformed: {type(error).__name__}: {error}") from error


def _rule(document: dict[str, Any], placeholders: Placeholders) -> c.Rule:
    _refuse_aggregation(document)
    rule = lenient(SigmaRule, document, ("logsource", "detection"))
    node = _condition(rule, placeholders)
    made = _with_metadata(rule, node, str(document.get("id") or ""))
    return msgspec.structs.replace(made, staged=document.get(STAGE) == STAGING)


def _refuse_aggregation(document: dict[str, Any]) -> None:
    """Refuse what Sigma 1 had after a pipe; raise RuleError with what to write for it."""
    detection = document["detection"]
    stated = detection.get("condition") if isinstance(detection, dict) else None
    for condition in stated if isinstance(stated, list) else [stated]:
        if isinstance(condition, str) and "|" in condition:
            raise RuleError(instead(condition, document))


def _filter(document: dict[str, Any], placeholders: Placeholders) -> c.Filter:
    made = SigmaFilter.from_dict(document, policy=_POLICY)
    rules = made.filter.rules
    detection = {key: value for key, value in document["filter"].items() if key != "rules"}
    rule = SigmaRule.from_dict(
        {"title": "-", "logsource": document["logsource"], "detection": detection}, policy=_POLICY
    )
    return c.Filter(
        id=str(made.id or document.get("id") or ""),
        title=made.title or "",
        logsource=_logsource(rule),
        rules=() if isinstance(rules, str) else tuple(each.reference for each in rules),
        condition=made.filter.condition[0],
        node=_condition(rule, placeholders),
    )


def _logsource(rule: SigmaRule) -> c.LogSource:
    source = rule.logsource
    return c.LogSource(source.product or "", source.category or "", source.service or "")


#: An attribute of our own, as Sigma allows, and the value that says a rule is on trial: it runs,
#: but its alerts have the status "staged" and notify no one (``sentinel rules promote``).
STAGE, STAGING = "sentinel", "staging"

#: What an analyst reads of a rule, beside what it takes to run it.
_OPTIONAL = ("id", "title", "description", "level", "tags", "falsepositives", "references", "name")


def lenient(kind: type[Kind], document: dict[str, Any], essential: Sequence[str]) -> Kind:
    """Let pySigma read a rule; a fault in its metadata alone does not keep it from running.

    Parameters
    ----------
    kind
        Class of pySigma that reads it.
    essential
        Keys without which it does not run.

    Raises
    ------
    RuleError
        What is wrong with the essential parts.
    """
    rule = kind.from_dict(document, collect_errors=True, policy=_POLICY)
    if not rule.errors:
        return rule
    kept: dict[str, Any] = {"title": "-"} | {
        key: document[key] for key in essential if key in document
    }
    reduced = kind.from_dict(kept, collect_errors=True, policy=_POLICY)
    if reduced.errors:
        raise RuleError("; ".join(str(error) for error in reduced.errors))
    for key in _OPTIONAL:
        attempt = kept | {key: document.get(key)}
        if (
            key in document
            and not kind.from_dict(attempt, collect_errors=True, policy=_POLICY).errors
        ):
            kept = attempt
    return kind.from_dict(kept, policy=_POLICY)


def described(rule: SigmaRuleBase, stated_id: str) -> dict[str, Any]:
    """Return what an analyst reads of a rule, by the names that `condition.Rule` has for it."""
    tags = [tag.name for tag in rule.tags if tag.namespace == "attack"]
    return {
        "id": str(rule.id or stated_id),  # a name is no valid id, but it is one
        "title": "" if rule.title == "-" else rule.title or "",
        "description": rule.description or "",
        "severity_id": _SEVERITY.get(str(rule.level), 3),
        "techniques": tuple(dict.fromkeys(t.upper() for t in tags if _TECHNIQUE.match(t))),
        "falsepositives": tuple(map(str, rule.falsepositives or ())),
        "references": tuple(map(str, rule.references or ())),
        "name": rule.name or "",
    }


def _with_metadata(rule: SigmaRule, node: c.Node, stated_id: str) -> c.Rule:
    return c.Rule(
        **described(rule, stated_id),
        logsource=_logsource(rule),
        condition=" or ".join(rule.detection.condition),
        node=node,
    )


def _condition(rule: SigmaRule, placeholders: Placeholders) -> c.Node:
    """Return the tree of all conditions; a list of conditions is true where one is."""
    reader = _Reader(rule, placeholders)
    found = [reader.tree(parsed.parse(postprocess=False)) for parsed in _parsed(rule)]
    nodes = [node for node in found if node is not None]
    if not nodes:
        raise RuleError("the condition is empty: expected a selection, found none")
    node = _join(c.Any, nodes)
    for leaf in c.leaves(node):
        _check(leaf)
    return node


def _parsed(rule: SigmaRule) -> list[sc.SigmaCondition]:
    return rule.detection.parsed_condition


def _check(leaf: c.Leaf) -> None:
    try:
        if leaf.op in ("regex", "pattern"):
            leaf_test(leaf)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise RuleError(
            f"regular expression {leaf.text!r} cannot run in linear time (RE2: {reason}); "
            "write it without look-around and back-references"
        ) from error


def _join(kind: type[c.All | c.Any], nodes: Sequence[c.Node]) -> c.Node:
    return nodes[0] if len(nodes) == 1 else kind(tuple(nodes))


class _Reader:
    """Resolves selections of one rule, as pySigma's own post-processing does."""

    def __init__(self, rule: SigmaRule, placeholders: Placeholders) -> None:
        self.detections = rule.detection
        self.placeholders = placeholders

    def tree(self, item: Any) -> c.Node | None:
        """Turn an element of the condition's parse tree into a node; None where it is empty."""
        if isinstance(item, sc.ConditionIdentifier):
            try:
                detection = self.detections[item.identifier]
            except KeyError:
                raise RuleError(
                    f"the condition names {item.identifier!r}, which is no selection of the rule"
                ) from None
            return self.detection(detection, item.identifier)
        if isinstance(item, sc.ConditionSelector):
            found = item.resolve_referenced_detections(self.detections)
            if not found:
                raise RuleError(f"`{' of '.join(item.args)}` fits no selection of the rule")
            return self._all(item.cond_class, [self.tree(each) for each in found])
        if isinstance(item, sc.ConditionNOT):
            arg = self.tree(item.args[0])
            return None if arg is None else c.Not(arg)
        if isinstance(item, sc.ConditionAND | sc.ConditionOR):
            return self._all(type(item), [self.tree(each) for each in item.args])
        raise RuleError(f"unexpected element {type(item).__name__} in the condition")

    @staticmethod
    def _all(linking: Any, nodes: Sequence[c.Node | None]) -> c.Node | None:
        kept = [node for node in nodes if node is not None]
        return _join(c.All if linking is sc.ConditionAND else c.Any, kept) if kept else None

    def detection(self, detection: SigmaDetection, name: str) -> c.Node | None:
        """Turn a selection, or one map of a list of maps, into a node."""
        nodes = [
            self.detection(item, name)
            if isinstance(item, SigmaDetection)
            else self.item(item, name)
            for item in detection.detection_items
        ]
        return self._all(detection.item_linking, nodes)

    def item(self, item: SigmaDetectionItem, name: str) -> c.Node:
        """Turn one field with its values into a node."""
        modifiers = "|".join(reverse_modifier_mapping[each.__name__] for each in item.modifiers)
        values = item.value or [st.SigmaNull()]
        nodes = [self.value(item.field, value, (name, modifiers)) for value in values]
        kind = c.All if item.value_linking is sc.ConditionAND else c.Any
        node = _join(kind, nodes)
        return c.Not(node) if item.negated else node

    def value(self, field: str | None, value: st.SigmaType, origin: tuple[str, str]) -> c.Node:
        """Turn one value into a node; expansions and placeholders are alternatives.

        `origin` is the selection and the modifiers as written.
        """
        if isinstance(value, st.SigmaExpansion):
            return _join(c.Any, [self.value(field, each, origin) for each in value.values])
        if (
            isinstance(value, st.SigmaString | st.SigmaRegularExpression)
            and value.contains_placeholder()
        ):
            filled = value.replace_placeholders(self._fill)
            return _join(c.Any, [self.value(field, each, origin) for each in filled])
        leaf = _string(field, value) if isinstance(value, st.SigmaString) else _scalar(field, value)
        return msgspec.structs.replace(leaf, selection=origin[0], modifiers=origin[1])

    def _fill(self, placeholder: st.Placeholder) -> Any:
        try:
            return iter(self.placeholders[placeholder.name])
        except KeyError:
            raise RuleError(
                f"placeholder %{placeholder.name}% of the expand modifier has no value"
            ) from None


_WILDCARD = {st.SpecialChars.WILDCARD_MULTI: "*", st.SpecialChars.WILDCARD_SINGLE: "?"}
_SHAPES: dict[str, c.Op] = {
    "": "exact",
    "=": "exact",
    "=*": "prefix",
    "*=": "suffix",
    "*=*": "contains",
    "*": "present",
}


def _string(field: str | None, value: st.SigmaString) -> c.Leaf:
    cased = isinstance(value, st.SigmaCasedString)
    parts = ["=" + part if isinstance(part, str) else _part(part) for part in value.s]
    if field is None:  # keywords are looked for anywhere in the text
        parts = ["*", *parts, "*"]
    parts = reduce(_squeeze, parts, [])
    op = _SHAPES.get("".join(part[0] for part in parts), "pattern")
    text = "".join(part[1:] if part[0] == "=" else part for part in parts)
    if op not in ("pattern", "present"):
        text = next((part[1:] for part in parts if part[0] == "="), "")
    kept = tuple(parts) if op == "pattern" else ()
    return c.Leaf(field, op, text, kept, cased=cased)


def _part(part: Any) -> str:
    return _WILDCARD[part]


def _squeeze(parts: list[str], part: str) -> list[str]:
    """Append `part`; neighbouring literals join, and ``**`` means no more than ``*``."""
    if parts and part == "*" == parts[-1]:
        return parts
    if parts and part[0] == "=" == parts[-1][0]:
        return [*parts[:-1], parts[-1] + part[1:]]
    return [*parts, part]


_COMPARISONS: dict[st.CompareOperators, c.Op] = {
    st.CompareOperators.LT: "lt",
    st.CompareOperators.LTE: "lte",
    st.CompareOperators.GT: "gt",
    st.CompareOperators.GTE: "gte",
    st.CompareOperators.NEQ: "ne",
}


def _scalar(field: str | None, value: st.SigmaType) -> c.Leaf:
    literal: c.Op = "contains" if field is None else "exact"
    if isinstance(value, st.SigmaTimestampPart):  # before its base class SigmaNumber
        part = cast(c.Op, value.timestamp_part.name.lower())
        return c.Leaf(field, part, number=value.number)
    if isinstance(value, st.SigmaNumber):
        return c.Leaf(field, literal, str(value.number))
    if isinstance(value, st.SigmaBool):
        return c.Leaf(field, literal, str(value.boolean).lower())
    if isinstance(value, st.SigmaRegularExpression):
        flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
        prefix = f"(?{flags})" if flags else ""
        return c.Leaf(field, "regex", prefix + str(value.regexp))
    if field is not None:
        return _field_only(field, value)
    raise RuleError(f"keywords cannot be compared with {type(value).__name__}")


def _field_only(field: str, value: st.SigmaType) -> c.Leaf:
    if isinstance(value, st.SigmaNull):
        return c.Leaf(field, "null")
    if isinstance(value, st.SigmaExists):
        return c.Leaf(field, "exists", flag=value.exists)
    if isinstance(value, st.SigmaCIDRExpression):
        return c.Leaf(field, "cidr", str(value.network))
    if isinstance(value, st.SigmaCompareExpression):
        return c.Leaf(field, _COMPARISONS[value.op], number=value.number.number)
    if isinstance(value, st.SigmaFieldReference):
        wild = ("*" if value.ends_with else "", "*" if value.starts_with else "")
        return c.Leaf(field, "fieldref", value.field, wild)
    raise RuleError(f"values of type {type(value).__name__} are not supported")
