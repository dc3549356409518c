"""In normalize: what the matches of a batch contribute to correlations.

An event without a value for one of the fields that a correlation groups by, or whose value is
counted, contributes nothing to it. Of a list each value counts, at most `MOST` combinations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import islice, product
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.correlation.plan import Plan, Step
from detectors.engine.condition import Rule
from detectors.engine.values import text_of
from schemas.batch import EventBatch, Joins, Strings
from schemas.joins import SEPARATOR, Member

#: Groups that one match may belong to, where fields hold lists.
MOST: Final = 16
#: Characters of a value; of a longer one the rest is a digest.
LONGEST: Final = 256

#: From the batch, a row of it and its decoded event to a value as JSON has it.
Get = Callable[[EventBatch, int, Any], Any]


class Taker(NamedTuple):
    """A step with the functions that find its group and value in an event."""

    step: Step
    group: tuple[Get, ...]
    values: tuple[Get, ...]


def fields(plan: Plan, rules: Iterable[Rule]) -> frozenset[str]:
    """Return the fields of events that contributions of `rules` are made from."""
    return frozenset(
        _named(step, name)
        for rule in rules
        for step in plan.steps.get(rule.id, ())
        for name in (*step.fields, *step.values)
        if not name.startswith("@")
    )


class Extractor:
    """Makes contributions of the matches of one source's events.

    Parameters
    ----------
    plan
        All correlations.
    rules
        Those of the source.
    getter
        Of the source's decoder: from a field to a function from an event to its value.
    """

    def __init__(
        self, plan: Plan, rules: Iterable[Rule], getter: Callable[[str], Callable[[Any], Any]]
    ) -> None:
        self._takers = {
            rule.id: [_taker(step, getter) for step in plan.steps[rule.id]]
            for rule in rules
            if plan.steps.get(rule.id)
        }
        self.silent = plan.silent

    def joins(
        self, batch: EventBatch, decoded: Sequence[Any], hits: Sequence[tuple[int, Rule]]
    ) -> Joins | None:
        """Return what `hits`, by row, contribute; None where that is nothing."""
        takers = self._takers
        if not takers:
            return None
        members: dict[Member, int] = {}
        member, event, group, value = list[int](), list[int](), list[str](), list[str]()
        for row, rule in hits:
            for taker in takers.get(rule.id, ()):
                for key, counted in _taken(taker, batch, row, decoded[row]):
                    step = taker.step
                    named = Member(step.root, step.node, step.rule, step.key)
                    member.append(members.setdefault(named, len(members)))
                    event.append(row)
                    group.append(key)
                    value.append(counted)
        if not member:
            return None
        return Joins(
            list(members),
            np.array(member, np.int32),
            np.array(event, np.int32),
            Strings.of(group),
            Strings.of(value),
        )


def _named(step: Step, field: str) -> str:
    """Return a field as the source's decoder is asked for it; see `detectors.fields`."""
    return f"{step.category}.{field}" if step.category else field


def _taker(step: Step, getter: Callable[[str], Callable[[Any], Any]]) -> Taker:
    def get(field: str) -> Get:
        if field.startswith("@"):
            name = field[1:]
            return lambda batch, row, event: getattr(batch, name).at(row) or None
        found = getter(_named(step, field))
        return lambda batch, row, event: found(event)

    return Taker(step, tuple(map(get, step.fields)), tuple(map(get, step.values)))


def _taken(taker: Taker, batch: EventBatch, row: int, event: Any) -> Iterable[tuple[str, str]]:
    """Return the groups that a match belongs to, each with a value; none where one is absent."""
    keys = _combined([_texts(get(batch, row, event)) for get in taker.group])
    values = _combined([_texts(get(batch, row, event)) for get in taker.values])
    return islice(product(keys, values), MOST)


def _combined(columns: list[list[str]]) -> list[str]:
    if len(columns) == 1:
        return columns[0][:MOST]
    return [SEPARATOR.join(each) for each in islice(product(*columns), MOST)]


def _texts(value: Any) -> list[str]:
    """Return the texts of a value; none where it is absent."""
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return list(dict.fromkeys(text for each in value for text in _texts(each)))
    text = text_of(value)
    if SEPARATOR in text:
        text = text.replace(SEPARATOR, " ")
    if len(text) > LONGEST:
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        text = f"{text[: LONGEST - 17]}…{digest}"
    return [text]
