"""How well spikes were found: detections against ground truth, one to one."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Largest distance in time, ms, and space, µm, of a detection from the spike it finds.
TOLERANCE_MS: Final = 0.4
TOLERANCE_UM: Final = 75.0


class Score(NamedTuple):
    """Counts and what follows from them.

    Attributes
    ----------
    found, missed, false
        Spikes detected, spikes not detected, detections that are none.
    matched
        int64[spike]: the detection of each spike, -1 where it was missed.
    """

    found: int
    missed: int
    false: int
    matched: NDArray[np.int64]

    @property
    def recall(self) -> float:
        """Share of the spikes that were detected."""
        return self.found / max(1, self.found + self.missed)

    @property
    def precision(self) -> float:
        """Share of the detections that are spikes."""
        return self.found / max(1, self.found + self.false)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.false)


def score(
    spikes: NDArray[np.int64],
    places: NDArray[np.float64],
    detections: NDArray[np.int64],
    channels: NDArray[np.float64],
    fs: float,
    *,
    tolerance_ms: float = TOLERANCE_MS,
    tolerance_um: float = TOLERANCE_UM,
) -> Score:
    """Match detections with spikes, nearest in time first, each at most once.

    Parameters
    ----------
    spikes, detections
        int64[n], samples in ascending order.
    places, channels
        float64[n, 2], µm: of the neuron of each spike, of the electrode of each detection.
    fs
        Sampling rate, Hz.

    Examples
    --------
    >>> spot = np.zeros((2, 2))
    >>> found = score(np.array([100, 500]), spot, np.array([103, 900]), spot, 30_000.0)
    >>> found.found, found.missed, found.false, found.f1
    (1, 1, 1, 0.5)
    """
    reach = tolerance_ms * fs / 1000
    first = np.searchsorted(detections, spikes - reach, "left")
    last = np.searchsorted(detections, spikes + reach, "right")
    counts = last - first
    spike = np.repeat(np.arange(len(spikes)), counts)
    within = np.arange(len(spike)) - np.repeat(np.cumsum(counts) - counts, counts)
    detection = np.repeat(first, counts) + within
    apart = np.hypot(*(places[spike] - channels[detection]).T)
    near = apart <= tolerance_um
    spike, detection, apart = spike[near], detection[near], apart[near]
    delay = np.abs(spikes[spike] - detections[detection])
    matched = np.full(len(spikes), -1, np.int64)
    used = np.zeros(len(detections), bool)
    for pair in np.lexsort((apart, delay)).tolist():
        if matched[spike[pair]] < 0 and not used[detection[pair]]:
            matched[spike[pair]] = detection[pair]
            used[detection[pair]] = True
    found = int(used.sum())
    return Score(found, len(spikes) - found, len(detections) - found, matched)
