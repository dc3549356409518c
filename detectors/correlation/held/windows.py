"""The events of one group, sorted by stamp and id, and what a correlation says of a window of them.

A group is an ``array('q')``, so that a live one takes some 300 bytes: each event is a *stamp*,
the halves of its id and, where values matter, its value. The stamp has the event time in
milliseconds, the place of the rule that matched, and two marks::

    time << 14 | member << 2 | marks

The first mark says that the event counts for the alert of its own time, the second that it
does for the next one (see `detectors.correlation.held.groups`).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Final

import numpy as np

from detectors.correlation.rules import Correlation, Expression

if TYPE_CHECKING:
    Entries = array[int]
else:  # without a parameter at run time, before Python 3.12
    Entries = array

SHIFT: Final = 14
MEMBERS: Final = (1 << 12) - 1
#: Events up to which Python is faster than numpy.
FEW: Final = 64

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
    "eq": eq,
    "neq": ne,
}


def width_of(correlation: Correlation) -> int:
    """Return how many numbers an event takes."""
    return 4 if correlation.valued else 3


def first(entries: Entries, width: int, bound: int) -> int:
    """Return the place of the first event whose stamp is at least `bound`."""
    low, high = 0, len(entries) // width
    if not high or entries[0] >= bound:
        return 0
    while low < high:
        middle = (low + high) >> 1
        if entries[middle * width] < bound:
            low = middle + 1
        else:
            high = middle
    return low


def members_of(entries: Entries, width: int, start: int, end: int) -> set[int]:
    """Return which rules matched the events from `start` to `end`."""
    if end - start > FEW:
        stamps = np.array(entries[start * width : end * width : width], np.int64)
        return set(np.unique((stamps >> 2) & MEMBERS).tolist())
    return {(s >> 2) & MEMBERS for s in entries[start * width : end * width : width]}


def measure(correlation: Correlation, entries: Entries, start: int, end: int) -> float:
    """Return what the condition compares: a count, or what is computed of the values.

    Of ``temporal`` that is the number of rules that matched, of ``temporal_ordered`` how many of
    them did so in their order (events of the same time may be taken in either).
    """
    kind = correlation.kind
    if kind == "event_count":
        return end - start
    width = 4 if correlation.valued else 3
    if kind == "value_count":
        return len(set(entries[start * 4 + 3 : end * 4 : 4]))
    if kind == "temporal":
        return len(members_of(entries, width, start, end))
    if kind == "temporal_ordered":
        return _longest(entries, width, start, end)
    return computed(correlation, array("d", entries[start * 4 + 3 : end * 4 : 4].tobytes()))


def computed(correlation: Correlation, numbers: Sequence[float]) -> float:
    """Return sum, mean or percentile of some numbers, of which there is at least one.

    The percentile is that of linear interpolation between the closest ranks (Hyndman and Fan
    1996, definition 7).
    """
    if correlation.kind == "value_sum":
        return math.fsum(numbers)
    if correlation.kind == "value_avg":
        return math.fsum(numbers) / len(numbers)
    ordered = sorted(numbers)
    rank = (len(ordered) - 1) * correlation.percentile / 100
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def _longest(entries: Entries, width: int, start: int, end: int) -> int:
    """Return the length of the longest increasing run of rules, others left out."""
    stamps = entries[start * width : end * width : width]
    if end - start > FEW:  # what repeats adds nothing: mostly, a busy group is one rule's
        rules = (np.array(stamps, np.int64) >> 2) & MEMBERS
        kept = np.flatnonzero(np.diff(rules, prepend=-1))
        members: list[int] = rules[kept].tolist()
    else:
        members = [(stamp >> 2) & MEMBERS for stamp in stamps]
    tails: list[int] = []
    for member in members:
        place = bisect_left(tails, member)
        tails[place : place + 1] = [member]
    return len(tails)


def holds(correlation: Correlation, value: float) -> bool:
    """Say whether the conditions hold of what was measured."""
    return all(_COMPARE[name](value, number) for name, number in correlation.conditions)


def least(correlation: Correlation) -> int:
    """Return the least value for which the condition holds; of others than counts, 1.

    With fewer events it cannot hold.
    """
    if not correlation.growing or correlation.expression:
        return 1
    wanted = [
        math.ceil(number) if name == "gte" else math.floor(number) + 1
        for name, number in correlation.conditions
    ]
    return min(max(1, *wanted), 1 << 60)


def satisfied(expression: Expression, present: Callable[[str], bool]) -> bool:
    """Evaluate a condition over rules, given which of them matched."""
    kind, *args = expression
    if kind == "rule":
        return present(str(args[0]))
    if kind == "not":
        return not satisfied(args[0], present)
    join = all if kind == "and" else any
    return join(satisfied(arg, present) for arg in args)
