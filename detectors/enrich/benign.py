"""Values that are known to be harmless, or to mean little: MISP's warning lists.

Source: MISP warninglists, ``schema.json``: a list has a ``type`` (``cidr``, ``hostname``,
``string``, ``substring`` or ``regex``), the attributes it is for, and values. A ``hostname``
stands for the names below it as well. A match never hides an indicator: both are told, and
whoever scores weighs them (`detectors.enrich.enricher`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import re2
from ahocorasick_rs import AhoCorasick

from detectors.enrich.networks import NONE, Networks
from detectors.enrich.table import above

_TYPES: Final = ("cidr", "hostname", "string", "substring", "regex")
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.case_sensitive = False


class BenignList(NamedTuple):
    """One list; `type` as in the module."""

    name: str
    type: str
    values: tuple[str, ...]


def load(path: Path) -> BenignList | None:
    """Read one ``list.json``; None where it is no warning list."""
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("type") not in _TYPES:
        return None
    values = found.get("list")
    listed = (
        tuple(value for value in values if isinstance(value, str))
        if isinstance(values, list)
        else ()
    )
    return BenignList(str(found.get("name") or path.parent.name)[:256], found["type"], listed)


class BenignTable:
    """All lists, looked up at once; immutable.

    Attributes
    ----------
    refused
        Entries that are not of their list's type: no network, no regular expression.
    """

    def __init__(self, lists: Iterable[BenignList] = ()) -> None:
        self._names: list[str] = []
        self._hosts: dict[str, tuple[int, ...]] = {}
        self._texts: dict[str, tuple[int, ...]] = {}
        self._parts: list[str] = []
        self._part_owners: list[int] = []
        self._rules = re2.Set.SearchSet(_OPTIONS)
        self._rule_owners: list[int] = []
        self.refused = 0
        networks: list[str] = []
        owners: list[int] = []
        for each in lists:
            number = len(self._names)
            self._names.append(each.name)
            if each.type == "cidr":
                networks += each.values
                owners += [number] * len(each.values)
            else:
                self._take(each, number)
        self._search = AhoCorasick(self._parts) if self._parts else None
        if self._rule_owners:
            self._rules.Compile()
        self._networks = Networks(networks)
        self.refused += self._networks.refused
        self._at: list[set[int]] = [set() for _ in range(len(self._networks.around))]
        for place, owner in zip(self._networks.places.tolist(), owners, strict=True):
            if place != NONE:
                self._at[place].add(owner)

    def _take(self, each: BenignList, number: int) -> None:
        for value in each.values:
            low = value.strip().lower()
            if not low:
                continue
            if each.type == "hostname":
                name = low.strip(".")
                self._hosts[name] = (*self._hosts.get(name, ()), number)
            elif each.type == "string":
                self._texts[low] = (*self._texts.get(low, ()), number)
            elif each.type == "substring":
                self._parts.append(low)
                self._part_owners.append(number)
            else:
                self._rule(value, number)

    def _rule(self, value: str, number: int) -> None:
        """Take a regular expression in PHP's delimiters, ``/…/i``, or bare."""
        bare = (
            value[1 : value.rfind("/")] if value.startswith("/") and value.count("/") > 1 else value
        )
        try:
            self._rules.Add(bare)
        except re2.error:
            self.refused += 1
        else:
            self._rule_owners.append(number)

    def addresses(self, values: Sequence[str]) -> dict[int, list[str]]:
        """Return the names of the lists that each address is in, by its number."""
        found: dict[int, set[int]] = {}
        places = self._networks.find(values)
        for number in np.flatnonzero(places != NONE).tolist():
            place = int(places[number])
            while place != NONE:
                found.setdefault(number, set()).update(self._at[place])
                place = int(self._networks.around[place])
        for number, value in enumerate(values):
            if value in self._texts:
                found.setdefault(number, set()).update(self._texts[value])
        return self._named(found)

    def names(self, values: Sequence[str]) -> dict[int, list[str]]:
        """Return the names of the lists that each domain name, URL or hash is in."""
        found: dict[int, set[int]] = {}
        for number, value in enumerate(values):
            low = value.lower()
            hits = set(self._texts.get(low, ()))
            for name in above(low):
                hits.update(self._hosts.get(name, ()))
            if self._search is not None:
                matches = self._search.find_matches_as_indexes(low, overlapping=True)
                hits.update(self._part_owners[match[0]] for match in matches)
            if self._rule_owners:
                hits.update(self._rule_owners[rule] for rule in self._rules.Match(value) or ())
            if hits:
                found[number] = hits
        return self._named(found)

    def _named(self, found: dict[int, set[int]]) -> dict[int, list[str]]:
        return {
            row: sorted(self._names[owner] for owner in owners) for row, owners in found.items()
        }
