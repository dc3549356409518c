"""WAV files of 16-bit samples, one channel or several.

Neuralink's compression challenge (2024) published such files: samples of a 10-bit converter
spread over 16 bits, so that neighbouring codes are 64 or 65 apart. They are recognised by
that, and one code of the converter stays 64 steps; what a step is in µV no file says.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

import numpy as np

from bci.formats.recording import BROKEN, FormatError, Recording, Segment

SUFFIXES: Final = (".wav",)

#: µV of a step where nothing is known: a converter of 10 bits over 16 with an input range of
#: about 5.9 mV (Musk 2019, J Med Internet Res 21(10):e16194, supplement).
UV_PER_STEP: Final = 0.09


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open a WAV file; raise FormatError where it is not 16-bit PCM."""
    del var, fs
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            stated = file.getnframes()
            data = file.readframes(stated)
    except (wave.Error, *BROKEN) as error:
        reason = str(error) or "a chunk that ends beyond the file"
        raise FormatError(f"{path.name}: expected a WAV file, found: {reason}") from error
    if width != 2 or channels < 1 or rate < 1:
        raise FormatError(
            f"{path.name}: expected 16-bit samples, found {8 * width} bits on {channels} channels "
            f"at {rate} Hz"
        )
    count = len(data) // (2 * channels)
    samples = np.frombuffer(data[: 2 * channels * count], "<i2").reshape(-1, channels)
    notes = (f"states {stated} samples, {count} are there: cut off",) if count < stated else ()
    labels = tuple(f"chan{number}" for number in range(1, channels + 1))
    scale = np.full(channels, UV_PER_STEP)
    segments = (Segment(0, samples),) if count else ()
    return Recording(float(rate), scale, labels, segments, notes=notes)
