"""Whether a series of numbers changed its mean: the adaptive window, every cut looked at.

Bifet and Gavaldà 2007, "Learning from Time-Changing Data with Adaptive Windowing", sections 2.2
(ADWIN0) and 3.3 (the bound, with the variance). river has ADWIN2, which keeps a sketch of an
unbounded window instead and looks at the cuts between its buckets; a window that is short anyway
needs no sketch, and a worker without river's imports saves 79 MB. The bound is ADWIN2's, as in
river: neighbouring cuts say nearly the same, so they do not count as that many trials.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Numbers on either side of a cut, at least; river's default.
SIDE = 5


def changed(window: Sequence[float], delta: float) -> bool:
    """Say whether the means before and after some cut differ by more than chance allows.

    Parameters
    ----------
    window
        Numbers between 0 and 1 in their order; with fewer than 10, nothing changed.
    delta
        How likely a window of numbers from one distribution is to be said to have changed, at
        most.
    """
    values = np.asarray(window, np.float64)
    count = len(values)
    if count < 2 * SIDE:
        return False
    before = np.arange(SIDE, count - SIDE + 1)
    after = count - before
    sums = np.cumsum(values)
    first, total = sums[before - 1], sums[-1]
    apart = np.abs(first / before - (total - first) / after)
    reciprocal = 1 / before + 1 / after  # of the harmonic mean of both sides, m in the paper
    chance = np.log(2 * np.log(count) / delta)
    bound = np.sqrt(2 * reciprocal * values.var() * chance) + 2 / 3 * reciprocal * chance
    return bool((apart > bound).any())
