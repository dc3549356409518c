"""From columns of contributions to the groups that each goes into."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

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


class Slot(NamedTuple):
    """Where contributions of one rule to one group go, and how their values are kept."""

    coming: list[Coming]
    encode: Encode | None


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

    def slot(self, groups: Groups, key: str) -> list[Coming]:
        """Return the list of what goes into a group."""
        return self._slots.setdefault(groups, {}).setdefault(key, [])

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
    slots = _slots(arrivals, known, call)
    members = np.array([_member(each, known) for each in arrivals.members], np.int64)
    event = arrivals.event
    stamps = (arrivals.time[event] << SHIFT) | (members[arrivals.member] << 2)
    ids = np.ascontiguousarray(arrivals.uid).view("<i8").reshape(-1, 2)
    columns = zip(
        slots,
        event.tolist(),
        stamps.tolist(),
        ids[event, 0].tolist(),
        ids[event, 1].tolist(),
        map(arrivals.value.values.__getitem__, arrivals.value.index.tolist()),
        arrivals.watermark[event].tolist(),
        strict=True,
    )
    odd = {"unplanned": 0, "no_number": 0}
    joined = call.joined
    for slot, place, stamp, upper, lower, text, watermark in columns:
        if place < start:
            continue
        who = whose[place]
        joined[who] += 1
        if slot is None:
            odd["unplanned"] += 1
        elif slot[1] is None:
            slot[0].append(Coming((stamp, upper, lower), watermark, who))
        elif (value := slot[1](text)) is None:
            odd["no_number"] += 1
        else:
            slot[0].append(Coming((stamp, upper, lower, value), watermark, who))
    return odd


def _slots(arrivals: Arrivals, known: Known, call: Call) -> list[Slot | None]:
    """Return for each contribution where it goes; None where its correlation is not known."""
    width, members = len(arrivals.group.values), len(arrivals.members)
    tenants = arrivals.tenant.index[arrivals.event].astype(np.int64)
    codes = (tenants * members + arrivals.member) * width + arrivals.group.index
    distinct, which = np.unique(codes, return_inverse=True)
    slots: list[Slot | None] = []
    for code in distinct.tolist():
        rest, group = divmod(code, width)
        tenant, member = divmod(rest, members)
        who = arrivals.members[member]
        groups = known.get((who.root, who.node))
        if groups is None or who.rule not in groups.node.members:
            slots.append(None)
            continue
        key = f"{arrivals.tenant.values[tenant]}{SEPARATOR}{arrivals.group.values[group]}"
        slots.append(Slot(call.slot(groups, key), encoding(groups.correlation)))
    return list(map(slots.__getitem__, which.tolist()))


def _member(who: Member, known: Known) -> int:
    groups = known.get((who.root, who.node))
    return groups.node.members.get(who.rule, 0) if groups else 0


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
