"""In normalize: what the matches of a batch contribute to correlations.

An event without a value for one of the fields that a correlation groups by, or whose value is
counted, contributes nothing to it. Of a list each value counts, at most `MOST` combinations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import islice, product
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.correlation.plan import Plan, Step
from detectors.engine.condition import Rule
from detectors.engine.values import text_of
from schemas.batch import EventBatch, Joins, Strings
from schemas.columns.records import FEW_ROWS, Codes, Records
from schemas.joins import SEPARATOR, Member

#: Groups that one match may belong to, where fields hold lists.
MOST: Final = 16
#: Characters of a value; of a longer one the rest is a digest.
LONGEST: Final = 256

#: What rows have in no key at all.
_NO_KEYS: Final = Codes(np.empty(0, np.int32), 0, {})

#: From the batch, a row of it and its decoded event to a value as JSON has it.
Get = Callable[[EventBatch, int, Any], Any]
#: The groups that a match belongs to, each with a value.
Pairs = list[tuple[str, str]]


class Taker(NamedTuple):
    """A step with the functions that find its group and value in an event.

    `keys` are the top-level keys of events that these look at, `columns` those of the batch.
    """

    step: Step
    group: tuple[Get, ...]
    values: tuple[Get, ...]
    keys: tuple[str, ...]
    columns: tuple[str, ...]


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
        if not self._takers:
            return None
        rows, places = dict[str, list[int]](), dict[str, list[int]]()
        for place, (row, rule) in enumerate(hits):
            if rule.id in self._takers:
                rows.setdefault(rule.id, []).append(row)
                places.setdefault(rule.id, []).append(place)
        members: dict[Member, int] = {}
        found: list[tuple[int, int, int, str, str]] = []  # place of the hit first, to sort by
        for rule_id, its in rows.items():
            for taker in self._takers[rule_id]:
                step = taker.step
                named = Member(step.root, step.node, step.rule, step.key)
                member = members.setdefault(named, len(members))
                taken = _taken_alike(taker, batch, its, decoded)
                for place, row, pairs in zip(places[rule_id], its, taken, strict=True):
                    found += [(place, member, row, key, counted) for key, counted in pairs]
        if not found:
            return None
        found.sort(key=itemgetter(0))
        _, which, event, group, value = zip(*found, strict=True)
        return Joins(
            list(members),
            np.array(which, np.int32),
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

    asked = (*step.fields, *step.values)
    keys = {_named(step, each).partition(".")[0] for each in asked if not each.startswith("@")}
    columns = {each[1:] for each in asked if each.startswith("@")}
    return Taker(
        step,
        tuple(map(get, step.fields)),
        tuple(map(get, step.values)),
        tuple(sorted(keys)),
        tuple(sorted(columns)),
    )


def _taken_alike(
    taker: Taker, batch: EventBatch, rows: list[int], decoded: Sequence[Any]
) -> Iterable[Pairs]:
    """Return what each of `rows` contributes, worked out once for those that are alike."""
    codes = None
    if isinstance(decoded, Records) and len(rows) > FEW_ROWS:
        codes = decoded.codes(taker.keys) if taker.keys else _NO_KEYS
    if codes is None:
        return [_taken(taker, batch, row, decoded[row]) for row in rows]
    parts = [getattr(batch, name).index[rows].tolist() for name in taker.columns]
    parts += [codes.codes[rows].tolist()] if taker.keys else []
    alike = list(zip(*parts, strict=True)) or [()] * len(rows)
    first = dict(zip(reversed(alike), reversed(rows), strict=True))
    known = {each: _taken(taker, batch, row, decoded[row]) for each, row in first.items()}
    return map(known.__getitem__, alike)


def _taken(taker: Taker, batch: EventBatch, row: int, event: Any) -> Pairs:
    """Return the groups that a match belongs to, each with a value; none where one is absent."""
    keys = _combined([_texts(get(batch, row, event)) for get in taker.group])
    values = _combined([_texts(get(batch, row, event)) for get in taker.values])
    return list(islice(product(keys, values), MOST))


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
