"""What every reader returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.errors import SentinelError


class FormatError(SentinelError):
    """A file is not in the format it claims; names what was expected, found, and where."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples without a gap.

    Attributes
    ----------
    start
        Device sample of the first row, counted at the recording's rate.
    samples
        int16[time, channel]; often a view into the file.
    """

    start: int
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of one device at one rate.

    Attributes
    ----------
    fs
        Sampling rate, Hz.
    uv_per_bit
        float64[channel], µV.
    labels
        Names of the channels.
    segments
        In order of time.
    positions
        float64[channel, 2], µm, or None where the file does not say.
    """

    fs: float
    uv_per_bit: NDArray[np.float64]
    labels: tuple[str, ...]
    segments: tuple[Segment, ...]
    positions: NDArray[np.float64] | None = None

    @property
    def seconds(self) -> float:
        """Length of all segments together, s."""
        return sum(len(segment.samples) for segment in self.segments) / self.fs

    def blocks(self, length: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Yield device sample and at most `length` rows; never over the end of a segment."""
        for segment in self.segments:
            for first in range(0, len(segment.samples), length):
                yield segment.start + first, segment.samples[first : first + length]
