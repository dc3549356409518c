r"""Nodes to a condition of PostgreSQL. Every value is a parameter; only names are in the text.

A condition is true or false, never null, so that NOT means what it says. Words are looked
for in ``search_text`` of the texts (migration ``0016``); before that costs anything, a
``LIKE`` on the text as it is stored tells most rows that have none of them.
"""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from api.search.language.fields import Field, Kind
from api.search.language.nodes import (
    And,
    Below,
    Equal,
    Gap,
    Like,
    Node,
    Not,
    Or,
    Pattern,
    Present,
    Range,
    Within,
    WordLike,
    Words,
)
from api.search.language.values import MAPPED

_TYPES = {
    Kind.SEVERITY: "bigint",
    Kind.INTEGER: "bigint",
    Kind.REAL: "float8",
    Kind.ID: "uuid",
}
_PLAIN = re.compile(r"[a-z0-9]+")
#: A column that is one text, stored as it is.
_SINGLE = re.compile(r"to_jsonb\(([a-z_.]+)\)")


class Sql:
    """Conditions whose parameters are numbered from ``after + 1`` on.

    Attributes
    ----------
    args
        The parameters, in order.
    """

    def __init__(self, after: int = 0) -> None:
        self._after = after
        self.args: list[Any] = []

    def condition(self, node: Node) -> str:
        """Return the condition of a node, in parentheses where it needs them."""
        match node:
            case And(parts):
                return f"({' AND '.join(map(self.condition, parts))})" if parts else "true"
            case Or(parts):
                return f"({' OR '.join(map(self.condition, parts))})" if parts else "false"
            case Not(part):
                return f"NOT {self.condition(part)}"
            case Range():
                return self._range(node)
            case Words(field, words):
                return self._words(field, words)
            case WordLike(field, pattern):
                return self._word_like(field, pattern)
            case Within(field, network):
                return self._within(field, network)
            case Present(field):
                return self._present(field)
            case _:
                return self._valued(node)

    def _valued(self, node: Equal | Like | Below) -> str:
        """Return the condition of one value, or of any item of a list."""
        field = node.field
        match node:
            case Below(_, technique):
                exact, below = self._arg(technique), self._arg(f"{technique}.")
                test = f"t = {exact} OR starts_with(t, {below})"
            case Like(_, pattern):
                test = f"t LIKE {self._arg(_like(pattern))}"
            case Equal(_, value):
                test = f"t = {self._arg(value, _TYPES.get(field.kind, 'text'))}"
        if field.kind in {Kind.TAGS, Kind.TECHNIQUE}:
            return f"EXISTS (SELECT FROM unnest({field.column}) AS found (t) WHERE {test})"
        if field.kind is Kind.RAW:
            return f"EXISTS (SELECT FROM {self._leaves(field)} WHERE {test})"
        column = f"{field.column}::text" if _as_text(node) else field.column
        return f"({column}{test[1:]})"

    def _leaves(self, field: Field) -> str:
        """Return the table of the texts of a path, as `sentinel.words.leaves` finds them."""
        steps = "".join(f".{json.dumps(key)}" for key in field.column.split("."))
        path = self._arg(f"lax $${steps}[*]".replace("$$", "$"), "text::jsonpath")
        return f"public.event_leaves(public.event_json(raw, ocsf), {path}) AS found (t)"

    def _range(self, node: Range) -> str:
        field = node.field
        sides = []
        for bound, sign, equal in (
            (node.low, ">", node.with_low),
            (node.high, "<", node.with_high),
        ):
            if bound is None:
                continue
            value = self._arg(bound, _TYPES.get(field.kind, "bigint"))
            if field.kind is Kind.TIME:
                value = f"public.at_ms({value})"
            sides.append(f"{field.column} {sign}{'=' if equal else ''} {value}")
        return f"({' AND '.join(sides)})" if sides else "true"

    def _within(self, field: Field, network: IPv4Network | IPv6Network) -> str:
        networks = [str(network)]
        if isinstance(network, IPv4Network):
            first = int(MAPPED.network_address) + int(network.network_address)
            networks.append(str(IPv6Network((first, MAPPED.prefixlen + network.prefixlen))))
        elif network.supernet_of(MAPPED):
            networks.append("0.0.0.0/0")
        known = f"public.ip_of({field.column}) <<= ANY ({self._arg(networks, 'inet[]')})"
        return f"coalesce({known}, false)"

    def _present(self, field: Field) -> str:
        match field.kind:
            case Kind.TAGS | Kind.TECHNIQUE:
                return f"cardinality({field.column}) > 0"
            case Kind.RAW:
                return f"EXISTS (SELECT FROM {self._leaves(field)})"
            case Kind.WORDS:
                return f"{field.column} <> to_jsonb(''::text)"
            case Kind.KEYWORD | Kind.ADDRESS | Kind.CHOICE:
                return f"{field.column} <> ''"
            case _:
                return "true"  # never null

    def _words(self, field: Field, words: tuple[str, ...]) -> str:
        near = [word for word in words if _PLAIN.fullmatch(word)]
        phrase = self._arg(f"% {' '.join(map(_escaped, words))} %")
        side_by_side = "[^0-9a-z]+".join(words) if len(near) == len(words) else ""
        return self._in_text(field, near, f"LIKE {phrase}", side_by_side)

    def _word_like(self, field: Field, pattern: Pattern) -> str:
        expression = "".join(
            {Gap.MANY: "[^ ]*", Gap.ONE: "[^ ]"}[part] if isinstance(part, Gap) else re.escape(part)
            for part in pattern
        )
        near = [part for part in pattern if isinstance(part, str) and _PLAIN.fullmatch(part)]
        return self._in_text(field, near, f"~ {self._arg(f' {expression} ')}")

    def _in_text(self, field: Field, near: list[str], test: str, side_by_side: str = "") -> str:
        """Return a test of ``search_text``, after cheap ones for words of ASCII alone.

        These words must be there in their order, and in a text that is stored as such, not
        within JSON, whole and `side_by_side`: an expression of what stands between no others.
        """
        whole = f"public.search_text({field.column}) {test}"
        if not near:
            return f"({whole})"
        single = _SINGLE.fullmatch(field.column)
        stored = single[1] if single else f"{field.column}::text"
        if "raw" in field.column:
            stored = "coalesce(nullif(raw, ''), ocsf::text)"
        lower = f'lower({stored} COLLATE "C")'
        in_order = self._arg("%".join(["", *near, ""]))
        cheap = f"{lower} LIKE {in_order}"
        if single and side_by_side:
            words = self._arg(f"(^|[^0-9a-z]){side_by_side}($|[^0-9a-z])")
            whole = f"CASE WHEN {lower} ~ {words} THEN {whole} ELSE false END"
        return f"CASE WHEN {cheap} THEN {whole} ELSE false END"

    def _arg(self, value: Any, kind: str = "text") -> str:
        self.args.append(value)
        return f"${self._after + len(self.args)}::{kind}"


def _as_text(node: Equal | Like | Below) -> bool:
    return isinstance(node, Like) and node.field.kind is Kind.ID


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _like(pattern: Pattern) -> str:
    gaps = {Gap.MANY: "%", Gap.ONE: "_"}
    return "".join(gaps[part] if isinstance(part, Gap) else _escaped(part) for part in pattern)
