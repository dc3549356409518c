"""A Sigma rule as plain data: what the parser makes, the cache holds and the engine runs.

A condition is a tree of `All`, `Any`, `Not` and `Leaf`. A leaf is one value of one
detection item, with its modifiers already applied by pySigma. Values are as the
rule's author wrote them; folding happens where they are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

#: What a leaf asks of a field's value; see `detectors.engine.leaves`.
Op = Literal[
    "exact",
    "prefix",
    "suffix",
    "contains",
    "pattern",
    "regex",
    "cidr",
    "present",
    "null",
    "exists",
    "lt",
    "lte",
    "gt",
    "gte",
    "ne",
    "fieldref",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
]


class Leaf(msgspec.Struct, frozen=True, array_like=True, tag="leaf"):
    """One value that a field is compared with.

    Attributes
    ----------
    field
        The source's field name; None searches the whole text of the event (keywords).
    op
        The comparison.
    text
        Its operand as text: literal, regular expression, network or other field's name.
    parts
        For ``pattern``: literals prefixed with ``=``, wildcards as ``*`` and ``?``.
    number
        For numeric comparisons and parts of a time.
    flag
        ``exists``: the value asked for; ``fieldref``: unused.
    cased
        Compare with regard to case.
    selection, modifiers
        Where the leaf came from, for explanations: ``selection``, ``contains|all``.
    """

    field: str | None
    op: Op
    text: str = ""
    parts: tuple[str, ...] = ()
    number: int | float = 0
    flag: bool = False
    cased: bool = False
    selection: str = ""
    modifiers: str = ""


class Not(msgspec.Struct, frozen=True, array_like=True, tag="not"):
    """True where its argument is not; an absent field is no match, so its negation is one."""

    arg: Node


class All(msgspec.Struct, frozen=True, array_like=True, tag="all"):
    """Conjunction; never empty."""

    args: tuple[Node, ...]


class Any(msgspec.Struct, frozen=True, array_like=True, tag="any"):
    """Disjunction; never empty."""

    args: tuple[Node, ...]


Node = All | Any | Not | Leaf


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the leaves of a condition from left to right."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from leaves(node.arg)
    else:
        for arg in node.args:
            yield from leaves(arg)


def fields_of(leaf: Leaf) -> tuple[str | None, ...]:
    """Return the fields that a leaf reads: its own, and the one it refers to."""
    return (leaf.field, leaf.text) if leaf.op == "fieldref" else (leaf.field,)


#: The field that holds the category of an event; see `detectors.fields`.
CATEGORY = "@category"


class LogSource(NamedTuple):
    """A rule's log source; an empty string is "not stated" and fits any source."""

    product: str = ""
    category: str = ""
    service: str = ""


class Rule(msgspec.Struct, frozen=True, eq=False, tag="rule"):
    """One Sigma rule, ready to be compiled. Compared by identity.

    Attributes
    ----------
    id
        The rule's own id; without one, a uuid5 of its place in the rule directory.
    title, description, falsepositives, references
        As written.
    severity_id
        OCSF severity of the rule's level: 1 informational to 5 critical; 3 where unstated.
    techniques
        ATT&CK techniques of its tags, ``T1078.004``.
    logsource
        What the rule is meant for.
    condition
        The condition as written, lines of a list joined with ``or``.
    node
        The condition tree.
    path
        The file it came from.
    name
        By which filters and correlations may call it.
    staged
        It says ``sentinel: staging``: it runs, but its alerts notify no one.
    """

    id: str
    title: str
    description: str
    severity_id: int
    techniques: tuple[str, ...]
    logsource: LogSource
    falsepositives: tuple[str, ...]
    references: tuple[str, ...]
    condition: str
    node: Node
    path: str = ""
    name: str = ""
    staged: bool = False

    @property
    def reads(self) -> frozenset[str | None]:
        """What the rule reads: fields, and None for the whole text, which keywords read."""
        return frozenset(name for leaf in leaves(self.node) for name in fields_of(leaf))

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the rule reads; keywords read none."""
        return frozenset(name for name in self.reads if name is not None)


class Filter(msgspec.Struct, frozen=True, eq=False, tag="filter"):
    """One Sigma filter; see `detectors.filters`.

    Attributes
    ----------
    id, title
        As written.
    logsource
        Rules of which it is meant for.
    rules
        Their ids or names; none: any.
    condition, node
        What is added to their conditions.
    path
        The file it came from.
    """

    id: str
    title: str
    logsource: LogSource
    rules: tuple[str, ...]
    condition: str
    node: Node
    path: str = ""
