"""What a search means, apart from how it was written and from the store that answers it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias, Union
from uuid import UUID

from api.search.language.fields import Field


class Gap(Enum):
    """What a pattern leaves open."""

    MANY = "*"
    ONE = "?"


#: Literal parts and gaps, in order.
Pattern: TypeAlias = tuple[str | Gap, ...]
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Equal:
    """The field has this value; of a list, one of its items."""

    field: Field
    value: str | int | float | UUID


@dataclass(frozen=True, slots=True)
class Like:
    """The field fits the pattern; of a list, one of its items."""

    field: Field
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Below:
    """One item is this ATT&CK technique or one of its sub-techniques."""

    field: Field
    technique: str


@dataclass(frozen=True, slots=True)
class Range:
    """The number lies between the bounds; None is no bound. Times are ms since the epoch."""

    field: Field
    low: int | float | None
    high: int | float | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True, slots=True)
class Within:
    """The address is of this network."""

    field: Field
    network: Network


@dataclass(frozen=True, slots=True)
class Words:
    """The words stand one after another in one text of the field, or of the whole row."""

    field: Field
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WordLike:
    """A word of the field, or of the whole row, fits the pattern."""

    field: Field
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Present:
    """The field is not empty."""

    field: Field


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; without parts, everything is found."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts holds; without parts, nothing is found."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


Test: TypeAlias = Union[  # noqa: UP007 # as text: each is part of the other
    Equal, Like, Below, Range, Within, Words, WordLike, Present
]
Node: TypeAlias = Union[Test, And, Or, Not]  # noqa: UP007
EVERYTHING = And(())


def both(*nodes: Node) -> Node:
    """Return what holds where all of `nodes` hold."""
    parts = tuple(node for node in nodes if node != EVERYTHING)
    return parts[0] if len(parts) == 1 else And(parts)


def tests(node: Node) -> Iterator[Test]:
    """Yield the tests within a node, in order.

    >>> list(tests(Not(And(()))))
    []
    """
    if isinstance(node, And | Or):
        for part in node.parts:
            yield from tests(part)
    elif isinstance(node, Not):
        yield from tests(node.part)
    else:
        yield node
