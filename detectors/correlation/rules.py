"""A Sigma correlation as plain data, and how one is read.

pySigma reads what the specification has; here it becomes a `Correlation`, with what Sentinel
adds to the attribute ``correlation`` (pySigma leaves it alone):

============  =================================================================================
attribute     meaning
============  =================================================================================
``window``    ``sliding`` (default: the ``timespan`` before each event), ``tumbling`` (event
              time is cut into spans of that length) or ``session`` (events with no ``gap``
              between them, for a ``timespan`` at most)
``gap``       the longest pause within a session, such as ``10m``
``lateness``  how late an event may come and still count, 5m by default
============  =================================================================================

A condition may have several operators, all of which must hold (``gt: 100`` with ``lte: 200``).
For ``temporal`` and ``temporal_ordered`` it is ``gte: k`` (k of the rules; all of them where
there is no condition) or a text such as ``a and (b or c)``, with names of rules.

Besides fields of the source's own, ``group-by``, ``aliases`` and ``field`` take those of every
event: see `COMMON`.

Sources: Sigma specification 2.1, Sigma Correlation Rules; pySigma 2.0, `sigma.correlations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from sigma import correlations as sigma
from sigma.exceptions import SigmaError

from detectors.engine.parse import STAGE, STAGING, described, lenient
from sentinel.errors import RuleError

Type = Literal[
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
    "temporal",
    "temporal_ordered",
]
Window = Literal["sliding", "tumbling", "session"]

#: Fields of every event, whatever its source, with an ``@`` in front: see `schemas.batch`.
COMMON: Final = ("entity", "src_ip", "operation", "service", "user_agent", "region")
#: How late an event may come, in ms, where the rule does not say.
LATENESS_MS: Final = 300_000
#: Rules that one correlation may name, and the longest time that its window may take.
MAX_RULES: Final = 1000
MAX_TIMESPAN_MS: Final = 366 * 86_400_000

_OPERATORS: Final = ("gt", "gte", "lt", "lte", "eq", "neq")
_ATTRIBUTES: Final = frozenset(
    {"type", "rules", "group-by", "timespan", "aliases", "condition", "generate", "level"}
    | {"window", "gap", "lateness"}
)
_TEMPORAL: Final = ("temporal", "temporal_ordered")
#: What only grows with more events: there an alert can be raised before the window has ended.
_GROWING: Final = ("event_count", "value_count", *_TEMPORAL)

#: A condition over rules: ``("rule", name)``, ``("not", x)``, ``("and", x, y, …)``, ``("or", …)``.
Expression = tuple[Any, ...]


class Correlation(msgspec.Struct, frozen=True, eq=False, tag="correlation"):
    """One correlation document.

    Attributes
    ----------
    id, title, description, severity_id, techniques, falsepositives, references, name, path
        As those of `detectors.engine.condition.Rule`.
    kind
        What is counted or looked for.
    rules
        Ids or names of what it correlates, in the order written.
    group_by
        Fields or aliases whose values events must share.
    timespan_ms
        Length of the window.
    aliases
        Per alias, the field for each rule (its id or name as written).
    conditions
        Operators and operands, all of which must hold; empty where there is an `expression`.
    expression
        The condition over rules, where it is one.
    fields
        Whose values are counted or added up.
    percentile
        Of ``value_percentile``, 0 to 100.
    generate
        Whether the rules it names raise alerts of their own all the same.
    window, gap_ms, lateness_ms
        See the module.
    staged
        On trial, as `detectors.engine.condition.Rule` has it.
    """

    id: str
    title: str
    description: str
    severity_id: int
    techniques: tuple[str, ...]
    falsepositives: tuple[str, ...]
    references: tuple[str, ...]
    name: str
    kind: Type
    rules: tuple[str, ...]
    group_by: tuple[str, ...]
    timespan_ms: int
    aliases: dict[str, dict[str, str]]
    conditions: tuple[tuple[str, float], ...]
    expression: Expression
    fields: tuple[str, ...]
    percentile: float
    generate: bool
    window: Window = "sliding"
    gap_ms: int = 0
    lateness_ms: int = LATENESS_MS
    staged: bool = False
    path: str = ""

    @property
    def growing(self) -> bool:
        """Whether what holds for some events still does with more of them in the window.

        Then a window is judged at each event; else once it is over, `lateness_ms` later.
        """
        if self.window == "session" or self.kind not in _GROWING:
            return False
        if self.expression:
            return not any(part[0] == "not" for part in _parts(self.expression))
        return all(operator in ("gt", "gte") for operator, _ in self.conditions)

    @property
    def numeric(self) -> bool:
        """Whether values are numbers that are computed with."""
        return self.kind not in _GROWING

    @property
    def valued(self) -> bool:
        """Whether values of `fields` matter."""
        return self.kind not in ("event_count", *_TEMPORAL)

    @property
    def condition(self) -> str:
        """The condition as people read it."""
        if self.expression:
            return text_of(self.expression)
        return " and ".join(f"{operator} {number:g}" for operator, number in self.conditions)


def _parts(expression: Expression) -> Iterator[Expression]:
    yield expression
    if expression[0] != "rule":
        for part in expression[1:]:
            yield from _parts(part)


def text_of(expression: Expression) -> str:
    """Return a condition over rules as it would be written."""
    kind, *args = expression
    if kind == "rule":
        return str(args[0])
    inner = [text_of(arg) if arg[0] in ("rule", "not") else f"({text_of(arg)})" for arg in args]
    return f"not {inner[0]}" if kind == "not" else f" {kind} ".join(inner)


def parse_correlation(document: dict[str, Any]) -> Correlation:
    """Turn a YAML document with a ``correlation`` into one.

    Raises
    ------
    RuleError
        With the reason: it is invalid, or not supported.
    """
    try:
        return _read(document)
    except (RuleError, SigmaError) as error:
        raise RuleError(f"correlation: {error}") from error
    except RecursionError as error:
        raise RuleError("correlation: the condition is nested too deep") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise RuleError(f"correlation: malformed: {type(error).__name__}: {error}") from error


def _read(document: dict[str, Any]) -> Correlation:
    body = document["correlation"]
    if not isinstance(body, dict):
        raise RuleError(f"expected a mapping, found {type(body).__name__}")
    unknown = sorted(str(key) for key in body.keys() - _ATTRIBUTES)
    if unknown:
        raise RuleError(
            f"expected attributes among {', '.join(sorted(_ATTRIBUTES))}, "
            f"found {', '.join(unknown)}"
        )
    conditions, reduced = _conditions(body)
    read = lenient(
        sigma.SigmaCorrelationRule, document | {"correlation": reduced}, ("correlation",)
    )
    made = _made(read, body, conditions, str(document.get("id") or ""))
    return msgspec.structs.replace(made, staged=document.get(STAGE) == STAGING)


def _conditions(body: dict[str, Any]) -> tuple[tuple[tuple[str, float], ...], dict[str, Any]]:
    """Return the operators, and the body with but one of them, which is all pySigma takes."""
    stated = body.get("condition")
    if not isinstance(stated, dict):
        return (), body
    found = [(key, stated[key]) for key in stated if key in _OPERATORS]
    for key, value in found:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RuleError(f"expected a number after {key}, found {value!r}")
    rest = {key: value for key, value in stated.items() if key not in _OPERATORS}
    reduced = body | {"condition": rest | dict(found[:1])}
    return tuple((key, float(value)) for key, value in found), reduced


def _made(
    read: sigma.SigmaCorrelationRule,
    body: Mapping[str, Any],
    conditions: tuple[tuple[str, float], ...],
    stated_id: str,
) -> Correlation:
    kind: Any = read.type.name.lower()
    expression: Expression = ()
    if isinstance(read.condition, sigma.SigmaExtendedCorrelationCondition):
        expression = _expression(read.condition.parsed)
        rules = read.condition.get_referenced_rules() if read.rules is None else None
    else:
        rules = None
        conditions = conditions or (("gte", float(read.condition.count)),)
    names = tuple(rules or [each.reference for each in read.rules or ()])
    made = Correlation(
        **described(read, stated_id),
        kind=kind,
        rules=names,
        group_by=tuple(dict.fromkeys(read.group_by or ())),
        timespan_ms=1000 * read.timespan.seconds,
        aliases={
            each.alias: {ref.reference: name for ref, name in each.mapping.items()}
            for each in read.aliases
        },
        conditions=() if expression else conditions,
        expression=expression,
        fields=_fields(read),
        percentile=_percentile(read, kind),
        generate=bool(read.generate),
        window=body.get("window", "sliding"),
        gap_ms=_span(body, "gap", 0),
        lateness_ms=_span(body, "lateness", LATENESS_MS),
    )
    _check(made)
    return made


def _fields(read: sigma.SigmaCorrelationRule) -> tuple[str, ...]:
    if isinstance(read.condition, sigma.SigmaExtendedCorrelationCondition):
        return ()
    stated = read.condition.fieldref
    return tuple(map(str, stated)) if isinstance(stated, list) else (str(stated),) * bool(stated)


def _percentile(read: sigma.SigmaCorrelationRule, kind: str) -> float:
    if kind != "value_percentile":
        return 50.0
    stated = getattr(read.condition, "percentile", None)
    if stated is None or not 0 <= stated <= 100:
        raise RuleError(f"expected `percentile`, from 0 to 100, in the condition, found {stated}")
    return float(stated)


def _span(body: Mapping[str, Any], name: str, default: int) -> int:
    stated = body.get(name)
    if stated is None:
        return default
    if stated in (0, "0s"):
        return 0
    return 1000 * sigma.SigmaCorrelationTimespan(stated).seconds


def _expression(parsed: Any) -> Expression:
    if isinstance(parsed, sigma.SigmaRuleReference):
        return ("rule", parsed.reference)
    kinds = {
        sigma.CorrelationConditionAND: "and",
        sigma.CorrelationConditionOR: "or",
        sigma.CorrelationConditionNOT: "not",
    }
    return (kinds[type(parsed)], *map(_expression, parsed.args))


def _check(made: Correlation) -> None:
    """Raise where what pySigma takes cannot be run, with what to write."""
    if not made.rules or len(made.rules) > MAX_RULES:
        raise RuleError(f"expected 1 to {MAX_RULES} rules, found {len(made.rules)}")
    if len(set(made.rules)) < len(made.rules):
        raise RuleError("a rule is named twice; name each once")
    if made.timespan_ms > MAX_TIMESPAN_MS:
        raise RuleError("expected a timespan of at most a year")
    if made.window not in ("sliding", "tumbling", "session"):
        raise RuleError(f"expected the window sliding, tumbling or session, found {made.window!r}")
    if (made.window == "session") != bool(made.gap_ms):
        raise RuleError("`window: session` and `gap` go together; write both")
    if made.numeric and len(made.fields) != 1:
        raise RuleError(f"{made.kind} expects one field in its condition")
    _check_names(made)


def _check_names(made: Correlation) -> None:
    """Raise where it names rules, aliases or fields that it cannot."""
    if made.expression and made.kind == "temporal_ordered":
        raise RuleError(
            "an order of rules in a condition such as `a and b` is not defined; "
            "leave the condition out (all rules, in the order of `rules`) or write `gte: k`"
        )
    for alias, mapping in made.aliases.items():
        if stray := mapping.keys() - set(made.rules):
            raise RuleError(
                f"the alias {alias} is for {', '.join(sorted(stray))}, which `rules` "
                "does not name; write it as it is written there"
            )
    for name in (*made.group_by, *made.fields):
        if name.startswith("@") and name[1:] not in COMMON:
            raise RuleError(
                f"expected one of {', '.join('@' + each for each in COMMON)}, found {name}"
            )
