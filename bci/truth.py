"""Ground truth of a recording: who fired when, and where they and the electrodes are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bci.formats.recording import FormatError


@dataclass(frozen=True, slots=True)
class Truth:
    """The spikes of a recording, in order of time.

    Attributes
    ----------
    fs
        Sampling rate, Hz.
    electrodes
        float64[channel, 2], µm.
    sample, unit
        int64[spike], int32[spike]: sample of the trough, and who fired.
    positions, amplitudes
        float64[unit, 2], µm; float64[unit], µV on the nearest electrode.
    """

    fs: float
    electrodes: NDArray[np.float64]
    sample: NDArray[np.int64]
    unit: NDArray[np.int32]
    positions: NDArray[np.float64]
    amplitudes: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write an npz file."""
        np.savez_compressed(path, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what `save` wrote; raise FormatError where it is something else."""
        try:
            with np.load(path, allow_pickle=False) as data:
                found = {name: data[name] for name in cls.__dataclass_fields__}
        except (KeyError, ValueError, BadZipFile, EOFError) as error:
            raise FormatError(
                f"{path.name}: expected the truth that `sentinel bci synth` writes, found: {error}"
            ) from error
        return cls(**{**found, "fs": float(found["fs"])})
