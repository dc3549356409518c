"""A chunk through all steps, tile by tile, so that its rows are still in the cache."""

from __future__ import annotations

from typing import Any

from bci.engine.deciding import decide_tile
from bci.engine.filtering import filter_tile
from bci.engine.kernel import kernel
from bci.engine.scanning import scan_tile
from bci.engine.units.memory import SORTS
from bci.engine.units.sorting import sort_tile


@kernel
def advance(
    samples: Any,
    held: Any,
    at: Any,
    base: Any,
    start: Any,
    end: Any,
    settled: Any,
    p: Any,
    s: Any,
    t: Any,
    w: Any,
    ended: Any,
    times: Any,
    on: Any,
    unit: Any,
    score: Any,
    snippets: Any,
) -> Any:
    """Filter ``int16[time, channel]`` into the rows from `at` on, scan, decide.

    Parameters
    ----------
    base, start, end, settled
        Device samples: of row 0; scanned next; scanned up to; looked at from.
    p, s, t, w
        `Plan`, `Arrays`, `Sorting` and `Room`.
    ended, times, on, unit, score, snippets
        What is found, changed; see `scan_tile` and `decide_tile`.

    Returns
    -------
    tuple of int
        How many detections there are, and how many artefacts ended.
    """
    found, artefacts = 0, 0
    for tile in range(s.rows.shape[0]):
        filter_tile(tile, samples, held, at, p, s, w.sums)
        artefacts = scan_tile(tile, base, start, end, settled, p, s, t, w, ended, artefacts)
        if t.mode[tile] == SORTS:
            found = sort_tile(tile, base, end, p, s, t, times, on, unit, score, snippets, found)
        else:
            found = decide_tile(tile, base, end, p, s, t, times, on, unit, score, snippets, found)
    return found, artefacts
