"""Recordings of SpikeInterface, as objects: what it reads, the engine can take.

Whatever has the methods of ``spikeinterface.core.BaseRecording`` (0.101 and later) will do;
the package itself is not imported.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.formats.recording import AFTER_RESET, FormatError, Recording, Segment
from bci.formats.scaling import to_int16

NEEDED: Final = (
    "get_traces", "get_sampling_frequency", "get_channel_ids", "get_num_segments",
    "get_channel_gains",
)  # fmt: skip


def from_recording(recording: Any) -> Recording:
    """Return a recording of SpikeInterface as ours; its segments are parted.

    Traces are fetched segment by segment; those of a file that it maps stay there.

    Raises
    ------
    FormatError
        The object is no recording, or its traces are no real numbers.
    """
    if missing := [name for name in NEEDED if not hasattr(recording, name)]:
        raise FormatError(
            f"expected a recording of SpikeInterface, found {type(recording).__name__} "
            f"without {', '.join(missing)}"
        )
    fs = float(recording.get_sampling_frequency())
    labels = tuple(map(str, recording.get_channel_ids()))
    gains = recording.get_channel_gains()
    uv = np.ones(len(labels)) if gains is None else np.asarray(gains, np.float64)
    pieces = [
        np.asarray(recording.get_traces(segment_index=number))
        for number in range(recording.get_num_segments())
    ]
    return Recording(fs, *_scaled(pieces, labels, uv, _starts(recording, fs)))


def _starts(recording: Any, fs: float) -> list[int]:
    """Return the sample at which each segment says that it starts, 0 where it does not."""
    count = recording.get_num_segments()
    begin = (
        [recording.get_start_time(number) for number in range(count)]
        if hasattr(recording, "get_start_time")
        else [0.0] * count
    )
    return [round(float(at or 0.0) * fs) for at in begin]


def _scaled(
    pieces: list[NDArray[Any]], labels: tuple[str, ...], uv: NDArray[np.float64], starts: list[int]
) -> tuple[Any, ...]:
    """Return scale, labels, segments, positions … with one scale for all segments."""
    joined = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    try:
        found = to_int16(joined, uv)
    except ValueError as error:
        raise FormatError(f"expected traces of real numbers: {error}") from error
    edges = np.cumsum([0, *map(len, pieces)]).tolist()
    segments: list[Segment] = []
    end = 0
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        for at, rows in found.parts:
            low, high = max(at, first), min(at + len(rows), last)
            if low >= high:
                continue
            start = starts[number] + low - first
            cause = "" if not segments else "gap"
            if segments and start <= end:
                start, cause = end + AFTER_RESET, "reset"
            segments.append(Segment(start, rows[low - at : high - at], cause))
            end = start + high - low
    return found.uv_per_bit, labels, tuple(segments)
