"""How rare is this score among all before it: a quantile sketch that ages, and decades.

A histogram of scores in [0, 1] with `BINS` equal bins, in blocks of `BLOCK` so that adding up
what lies above takes at most 63 steps. The tail probability of a score is the conformal p-value
``p = (as high or higher + 1) / (all + 1)``, a score of the same bin counting as as high, and
its decades are ``log10(1 / p)``. At `HISTORY` scores all bins are halved: the last about 100,000
count most. Deterministic, 4 kB a sketch, and exact to a bin's width (0.001 of a score).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import kernel, load_arrays

BLOCK = 32
BINS = BLOCK * BLOCK
HISTORY = 131_072


@kernel("float64(float64, int32[::1], int32[::1], int64[::1])")
def tail_decades(score: Any, bins: Any, blocks: Any, total: Any) -> Any:
    """Return the decades of `score` by the history, and add it to the history."""
    place = np.int64(min(max(score, 0.0), 1.0) * (BINS - 1e-9))
    block = place // BLOCK
    above = np.int64(0)
    # unsigned: numba checks signed indices for wrapping, and then adds up one by one
    for i in range(np.uint64(block + 1), np.uint64(BLOCK)):
        above += blocks[i]
    for i in range(np.uint64(place), np.uint64((block + 1) * BLOCK)):
        above += bins[i]
    decades = math.log10((total[0] + 1.0) / (above + 1.0))
    bins[place] += 1
    blocks[block] += 1
    total[0] += 1
    if total[0] >= HISTORY:
        total[0] = 0
        for i in range(BLOCK):
            blocks[i] = 0
            for j in range(i * BLOCK, (i + 1) * BLOCK):
                bins[j] >>= 1
                blocks[i] += bins[j]
            total[0] += blocks[i]
    return decades


@kernel("void(float64[::1], int32[::1], int32[::1], int64[::1], float64[::1], int64[::1])")
def _all_decades(scores: Any, bins: Any, blocks: Any, total: Any, decades: Any, kept: Any) -> Any:
    """Fill the decades of every score in order, and how many came before it."""
    for i in range(len(scores)):
        kept[i] = total[0]
        decades[i] = tail_decades(scores[i], bins, blocks, total)


class Tail:
    """The history of one score."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {
            "bins": np.zeros(BINS, np.int32),
            "blocks": np.zeros(BLOCK, np.int32),
            "total": np.zeros(1, np.int64),
        }

    def __len__(self) -> int:
        return int(self.arrays["total"][0])

    def decades(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the decades of each score by those before it, and how many those were."""
        found, kept = np.zeros(len(scores)), np.zeros(len(scores), np.int64)
        state = self.arrays
        _all_decades(
            np.ascontiguousarray(scores, np.float64),
            state["bins"],
            state["blocks"],
            state["total"],
            found,
            kept,
        )
        return found, kept

    def load(self, arrays: dict[str, Any]) -> None:
        """Take up the `arrays` of another; raise `SchemaError` where they do not fit."""
        load_arrays(self.arrays, arrays)
