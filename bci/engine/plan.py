"""What the kernels work on: constants of an engine, and the arrays that are its state."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from bci.engine.kernel import LANES

#: Channels of a tile: a row of it is four cache lines, and the state of all sections with
#: some hundred rows stays in the first two levels of cache.
TILE: Final = 64
#: Troughs of a tile that wait for a decision or are still compared with: a local minimum
#: needs three samples, so twice the exclusion time of all channels is far less.
WAITING: Final = 4096
#: Added to the column of a trough that lies in an artefact.
BLANKED: Final = TILE


class Plan(NamedTuple):
    """Constants; arrays lead with the tile, times are in samples, voltages in µV.

    Attributes
    ----------
    gain, good
        float32[tile, TILE]: µV per bit, 0 for bad channels; and 1 or 0.
    share
        float32[tile]: one over the number of good channels, 0 where these are few.
    need
        int64[tile]: channels that make an artefact.
    near
        bool[tile, TILE, TILE]: of which only the strongest counts.
    screen
        float32[tile, TILE], σ: what the filter of few taps must give at least.
    around, spread
        int32[tile, TILE, n] the nearest neighbours, -1 for none, and float32: how large a
        spike is there, if 1 on the channel itself.
    field
        int32[tile, TILE, n]: a channel itself and the nearest in the bank, -1 for none.
    sorts, levels
        bool[tile]: whether units are learnt; whether each channel gets a threshold.
    sos
        float32[section, 5].
    mode
        Reference: 0 none, 1 the bank's mean, 2 the mean of `around`.
    gate
        float32[tile], σ.
    threshold, matched_threshold, sort_from, unit_gain, artefact
        In σ.
    every, rate
        Samples between two looks at the noise; weight of an estimate.
    before, after
        Of an artefact.
    lead
        Of a snippet and the matched filter, before the trough.
    exclusive, refractory
        See `bci.settings.EngineSettings`.
    """

    gain: Any
    good: Any
    share: Any
    need: Any
    near: Any
    screen: Any
    around: Any
    spread: Any
    field: Any
    sorts: Any
    levels: Any
    sos: Any
    mode: int
    gate: Any
    threshold: float
    matched_threshold: float
    sort_from: float
    unit_gain: float
    artefact: float
    every: int
    rate: float
    before: int
    after: int
    lead: int
    exclusive: int
    refractory: int


class Room(NamedTuple):
    """Room to work in, of no meaning between two calls.

    Attributes
    ----------
    gate, far, quick
        float32[TILE], µV: from where on a trough is looked at, what counts towards an
        artefact, and what the filter of few taps must give.
    segment
        float32[n]: a stretch of one channel.
    looks
        float32[n]: the looks at one channel.
    stamps, features
        int64[TILE], float32[TILE, place, feature]: what was worked out of which trough.
    sums
        float32[time, LANES]: what channels add to the reference.
    """

    gate: Any
    far: Any
    quick: Any
    segment: Any
    looks: Any
    stamps: Any
    features: Any
    sums: Any

    @classmethod
    def of(cls, taps: int, looks: int, places: int, features: int, chunk: int) -> Room:
        """Make room for filters of `taps`, and so many looks."""
        single = np.float32
        gate, far, quick = (np.zeros(TILE, single) for _ in range(3))
        segment, stretch = np.zeros(taps, single), np.zeros(looks, single)
        worked_out = np.full(TILE, -1, np.int64), np.zeros((TILE, places, features), single)
        sums = np.zeros((chunk, LANES), single)
        return cls(gate, far, quick, segment, stretch, *worked_out, sums)


class Arrays(NamedTuple):
    """State; all lead with the tile but `held`, which leads with the row.

    Attributes
    ----------
    rows, held
        float32[tile, row, TILE], filtered; bool[row], those without a signal.
    filters
        float32[tile, section, 2, TILE] (direct form II, transposed).
    limit
        float32[tile, TILE]: what a channel adds to the reference at most.
    noise, looks
        float32[tile, n, TILE]: |x| at the looks since the last estimate; int64[tile, 2]: how
        many these are, and how many looks there ever were.
    muted
        bool[tile, TILE]: channels in which nothing is looked for.
    sigma, updates
        float32[tile, TILE], 0 while unknown; int64[tile]: estimates made.
    since, until
        int64[tile]: first sample of the artefact that lasts, or -1; last of the last one.
    weights, learnt
        float32[tile, tap] of the matched filter; bool[tile].
    first_at, first
        int64[tile, n], float32[tile, n]: taps and weights of the filter that is tried first.
    covariance, prototype
        float64[tile, tap + 1]: sums over quiet stretches and over detections, in σ² and σ;
        the last item is their number.
    last
        int64[tile, TILE]: sample of the last detection.
    counts, level, level_due
        Of channels with thresholds of their own: float32[tile, TILE, bin], how often there was
        which score; float32[tile, TILE] the threshold (that of the
        matched filter, where channels have none of their own); int64[tile]: when it is made next.
    waiting_at, waiting_on, waiting_score, waiting, decided
        Troughs: sample, column, score; int64[tile]: how many, and how many are decided on.
    """

    rows: Any
    held: Any
    filters: Any
    limit: Any
    noise: Any
    looks: Any
    muted: Any
    sigma: Any
    updates: Any
    since: Any
    until: Any
    weights: Any
    learnt: Any
    first_at: Any
    first: Any
    covariance: Any
    prototype: Any
    last: Any
    counts: Any
    level: Any
    level_due: Any
    waiting_at: Any
    waiting_on: Any
    waiting_score: Any
    waiting: Any
    decided: Any
