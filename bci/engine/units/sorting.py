"""Which unit fired: what a trough gives each template, and who explains it best.

Once units are learnt (`bci.engine.units`), a trough is a spike of the unit ``u`` where that is
likelier than noise by the setting ``unit_gain``: with the features ``p`` of the channels around,
the template ``f`` and its energy ``E = f·f``, the logarithm of the ratio of likelihoods is
``a f·p - a² E / 2`` for a spike of the size ``a``. The best explanation within the exclusion
time is taken, what it gives to others is taken off them, and so on (matching pursuit: Mallat
and Zhang 1993, *IEEE Trans. Signal Process.* 41(12)): so spikes at the same time are both found.

A trough is decided on when all up to the exclusion time after it are known. Sums are made
anew from what was noted at each trough, in the order in which spikes were taken: neither
depends on blocks.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bci.engine.deciding import forget, strongest
from bci.engine.kernel import bare
from bci.engine.plan import BLANKED, TILE
from bci.engine.units.memory import GIVEN, NONE, OPEN

#: Sizes that spikes of a unit have, in those of its template.
SMALLEST, LARGEST = 0.7, 1.4
#: Share of what is taken off for other spikes that may be wrong: no two are quite the same,
#: nor begin with a sample. What is gained must be more than that.
MISFIT: Final = 0.25
#: Samples within which a trough on the unit's own channel is that of the same spike.
NEARBY: Final = 4


@bare
def sort_tile(
    tile: Any, base: Any, end: Any, p: Any, s: Any, t: Any,
    at: Any, on: Any, unit: Any, score: Any, snippets: Any, found: Any,
) -> Any:  # fmt: skip
    """Decide on the troughs whose neighbourhood in time lies before `end`.

    Parameters and result are those of `bci.engine.deciding.decide_tile`.
    """
    troughs = s.waiting_at[tile], s.waiting_on[tile], s.waiting_score[tile]
    count, k = s.waiting[tile], min(s.decided[tile], s.waiting[tile])
    while k < count and s.waiting_at[tile, k] + p.exclusive < end:
        sample, c = s.waiting_at[tile, k], s.waiting_on[tile, k]
        own = c & (BLANKED - 1)
        if t.mark[tile, k] == OPEN:
            _explain(tile, k, count, p, s, t)
        if t.mark[tile, k] >= 0:
            told = t.told[tile, t.mark[tile, k]]
        else:
            t.mark[tile, k] = NONE
            told = (
                s.waiting_score[tile, k] >= p.matched_threshold
                and sample - s.last[tile, own] >= p.refractory
                and not _explained(tile, sample, own, p, t)
                and strongest(k, count, p.exclusive, p.near[tile, own], troughs)
            )
        if told and c < BLANKED:
            s.last[tile, c] = sample
            at[found], on[found], unit[found] = sample, tile * TILE + c, t.mark[tile, k]
            score[found] = s.waiting_score[tile, k]
            first = sample - base - p.lead
            for i in range(snippets.shape[1]):
                snippets[found, i] = s.rows[tile, first + i, c]
            found += 1
        k += 1
    forget(tile, k, end - 2 * p.exclusive - 1, s, t)
    return found


@bare
def _explain(tile: Any, k: Any, count: Any, p: Any, s: Any, t: Any) -> None:
    """Take the best explanations around trough `k` until it has one, or none is left."""
    times, on = s.waiting_at[tile], s.waiting_on[tile]
    near = p.near[tile, on[k] & (BLANKED - 1)]
    while True:
        best, who, slot = np.float32(p.unit_gain), -1, 0
        size = np.float32(1)
        j = k
        while j < count and times[j] <= times[k] + p.exclusive:
            if t.mark[tile, j] == OPEN and near[on[j] & (BLANKED - 1)]:
                gain, a, n = _gain(tile, j, p, s, t)
                if gain > best:
                    best, who, slot, size = gain, j, n, a
            j += 1
        if who < 0:
            return
        u = t.tried[tile, on[who] & (BLANKED - 1), slot]
        when = times[who] + np.int64(t.noted[tile, who, t.tried.shape[2] + slot])
        _give(tile, when, u, size, t)
        # of the troughs of a spike the one on the unit's own channel tells of it
        j = k
        last = min(times[who] + NEARBY, times[k] + p.exclusive)
        while j < count and times[j] <= last:
            own = on[j] & (BLANKED - 1) == t.unit_on[tile, u]
            if own and t.mark[tile, j] == OPEN and times[j] >= times[who] - NEARBY:
                who = j
                break
            j += 1
        t.mark[tile, who] = u
        if who == k:
            return


@bare
def _gain(tile: Any, j: Any, p: Any, s: Any, t: Any) -> Any:
    """Return how much the best unit explains of trough `j`, its size, and its slot."""
    c = s.waiting_on[tile, j] & (BLANKED - 1)
    best, size, slot = np.float32(-1), np.float32(1), 0
    slots, lags = t.tried.shape[2], t.overlap.shape[3] // 2
    for n in range(slots):
        u = t.tried[tile, c, n]
        if u < 0:
            break
        energy, y = t.energy[tile, u], t.noted[tile, j, n]
        # what is at most gained, before anything is taken off, is enough mostly
        if y * np.float32(LARGEST) < best:
            continue
        when, free = s.waiting_at[tile, j] + np.int64(t.noted[tile, j, slots + n]), True
        doubt = np.float32(0)
        for g in range(t.given[tile]):
            lag = when - t.given_at[tile, g]
            if t.given_unit[tile, g] == u and abs(lag) < p.refractory:
                free = False
                break
            if abs(lag) <= lags:
                other = t.given_unit[tile, g]
                taken = t.given_size[tile, g] * t.overlap[tile, other, u, lag + lags]
                y -= taken
                doubt += abs(taken)
        a = min(max(y / energy, np.float32(SMALLEST)), np.float32(LARGEST))
        gain = a * (y - np.float32(MISFIT) * doubt) - a * a * energy * np.float32(0.5)
        if free and gain > best:
            best, size, slot = gain, a, n
    return best, size, slot


@bare
def _give(tile: Any, when: Any, u: Any, size: Any, t: Any) -> None:
    """Remember a spike; forget those so old that nothing overlaps with them."""
    oldest, kept = when - 2 * t.overlap.shape[3], 0
    for g in range(t.given[tile]):
        if t.given_at[tile, g] >= oldest and (t.given[tile] < GIVEN or g > 0):
            t.given_at[tile, kept] = t.given_at[tile, g]
            t.given_unit[tile, kept] = t.given_unit[tile, g]
            t.given_size[tile, kept] = t.given_size[tile, g]
            kept += 1
    t.given_at[tile, kept], t.given_unit[tile, kept] = when, u
    t.given_size[tile, kept] = size
    t.given[tile] = kept + 1


@bare
def _explained(tile: Any, sample: Any, c: Any, p: Any, t: Any) -> Any:
    """Say whether a spike of a unit is so near that it may have made this trough."""
    for g in range(t.given[tile]):
        if (
            abs(t.given_at[tile, g] - sample) < p.refractory
            and p.near[tile, c, t.unit_on[tile, t.given_unit[tile, g]]]
        ):
            return True
    return False
