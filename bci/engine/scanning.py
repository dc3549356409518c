"""Sample by sample over filtered rows: noise, artefacts, and troughs that may be spikes.

Everything here happens at the index of a sample, never at the edge of a block: that is what
makes the result independent of blocks.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bci.engine.kernel import LANES, at_most, bare, below, first_one, load, ones, size
from bci.engine.plan import BLANKED, TILE, WAITING
from bci.engine.units.describing import compare, describe
from bci.engine.units.levels import LOWEST
from bci.engine.units.memory import COLLECTS, OPEN, SORTS

#: Rows after which the first two estimates are made, so that detection starts early.
FIRST_ROWS: Final = 64
SECOND_ROWS: Final = 256
#: Median of |x| of a normal distribution with σ = 1.
MEDIAN_OF_NORMAL: Final = 0.6744897501960817
#: Where the filtered trough may be off the best place of the matched filter, samples.
SHIFTS: Final = 2
#: From which score on the channels around are looked at as well: others are too weak.
POOL_FROM: Final = 3.5
#: A window of noise for the whitening has no sample beyond this many σ.
QUIET: Final = 4.0
#: Where units are learnt or gone by: from which score on a trough is compared with them, what
#: the filter of few taps must give, and from which score on the channels around are looked at.
TRY_FROM, TRY_SCREEN, TRY_POOL_FROM = 3.0, 2.0, 1.5
#: Every how many looks at the noise its autocovariance is looked at, too.
COVARIANCE_EVERY: Final = 8


@bare
def scan_tile(
    tile: Any, base: Any, start: Any, end: Any, settled: Any,
    p: Any, s: Any, t: Any, w: Any, ends: Any, ended: Any,
) -> Any:  # fmt: skip
    """Look at the samples `start` to `end` of a tile; return the new number of `ends`.

    `base` and `settled` are device samples: of row 0, and from which on something is looked
    for; ``ends[:ended]`` the tile, first and last sample of artefacts that ended already.
    """
    rows = s.rows[tile]
    gate, far = w.gate, w.far
    # arrays, not p and s: handing those on copies all that is in them
    sees = p.lead, s.weights[tile], s.sigma[tile], p.around[tile], p.spread[tile], w.segment
    room = s.waiting_at[tile], s.waiting_on[tile], s.waiting_score[tile], s.waiting[tile : tile + 1]
    first = p.lead, s.first_at[tile], s.first[tile], w.quick, s.learnt[tile]
    mode, units = t.mode[tile], (t.unit_on[tile], t.unit[tile], t.energy[tile], t.tried[tile])
    noted = t.views[tile], t.mark[tile], t.noted[tile]
    about = mode, tile, p.matched_threshold, p.field[tile]
    sort = about, noted, units, (w.stamps, w.features)
    least = _limits(tile, p, s, w, mode)
    sample = max(start, settled)
    due = sample + (p.every - sample % p.every) % p.every
    while sample < end:
        if s.since[tile] >= 0 and sample > s.until[tile]:
            ends[ended, 0], ends[ended, 1], ends[ended, 2] = tile, s.since[tile], s.until[tile]
            ended += 1
            s.since[tile] = -1
        # up to where nothing but a trough or an artefact can happen
        if due < sample:
            due += p.every
        look = due == sample
        stop = min(end, max(due, sample + 1))
        if s.since[tile] >= 0:
            stop = min(stop, s.until[tile] + 1)
        at, beyond, marked = _next(rows, sample - base, stop - base, gate, far, p.need[tile], look)
        sample = at + base
        if beyond < 0:
            continue
        if s.held[at]:
            sample += 1
            continue
        if beyond >= p.need[tile]:
            if s.since[tile] < 0:
                s.since[tile] = sample - p.before
            s.until[tile] = sample + p.after
            _blank(tile, s, sample - p.before)
        if sample > s.until[tile]:
            if sample == due and _look(tile, at, p, s, w):
                least = _limits(tile, p, s, w, mode)
                marked = _troughs(rows, at, gate)
            if marked:
                _note(rows, at, sample, least, marked, first, sees, room, sort)
        sample += 1
    return ended


@bare
def _next(rows: Any, at: Any, stop: Any, gate: Any, far: Any, need: Any, look: Any) -> Any:
    """Return the first row with a trough below the gate, or enough channels far out.

    And how many are far out there, or -1 where there is no such row before `stop`; and the
    troughs, as of `_troughs`. With `look` it is the first row whatever it holds.
    """
    while at < stop:
        below_gate, beyond, marked = np.uint64(0), np.int64(0), np.uint64(0)
        for c in range(0, TILE, LANES):
            value = load(rows, at * TILE + c)
            below_gate |= below(value, load(gate, c))
            beyond += ones(below(load(far, c), size(value)))
        if below_gate:
            marked = _troughs(rows, at, gate)
        if marked or look or beyond >= need:
            return at, beyond, marked
        at += 1
    return at, np.int64(-1), np.uint64(0)


@bare
def _troughs(rows: Any, at: Any, gate: Any) -> Any:
    """Return a bit for each channel, set where it has a local minimum below the gate."""
    marked = np.uint64(0)
    for c in range(0, TILE, LANES):
        here = at * TILE + c
        value = load(rows, here)
        found = below(value, load(gate, c)) & at_most(value, load(rows, here - TILE))
        found &= below(value, load(rows, here + TILE))
        marked |= found << np.uint64(c)
    return marked


@bare
def _note(
    rows: Any, at: Any, sample: Any, least: Any, marked: Any,
    first: Any, sees: Any, room: Any, sort: Any,
) -> None:  # fmt: skip
    """Note the troughs that are `marked` and whose score is at least `least`.

    What is below can neither be a detection nor outdo one.
    """
    times, columns, scores, count = room
    lead, places, weights, screen, learnt = first
    mode, pool_from = sort[0][0], np.float32(TRY_POOL_FROM if sort[0][0] else POOL_FROM)
    while marked:
        c = first_one(marked)
        marked &= marked - np.uint64(1)
        if learnt:
            total = np.float32(0)
            for k in range(len(weights)):
                total += weights[k] * rows[at - lead + places[k], c]
            if total < screen[c]:
                continue
            score, shift = _matched(rows, at, c, sees, pool_from)
        else:
            score, shift = -rows[at, c] / sees[2][c], 0
        if score >= least and count[0] < WAITING:
            k = count[0]
            if mode and not _worth(
                rows, at - lead + shift, shift, sample, c, score, sees[2], k, sort
            ):
                continue
            times[k], columns[k], scores[k] = sample, c, score
            count[0] = k + 1


@bare
def _worth(
    rows: Any, first: Any, shift: Any, sample: Any,
    c: Any, score: Any, sigma: Any, k: Any, sort: Any,
) -> Any:  # fmt: skip
    """Note what units or lessons need of trough `k`; say whether it may be a spike."""
    (mode, tile, threshold, field), (views, mark, noted), units, seen = sort
    if mode == COLLECTS:
        describe(rows, first, sigma, field[c], views, noted[k])
        return True
    mark[k] = OPEN
    stamp = (sample * 8 + shift) * 4096 + tile
    noted[k, :] = np.float32(0)
    gain = compare(rows, first, shift, stamp, c, sigma, field, units, seen, views, noted[k])
    return gain > 0 or score >= threshold


@bare
def _limits(tile: Any, p: Any, s: Any, w: Any, mode: Any) -> Any:
    """Set what `Room` says in µV; return the lowest score of a detection."""
    at = p.gate[tile] if s.learnt[tile] else np.float32(p.threshold)
    for c in range(TILE):
        sigma = np.float32(0) if s.muted[tile, c] else s.sigma[tile, c]
        w.quick[c] = (np.float32(TRY_SCREEN) if mode else p.screen[tile, c]) * sigma
        w.gate[c] = np.float32(-at * sigma) if sigma > 0 else np.float32(-np.inf)
        w.far[c] = np.float32(p.artefact * sigma) if sigma > 0 else np.float32(np.inf)
    if mode == SORTS:
        return min(TRY_FROM, p.matched_threshold)
    if mode == COLLECTS:
        return min(p.sort_from, p.matched_threshold)
    if s.learnt[tile]:
        return min(LOWEST, p.matched_threshold) if p.levels[tile] else p.matched_threshold
    return p.threshold


@bare
def _blank(tile: Any, s: Any, since: Any) -> None:
    """Mark the troughs that wait at or after `since`: part of an artefact.

    They stay as what others are compared with: whether those were decided on before or
    after the artefact was seen must not matter.
    """
    k = s.waiting[tile] - 1
    while k >= 0 and s.waiting_at[tile, k] >= since:
        s.waiting_on[tile, k] |= BLANKED
        k -= 1


@bare
def _look(tile: Any, at: Any, p: Any, s: Any, w: Any) -> Any:
    """Note |x| of a row; make an estimate of σ when enough were noted and say so."""
    count = s.looks[tile, 0]
    for c in range(TILE):
        s.noise[tile, count, c] = abs(s.rows[tile, at, c])
    count += 1
    s.looks[tile, 0] = count
    s.looks[tile, 1] += 1
    updates = s.updates[tile]
    if not s.learnt[tile] and updates > 0 and s.looks[tile, 1] % COVARIANCE_EVERY == 0:
        _covary(tile, at, s)
    most = s.noise.shape[1]
    full = FIRST_ROWS if updates == 0 else (SECOND_ROWS if updates == 1 else most)
    if count < min(full, most):
        return False
    for c in range(TILE):
        for k in range(count):
            w.looks[k] = s.noise[tile, k, c]
        estimate = np.float32(_middle(w.looks, count) / MEDIAN_OF_NORMAL)
        if updates < 2:
            s.sigma[tile, c] = estimate
        else:
            s.sigma[tile, c] += np.float32(p.rate) * (estimate - s.sigma[tile, c])
    s.updates[tile] += 1
    s.looks[tile, 0] = 0
    return True


@bare
def _middle(values: Any, count: Any) -> Any:
    """Return the lower median of the first `count` values, which are put in another order.

    Hoare's quickselect (1961, CACM 4(7), algorithm 65).
    """
    wanted, low, high = (count - 1) // 2, 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return values[wanted]


@bare
def _covary(tile: Any, at: Any, s: Any) -> None:
    """Add the autocovariance of the last samples of quiet channels, in σ²."""
    rows, sums = s.rows[tile], s.covariance[tile]
    taps = len(sums) - 1
    for c in range(TILE):
        sigma = s.sigma[tile, c]
        if sigma <= 0:
            continue
        limit, quiet = np.float32(QUIET) * sigma, True
        for k in range(taps):
            quiet &= abs(rows[at - k, c]) < limit
        if quiet:
            scale = 1.0 / (np.float64(sigma) * np.float64(sigma))
            for k in range(taps):
                sums[k] += rows[at, c] * rows[at - k, c] * scale
            sums[taps] += 1


@bare
def _matched(rows: Any, at: Any, c: Any, sees: Any, pool_from: Any) -> Any:
    """Return the matched filter's score of a channel and those around it, in σ of noise.

    And how many samples after the trough the best place for the filter's trough is.
    """
    lead, weights, sigma, nearest, spreads, segment = sees
    first, around, spread = at - lead, nearest[c], spreads[c]
    taps = len(weights)
    # a column of the rows is spread over as many cache lines as it has samples: once is enough
    for k in range(taps + 2 * SHIFTS):
        segment[k] = rows[first - SHIFTS + k, c]
    total, best = np.float32(0), SHIFTS
    for k in range(taps):
        total += weights[k] * segment[SHIFTS + k]
    for shift in range(2 * SHIFTS + 1):
        product = np.float32(0)
        for k in range(taps):
            product += weights[k] * segment[shift + k]
        if product > total:
            total, best = product, shift
    score = total / sigma[c]
    if score < pool_from:
        return score, best - SHIFTS
    # With independent noise the best sum weighs each channel with its expected amplitude.
    norm = np.float32(1)
    for n in range(len(around)):
        other = around[n]
        if other >= 0 and sigma[other] > 0:
            product = np.float32(0)
            for k in range(taps):
                product += weights[k] * rows[first - SHIFTS + best + k, other]
            score += spread[n] * product / sigma[other]
            norm += spread[n] * spread[n]
    return score / np.sqrt(norm), best - SHIFTS
