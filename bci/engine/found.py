"""What the engine finds: what callers see, and where the kernels put it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bci.engine.plan import TILE, Plan
from bci.engine.state import chunk as chunk_of

#: Samples, channels, units, scores and snippets of detections.
Part = tuple[
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.float32],
    NDArray[np.float32],
]


class Spikes(NamedTuple):
    """Detections in order of sample and channel.

    Attributes
    ----------
    sample
        int64[n], device sample of the trough.
    channel
        int32[n].
    score
        float32[n], in σ: of the trough, or of the matched filter's output.
    amplitude
        float32[n], µV at the trough (negative), after reference and band-pass.
    snippets
        float32[n, time], µV.
    unit
        int32[n]: number of the unit in its bank, -1 where no unit explains it.
    """

    sample: NDArray[np.int64]
    channel: NDArray[np.int32]
    score: NDArray[np.float32]
    amplitude: NDArray[np.float32]
    snippets: NDArray[np.float32]
    unit: NDArray[np.int32]


class Found(NamedTuple):
    """What a block gave.

    Attributes
    ----------
    spikes
        Detections that are certain now; the last 1.3 ms wait for what follows.
    artefacts
        int64[n, 3]: bank, first and last sample of artefacts that ended.
    gaps
        int64[n, 2]: first sample missing and first there again.
    """

    spikes: Spikes
    artefacts: NDArray[np.int64]
    gaps: NDArray[np.int64]


class Scratch(NamedTuple):
    """Where the kernels put what one chunk gives."""

    at: NDArray[np.int64]
    on: NDArray[np.int32]
    unit: NDArray[np.int32]
    score: NDArray[np.float32]
    snippets: NDArray[np.float32]
    ended: NDArray[np.int64]

    @classmethod
    def of(cls, tiles: int, taps: int, plan: Plan) -> Scratch:
        """Make room for what a chunk can give at most.

        A detection of each channel, and of each unit, in each refractory period.
        """
        room = 2 * tiles * TILE * ((chunk_of(tiles) + plan.exclusive) // plan.refractory + 2)
        return cls(
            np.empty(room, np.int64),
            np.empty(room, np.int32),
            np.empty(room, np.int32),
            np.empty(room, np.float32),
            np.empty((room, taps), np.float32),
            np.empty((tiles * (chunk_of(tiles) + 1), 3), np.int64),
        )

    def first(self, count: int) -> Part:
        """Return a copy of the first detections."""
        return (
            self.at[:count].copy(),
            self.on[:count].copy(),
            self.unit[:count].copy(),
            self.score[:count].copy(),
            self.snippets[:count].copy(),
        )


def spikes_of(parts: list[Part], taps: int, lead: int) -> Spikes:
    """Join detections and put them in order."""
    if not parts:
        return Spikes(
            np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32),
            np.empty(0, np.float32), np.empty((0, taps), np.float32), np.empty(0, np.int32),
        )  # fmt: skip
    at, on, unit, score, snippets = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((on, at))
    snippets = snippets[order]
    amplitude = snippets[:, lead].copy()
    return Spikes(at[order], on[order], score[order], amplitude, snippets, unit[order])


def joined(blanks: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join artefacts, in order of their ends."""
    if not blanks:
        return np.zeros((0, 3), np.int64)
    found = np.concatenate(blanks)
    ordered: NDArray[np.int64] = found[np.lexsort((found[:, 0], found[:, 2]))]
    return ordered
