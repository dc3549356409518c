"""Which troughs are detections: the strongest of neighbours, outside the refractory period."""

from __future__ import annotations

from typing import Any

from bci.engine.kernel import bare
from bci.engine.plan import BLANKED, TILE
from bci.engine.units.levels import BINS, LOWEST, WIDTH
from bci.engine.units.memory import COLLECTS


@bare
def decide_tile(
    tile: Any,
    base: Any,
    end: Any,
    p: Any,
    s: Any,
    t: Any,
    at: Any,
    on: Any,
    unit: Any,
    score: Any,
    snippets: Any,
    found: Any,
) -> Any:
    """Decide on the troughs whose neighbourhood in time lies before `end`.

    Parameters
    ----------
    base, end
        Device sample of row 0, and the first not yet scanned.
    at, on, unit, score, snippets, found
        The detections: sample, channel, unit (-1: none), score, float32[n, time] in µV; and
        how many there are already. The new number is returned.
    """
    troughs = s.waiting_at[tile], s.waiting_on[tile], s.waiting_score[tile]
    count, k = s.waiting[tile], min(s.decided[tile], s.waiting[tile])
    while k < count and s.waiting_at[tile, k] + p.exclusive < end:
        sample, c = s.waiting_at[tile, k], s.waiting_on[tile, k]
        if c < BLANKED and strongest(k, count, p.exclusive, p.near[tile, c], troughs):
            size, learnt = s.waiting_score[tile, k], s.learnt[tile]
            if t.mode[tile] == COLLECTS:
                _collect(tile, k, c, t)
            elif learnt and p.levels[tile] and size >= LOWEST:
                s.counts[tile, c, min(int((size - LOWEST) / WIDTH), BINS - 1)] += 1
            if (learnt and size < s.level[tile, c]) or sample - s.last[tile, c] < p.refractory:
                k += 1
                continue
            s.last[tile, c] = sample
            at[found], on[found], unit[found] = sample, tile * TILE + c, -1
            score[found] = size
            first = sample - base - p.lead
            for i in range(snippets.shape[1]):
                snippets[found, i] = s.rows[tile, first + i, c]
            if not learnt:
                # in σ as it was at the trough: when this is decided depends on the blocks
                taps = s.prototype.shape[1] - 1
                scale = -size / s.rows[tile, sample - base, c]
                for i in range(taps):
                    s.prototype[tile, i] += s.rows[tile, first + i, c] * scale
                    if p.sorts[tile]:
                        own = s.rows[tile, first + i, c] * scale
                        for j in range(taps):
                            t.moment[tile, i, j] += own * s.rows[tile, first + j, c] * scale
                s.prototype[tile, taps] += 1
            found += 1
        k += 1
    forget(tile, k, end - 2 * p.exclusive - 1, s, t)
    return found


@bare
def _collect(tile: Any, k: Any, c: Any, t: Any) -> None:
    """Keep the features of a detection, from which units are learnt."""
    n = t.lessons[tile]
    if n < t.lesson.shape[1]:
        features = t.lesson.shape[3]
        t.lesson_on[tile, n] = c
        for i in range(t.lesson.shape[2] * features):
            t.lesson[tile, n, i // features, i % features] = t.noted[tile, k, i]
        t.lessons[tile] = n + 1


@bare
def forget(tile: Any, decided: Any, since: Any, s: Any, t: Any) -> None:
    """Drop what was decided on and is too old to be compared with."""
    count, first = s.waiting[tile], 0
    while first < decided and s.waiting_at[tile, first] < since:
        first += 1
    if first:
        for i in range(first, count):
            s.waiting_at[tile, i - first] = s.waiting_at[tile, i]
            s.waiting_on[tile, i - first] = s.waiting_on[tile, i]
            s.waiting_score[tile, i - first] = s.waiting_score[tile, i]
            if t.mode[tile]:
                t.mark[tile, i - first] = t.mark[tile, i]
                for n in range(t.noted.shape[2]):
                    t.noted[tile, i - first, n] = t.noted[tile, i, n]
    s.waiting[tile] = count - first
    s.decided[tile] = decided - first


@bare
def strongest(k: Any, count: Any, exclusive: Any, near: Any, troughs: Any) -> Any:
    """Say whether no neighbour has a stronger trough; of equals the first in time and place."""
    times, columns, scores = troughs
    sample = times[k]
    other = k - 1
    while other >= 0 and times[other] >= sample - exclusive:
        if near[columns[other] & (BLANKED - 1)] and scores[other] >= scores[k]:
            return False
        other -= 1
    other = k + 1
    while other < count and times[other] <= sample + exclusive:
        if near[columns[other] & (BLANKED - 1)] and scores[other] > scores[k]:
            return False
        other += 1
    return True
