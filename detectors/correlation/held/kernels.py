"""Compiled: events merged into a group, its windows judged one after the other, events marked.

Each event of a group costs the same however many there are: windows slide, and what they say
is kept up to date instead of being worked out anew (tests/detectors/correlation/test_kernels.py
has the same in plain Python). Layouts are those of `detectors.correlation.held.windows`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from detectors.correlation.held.clocks import NOTHING
from detectors.correlation.held.windows import MEMBERS, SHIFT
from schemas.columns.compiled import kernel

#: What became of an event, see `admit`.
KNOWN, NEW, LATE = range(3)
#: What a window is judged by, see `judge`.
COUNT, VALUES, RULES, ORDER, WHICH = range(5)
#: Rules up to which `WHICH` says which of them matched: bits of a number.
BITS: Final = 62

_GOLDEN: Final = -0x61C8864680B583EB  # 2**64 / golden ratio, as a signed number
_REST: Final = 53


@kernel("int64(int64[::1], int64, int64, int64)")
def lower(entries: Any, width: Any, size: Any, bound: Any) -> Any:
    """Return the place of the first of `size` events whose stamp is at least `bound`."""
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if entries[middle * width] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@kernel("int64(int64[::1], int64, int64[::1], int64, int64)")
def _compare(left: Any, at: Any, right: Any, to: Any, width: Any) -> Any:
    """Return whether an event is before (-1), the same as (0) or after (1) another; no marks."""
    if left[at] >> 2 != right[to] >> 2:
        return -1 if left[at] >> 2 < right[to] >> 2 else 1
    for place in range(1, width):
        if left[at + place] != right[to + place]:
            return -1 if left[at + place] < right[to + place] else 1
    return 0


@kernel("void(int64[::1], int64, int64[::1], int64[::1])")
def _sort(rows: Any, width: Any, order: Any, other: Any) -> Any:
    """Sort the places `order` of rows, by merging; `other` is room for as many."""
    size = len(order)
    run = 1
    while run < size:
        for begin in range(0, size, 2 * run):
            middle, end = min(begin + run, size), min(begin + 2 * run, size)
            left, right = begin, middle
            for place in range(begin, end):
                if right >= end or (
                    left < middle
                    and _compare(rows, order[left] * width, rows, order[right] * width, width) <= 0
                ):
                    other[place] = order[left]
                    left += 1
                else:
                    other[place] = order[right]
                    right += 1
        order[:] = other
        run *= 2


@kernel("int64(int64[::1], int64[::1], int64, int64, int64, int64[::1], uint8[::1])")
def admit(
    entries: Any, rows: Any, width: Any, floor: Any, kept: Any, merged: Any, became: Any
) -> Any:
    """Merge events, in the order in which they came, into those of a group.

    Parameters
    ----------
    entries, rows, width
        The group and the events, `width` numbers each.
    floor, kept
        An event before `floor` and more than `kept` ms behind the newest is late.
    merged
        Out: the group as it is then; has room for all.
    became
        Out: of each of `rows`, `KNOWN` (it was there), `NEW` or `LATE`.

    Returns
    -------
    int
        How many numbers of `merged` are used.
    """
    size, count = len(entries), len(became)
    newest = entries[size - width] >> SHIFT if size else NOTHING
    order = np.empty(count, np.int64)
    used = 0
    for row in range(count):
        time = rows[row * width] >> SHIFT
        if time < floor and time < newest - kept:
            became[row] = LATE
            continue
        newest = max(newest, time)
        order[used] = row
        used += 1
    _sort(rows, width, order[:used], np.empty(used, np.int64))
    at = end = 0
    for turn in range(used):
        row = order[turn]
        come = row * width
        while at < size and _compare(entries, at, rows, come, width) < 0:
            merged[end : end + width] = entries[at : at + width]
            at += width
            end += width
        same = (at < size and _compare(entries, at, rows, come, width) == 0) or (
            end > 0 and _compare(merged, end - width, rows, come, width) == 0
        )
        became[row] = KNOWN if same else NEW
        if not same:
            merged[end : end + width] = rows[come : come + width]
            end += width
    merged[end : end + size - at] = entries[at:]
    return end + size - at


@kernel("int64(int64[::1], int64[::1], int64, int64)")
def _slot(table: Any, entries: Any, at: Any, mask: Any) -> Any:
    """Return where in a table of last places (and 1) the value at `at` is, or belongs."""
    place = ((entries[at] * _GOLDEN) >> 20) & mask
    while table[place] and entries[(table[place] - 1) * 4 + 3] != entries[at]:
        place = (place + 1) & mask
    return place


@kernel("int64(int64[:, ::1], int64, int64, int64)")
def _lengthen(runs: Any, member: Any, event: Any, rules: Any) -> Any:
    """Take an event into `runs`: by length and last rule, the latest start of a run in order.

    ``runs[length, rules]`` is the latest of any last rule.
    """
    for length in range(rules - 1, -1, -1):
        start = event
        if length:
            start = -1
            for before in range(member):
                start = max(start, runs[length - 1, before])
        runs[length, member] = max(runs[length, member], start)
        runs[length, rules] = max(runs[length, rules], start)
    return 0


@kernel("int64(int64[::1], int64, int64, int64, int64, int64[::1], int64[:, ::1])")
def _enter(entries: Any, width: Any, kind: Any, at: Any, start: Any, last: Any, runs: Any) -> Any:
    """Take an event into what is known of a window; return by how much its values grow."""
    if kind == VALUES:
        slot = _slot(last, entries, at * 4 + 3, len(last) - 1)
        known, last[slot] = last[slot] - 1, at + 1
        return 1 if known < start else 0
    rule = (entries[at * width] >> 2) & MEMBERS
    if kind == ORDER:
        _lengthen(runs, rule, at, len(last))
    elif kind != COUNT:
        last[rule] = at
    return 0


@kernel("int64(int64, int64, int64[::1], int64[:, ::1])")
def _matched(kind: Any, start: Any, last: Any, runs: Any) -> Any:
    """Return what rules say of the window from `start` on."""
    value = 0
    if kind == ORDER:
        while value < len(last) and runs[value, len(last)] >= start:
            value += 1
        return value
    for rule in range(len(last)):
        if last[rule] >= start:
            value += 1 << rule if kind == WHICH else 1
    return value


@kernel("int64[::1](int64, int64, int64)")
def _blank(kind: Any, events: Any, rules: Any) -> Any:
    """Return where the last place of each value is kept (and 1), or that of each rule."""
    if kind != VALUES:
        return np.full(rules, -1, np.int64)
    room = 16
    while room < 2 * events:
        room *= 2
    return np.zeros(room, np.int64)


@kernel("int64(int64[::1], int64, int64[::1], int64[:, ::1])")
def judge(entries: Any, width: Any, ask: Any, found: Any) -> Any:
    """Judge the windows that end at each event time of a part of a group.

    Parameters
    ----------
    entries, width
        The group.
    ask
        First and last time, in ms; length of windows in ms; 1 where they are tumbling; what is
        judged by; the least value that counts; how many rules there are. By `COUNT` the value is
        the number of events, by `VALUES` that of different values, by `RULES` that of rules
        that matched, by `ORDER` how many of them did so in their order (events of one time in
        any), by `WHICH` the rules that matched, as bits.
    found
        Out: time, first place, place behind the last, begin and value of each window whose
        value is enough; has a row for each event.

    Returns
    -------
    int
        How many rows of `found` are used.
    """
    low, until, span, tumbling, kind, least, rules = ask
    size, used, many = len(entries) // width, 0, 0
    place = lower(entries, width, size, low << SHIFT)
    if place >= size:
        return 0
    first = entries[place * width] >> SHIFT
    since = first // span * span if tumbling else first - span
    start = at = lower(entries, width, size, since << SHIFT)
    last = _blank(kind, size - start, rules)
    runs = np.full((rules if kind == ORDER else 0, rules + 1), -1, np.int64)
    while place < size and entries[place * width] >> SHIFT <= until:
        time = entries[place * width] >> SHIFT
        while place < size and entries[place * width] >> SHIFT == time:
            place += 1
        since = time // span * span if tumbling else time - span
        for event in range(at, place):
            many += _enter(entries, width, kind, event, start, last, runs)
        at = place
        while entries[start * width] >> SHIFT < since:
            if kind == VALUES:
                slot = _slot(last, entries, start * 4 + 3, len(last) - 1)
                many -= 1 if last[slot] - 1 == start else 0
            start += 1
        value = place - start if kind == COUNT else many
        if kind != COUNT and kind != VALUES:
            value = _matched(kind, start, last, runs)
        if value >= least:
            found[used] = (time, start, place, since, value)
            used += 1
    return used


@kernel("int64(int64[::1], int64, int64, int64, int64, int64[::1])")
def mark(entries: Any, width: Any, start: Any, end: Any, since: Any, found: Any) -> Any:
    """Mark events as part of an alert; write the places of those that were not to `found`.

    Events from `since` ms on get the first mark, earlier ones the second.
    """
    used = 0
    for place in range(start, end):
        stamp = entries[place * width]
        bit = 1 if stamp >> SHIFT >= since else 2
        if not stamp & bit:
            entries[place * width] = stamp | bit
            found[used] = place
            used += 1
    return used


@kernel("void(int64[::1], int64, int64, uint8[::1])")
def sketch_in(entries: Any, start: Any, end: Any, registers: Any) -> Any:
    """Take the values of events into the registers of a sketch, as `sketch.registers` does."""
    for place in range(start, end):
        value = entries[place * 4 + 3]
        rest = value & ((1 << _REST) - 1)
        rank = _REST + 1
        while rest:
            rest >>= 1
            rank -= 1
        register = (value >> _REST) & 0x7FF
        registers[register] = max(registers[register], rank)
