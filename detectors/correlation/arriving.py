"""From columns of contributions to the groups that each goes into."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.correlation.held.clocks import Owners
from detectors.correlation.held.coming import NOTHING, Firing, Runs, Whose
from detectors.correlation.held.groups import Groups
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
        self._runs: dict[Groups, list[Runs]] = {}
        self._derived: dict[Groups, dict[str, list[tuple[int, ...]]]] = {}
        self.changes: dict[str, Change] = {}
        self.joined: dict[Whose, int] = defaultdict(int)
        self.late: dict[Whose, int] = {}
        self.raised: dict[Whose, int] = defaultdict(int)

    def add(self, groups: Groups, runs: Runs) -> None:
        """Let events go into the groups of a correlation."""
        self._runs.setdefault(groups, []).append(runs)

    def derive(self, groups: Groups, key: str, row: tuple[int, ...]) -> None:
        """Let a match of a lower correlation go into a group."""
        self._derived.setdefault(groups, {}).setdefault(key, []).append(row)

    def touches(self, groups: Groups) -> bool:
        """Say whether anything goes into the groups of a correlation."""
        return groups in self._runs or groups in self._derived

    def taken(self, groups: Groups) -> list[Runs]:
        """Return and forget what goes into the groups of a correlation."""
        runs = self._runs.pop(groups, [])
        derived = self._derived.pop(groups, None)
        if derived:
            rows = np.array([row for each in derived.values() for row in each], np.int64)
            counts = np.fromiter(map(len, derived.values()), np.int64, len(derived))
            begins = np.cumsum(counts) - counts
            marks = np.full(len(rows), NOTHING, np.int64)
            code = np.zeros(len(rows), np.int64)
            runs.append(_runs(list(derived), begins, rows, marks, code, [None]))
        return runs

    def counts(self) -> dict[Whose, dict[str, int]]:
        """Return the counts of the ledger; what was late did not join."""
        found = {}
        for whose in {**self.joined, **self.raised}:
            late = self.late.get(whose, 0)
            joined = self.joined.get(whose, 0) - late
            found[whose] = {"joined": joined, "late": late, "raised": self.raised.get(whose, 0)}
        return found


def arrive(
    arrivals: Arrivals, start: int, whose: Owners, known: Known, call: Call
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
    routes = [_route(each, known) for each in arrivals.members]
    to, targets = _numbered([route[0] for route in routes])
    places = np.array([route[1] for route in routes], np.int64)
    fresh = np.flatnonzero(arrivals.event >= start)
    for code, count in enumerate(np.bincount(whose.codes[arrivals.event[fresh]]).tolist()):
        if count:
            call.joined[whose.names[code]] += count
    chosen = fresh[to[arrivals.member[fresh]] >= 0]
    odd = {"unplanned": len(fresh) - len(chosen), "no_number": 0}
    values, fit = _values(arrivals, chosen, to, targets)
    if not fit.all():
        odd["no_number"] = int((~fit).sum())
        chosen, values = chosen[fit], values[fit]
    keys, which = _keys(arrivals)
    codes = to[arrivals.member[chosen]] * len(keys) + which[chosen]
    order = np.argsort(codes, kind="stable")  # those of a group stay in the order of arrival
    chosen, codes = chosen[order], codes[order]
    event = arrivals.event[chosen]
    rows = np.empty((len(chosen), 4), np.int64)
    rows[:, 0] = (arrivals.time[event] << SHIFT) | (places[arrivals.member[chosen]] << 2)
    rows[:, 1:3] = np.ascontiguousarray(arrivals.uid).view("<i8").reshape(-1, 2)[event]
    rows[:, 3] = values[order]
    marks, theirs = arrivals.watermark[event], whose.codes[event]
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    ends = np.searchsorted(codes, (np.arange(len(targets)) + 1) * len(keys)).tolist()
    first = 0
    for groups, end in zip(targets, ends, strict=True):
        if end > first:
            mine = begins[np.searchsorted(begins, first) : np.searchsorted(begins, end)]
            names = [keys[at] for at in (codes[mine] % len(keys)).tolist()]
            part = slice(first, end)
            wide = np.ascontiguousarray(rows[part, : groups.width])
            call.add(
                groups, _runs(names, mine - first, wide, marks[part], theirs[part], whose.names)
            )
        first = end
    return odd


def _runs(
    keys: list[str],
    begins: NDArray[np.int64],
    rows: NDArray[np.int64],
    marks: NDArray[np.int64],
    code: NDArray[np.int64],
    whose: Sequence[Whose | None],
) -> Runs:
    """Return the events of groups that begin at places of `rows`."""
    stamps = rows[:, 0]
    rises = np.ones(len(rows), np.bool_)
    rises[1:] = stamps[1:] > stamps[:-1] | 3
    rises[begins] = True
    ends = np.append(begins[1:], len(rows))
    return Runs(
        keys,
        begins.tolist(),
        ends.tolist(),
        stamps[begins].tolist(),
        stamps[ends - 1].tolist(),
        np.logical_and.reduceat(rises, begins).tolist(),
        rows,
        rows.tobytes(),
        marks,
        code,
        whose,
    )


def _numbered(routes: list[Groups | None]) -> tuple[NDArray[np.int64], list[Groups]]:
    """Return which of the distinct groups each contributor goes to (-1: none), and those."""
    targets = list(dict.fromkeys(each for each in routes if each is not None))
    numbers = {id(each): number for number, each in enumerate(targets)}
    return np.array([numbers.get(id(each), -1) for each in routes], np.int64), targets


def _values(
    arrivals: Arrivals, chosen: NDArray[np.int64], to: NDArray[np.int64], targets: list[Groups]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what is kept of the value of each contribution (0: none is), and whether it fits."""
    made = np.zeros(len(chosen), np.int64)
    fit = np.ones(len(chosen), np.bool_)
    texts, index = arrivals.value.values, arrivals.value.index[chosen]
    target = to[arrivals.member[chosen]]
    for encode in (_hash, _number):
        wanted = [encoding(groups.correlation) is encode for groups in targets]
        rows = np.flatnonzero(np.array(wanted, np.bool_)[target]) if any(wanted) else ()
        if not len(rows):
            continue
        used = np.zeros(len(texts), np.bool_)
        used[index[rows]] = True
        codes = np.flatnonzero(used)
        found = [encode(texts[code]) for code in codes.tolist()]
        table = np.zeros(len(texts), np.int64)
        table[codes] = [0 if each is None else each for each in found]
        made[rows] = table[index[rows]]
        used[codes] = [each is not None for each in found]
        fit[rows] = used[index[rows]]
    return made, fit


def _keys(arrivals: Arrivals) -> tuple[list[str], NDArray[np.int64]]:
    """Return the keys of groups, of tenant and values; and which one each contribution has."""
    tenants, values = arrivals.tenant.values, arrivals.group.values
    if len(tenants) == 1:
        head = f"{tenants[0]}{SEPARATOR}"
        return [head + value for value in values], arrivals.group.index.astype(np.int64)
    codes = arrivals.tenant.index[arrivals.event].astype(np.int64) * len(values)
    used, which = np.unique(codes + arrivals.group.index, return_inverse=True)
    pairs = [divmod(code, len(values)) for code in used.tolist()]
    return [f"{tenants[t]}{SEPARATOR}{values[g]}" for t, g in pairs], which


def _route(who: Member, known: Known) -> tuple[Groups | None, int]:
    """Return where contributions of a member go, and its place there."""
    groups = known.get((who.root, who.node))
    if groups is None or who.rule not in groups.node.members:
        return None, 0
    return groups, groups.node.members[who.rule]


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
