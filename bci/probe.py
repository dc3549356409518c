"""Where the electrodes are, and which of them see the same neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe map.

    Attributes
    ----------
    positions
        float64[channel, 2], µm.
    """

    positions: NDArray[np.float64]

    @classmethod
    def line(cls, channels: int, pitch_um: float = 400.0) -> Probe:
        """Return electrodes in a line; the default pitch (Utah array) makes none neighbours."""
        return cls(np.column_stack([np.zeros(channels), np.arange(channels) * pitch_um]))

    @classmethod
    def grid(cls, rows: int, columns: int, pitch_um: float) -> Probe:
        """Return electrodes in a grid, row by row."""
        places = [
            (column * pitch_um, row * pitch_um) for row in range(rows) for column in range(columns)
        ]
        return cls(np.array(places, np.float64))

    def neighbours(self, radius_um: float) -> NDArray[np.bool_]:
        """Return bool[channel, channel]: which are at most `radius_um` apart; each its own."""
        apart = self.positions[:, None, :] - self.positions[None, :, :]
        near: NDArray[np.bool_] = np.hypot(apart[..., 0], apart[..., 1]) <= radius_um
        return near
