"""From columns of contributions to the groups that each goes into."""

from __future__ import annotations

import math
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np

from detectors.correlation.held.groups import Coming, Firing, Groups, Whose
from detectors.correlation.held.windows import SHIFT
from detectors.correlation.plan import Tree
from detectors.correlation.rules import Correlation
from schemas.joins import SEPARATOR, Arrivals, Member

_DOUBLE: Final = struct.Struct("<d")
_LONG: Final = struct.Struct("<q")

#: From the text of a value to what is kept of it; None where it is not fit.
Encode = Callable[[str], int | None]
#: The groups of each correlation, by the ids of root and correlation.
Known = Mapping[tuple[str, str], Groups]
#: What goes into each group, how values are kept, and the place of the rule.
Route = tuple[dict[str, list[Coming]] | None, Encode | None, int]


class Change:
    """What one call adds to an alert: events as stamp and id, and the firing that says most."""

    __slots__ = ("fired", "key", "more", "new", "tree")

    def __init__(self, tree: Tree, key: str, fired: Firing) -> None:
        self.tree, self.key, self.fired = tree, key, fired
        self.new: list[tuple[int, bytes]] = []
        self.more = 0


class Call:
    """What one call of the engine collects."""

    def __init__(self) -> None:
        self._slots: dict[Groups, dict[str, list[Coming]]] = {}
        self.changes: dict[str, Change] = {}
        self.joined: dict[Whose, int] = defaultdict(int)
        self.late: dict[Whose, int] = defaultdict(int)
        self.raised: dict[Whose, int] = defaultdict(int)

    def slots(self, groups: Groups) -> dict[str, list[Coming]]:
        """Return what goes into the groups of a correlation, by group."""
        return self._slots.setdefault(groups, {})

    def taken(self, groups: Groups) -> dict[str, list[Coming]]:
        """Return and forget what goes into the groups of a correlation."""
        return self._slots.pop(groups, {})

    def counts(self) -> dict[Whose, dict[str, int]]:
        """Return the counts of the ledger; what was late did not join."""
        found = {}
        for whose in {**self.joined, **self.raised}:
            late = self.late.get(whose, 0)
            joined = self.joined.get(whose, 0) - late
            found[whose] = {"joined": joined, "late": late, "raised": self.raised.get(whose, 0)}
        return found


def arrive(
    arrivals: Arrivals, start: int, whose: list[Whose], known: Known, call: Call
) -> dict[str, int]:
    """Sort the contributions of events from place `start` on into the groups of `call`.

    Parameters
    ----------
    whose
        Tenant and source of each event.
    known
        All groups.

    Returns
    -------
    dict
        How many fit nowhere: ``unplanned`` (of correlations that are not known here),
        ``no_number`` (values that were to be computed with).
    """
    routes = [_route(each, known, call) for each in arrivals.members]
    places = np.array([route[2] for route in routes], np.int64)
    event = arrivals.event
    stamps = (arrivals.time[event] << SHIFT) | (places[arrivals.member] << 2)
    ids = np.ascontiguousarray(arrivals.uid).view("<i8").reshape(-1, 2)
    texts = arrivals.value.values
    keys, which = _keys(arrivals)
    columns = zip(
        arrivals.member.tolist(),
        which,
        event.tolist(),
        stamps.tolist(),
        ids[event, 0].tolist(),
        ids[event, 1].tolist(),
        arrivals.value.index.tolist(),
        arrivals.watermark[event].tolist(),
        strict=True,
    )
    odd = {"unplanned": 0, "no_number": 0}
    for member, group, place, stamp, upper, lower, text, watermark in columns:
        slots, encode, _ = routes[member]
        if place < start:
            continue
        if slots is None:
            odd["unplanned"] += 1
            continue
        row: tuple[int, ...] = (stamp, upper, lower)
        if encode is not None:
            value = encode(texts[text])
            if value is None:
                odd["no_number"] += 1
                continue
            row = (stamp, upper, lower, value)
        slot = slots.get(key := keys[group])
        if slot is None:
            slots[key] = [(row, watermark, whose[place])]
        else:
            slot.append((row, watermark, whose[place]))
    for who, count in Counter(map(whose.__getitem__, event[event >= start].tolist())).items():
        call.joined[who] += count
    return odd


def _keys(arrivals: Arrivals) -> tuple[list[str], list[int]]:
    """Return the keys of groups, of tenant and values; and which one each contribution has."""
    tenants, values = arrivals.tenant.values, arrivals.group.values
    if len(tenants) == 1:
        head = f"{tenants[0]}{SEPARATOR}"
        return [head + value for value in values], arrivals.group.index.tolist()
    codes = arrivals.tenant.index[arrivals.event].astype(np.int64) * len(values)
    used, which = np.unique(codes + arrivals.group.index, return_inverse=True)
    pairs = [divmod(code, len(values)) for code in used.tolist()]
    return [f"{tenants[t]}{SEPARATOR}{values[g]}" for t, g in pairs], which.tolist()


def _route(who: Member, known: Known, call: Call) -> Route:
    """Return where contributions of a member go."""
    groups = known.get((who.root, who.node))
    if groups is None or who.rule not in groups.node.members:
        return None, None, 0
    return call.slots(groups), encoding(groups.correlation), groups.node.members[who.rule]


def encoding(correlation: Correlation) -> Encode | None:
    """Return how values of a correlation are kept; None where it has none."""
    if not correlation.valued:
        return None
    return _number if correlation.numeric else _hash


@lru_cache(maxsize=1 << 14)
def _hash(text: str) -> int:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    value: int = _LONG.unpack(digest)[0]
    return value


@lru_cache(maxsize=1 << 12)
def _number(text: str) -> int | None:
    """Return the bits of a number, or None where a value is none."""
    try:
        value = float(text)
        bits: int = _LONG.unpack(_DOUBLE.pack(value))[0]
    except (ValueError, OverflowError, struct.error):
        return None
    return bits if math.isfinite(value) else None
