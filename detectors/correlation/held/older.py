"""What is kept of the events of a group that are too many: counts, sketches, or the last ones."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.correlation.held import sketch
from detectors.correlation.held.coming import Firing, Slice
from detectors.correlation.held.kernels import sketch_in
from detectors.correlation.held.windows import MEMBERS, SHIFT, Entries
from detectors.correlation.rules import Correlation

#: Sketches or counts kept of one group; beyond them the oldest two become one.
SLICES: Final = 16


def halve(
    correlation: Correlation, entries: Entries, width: int, most: int, slices: list[Slice]
) -> int:
    """Let all but half of `most` events go, into `slices` where counts are wanted.

    Returns
    -------
    int
        How many are lost.
    """
    half = (len(entries) // width - most // 2) * width
    gone = entries[:half]
    del entries[:half]
    kind = correlation.kind
    if kind not in ("event_count", "value_count") or not correlation.growing:
        kept = array("q")
        if kind == "temporal":  # of each rule, the last match is what can still count
            last = {(gone[at] >> 2) & MEMBERS: at for at in range(0, half, width)}
            for at in sorted(last.values()):
                kept.extend(gone[at : at + width])
            entries[:0] = kept
        return (half - len(kept)) // width
    registers = b""
    if kind == "value_count":
        registers = sketch.registers(np.array(gone[3::4], np.int64)).tobytes()
    slices.append(Slice(gone[half - width] >> SHIFT, half // width, registers))
    if len(slices) > SLICES:
        slices[:2] = [_merged(*slices[:2])]
    return 0


def with_older(
    each: Firing, slices: Iterable[Slice], entries: NDArray[np.int64], least: float
) -> float | None:
    """Return what a window measures with older events, or None where that is too little."""
    older = [part for part in slices if part.newest >= each.window]
    value = each.value
    if older and not older[0].registers:
        value += sum(part.count for part in older)
    elif older:
        registers = _union(older)
        sketch_in(entries, each.start, each.end, registers)
        value = max(value, sketch.estimate(registers))
    return value if value >= least else None


def _union(slices: Iterable[Slice]) -> NDArray[np.uint8]:
    return sketch.union(np.frombuffer(each.registers, np.uint8) for each in slices)


def _merged(older: Slice, newer: Slice) -> Slice:
    registers = _union((older, newer)).tobytes() if older.registers else b""
    count = older.count + newer.count
    return Slice(newer.newest, count, registers, older.marked | newer.marked)
