"""Lab Streaming Layer recordings (``.xdf``), through pyxdf.

A file holds streams of different rates; `var` names one, by name, type or id, where there are
several with samples. Time is what pyxdf makes of it, clocks synchronised and jitter removed;
where it sees a break or a reset of the clock, the samples are parted. Streams of markers become
marks. Values are taken as µV unless the channel says volts or millivolts.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.formats.optional import library
from bci.formats.recording import (
    BROKEN,
    MOST_LOADED,
    FormatError,
    Marks,
    Recording,
    placed,
)
from bci.formats.scaling import to_int16

SUFFIXES: Final = (".xdf", ".xdfz")
#: µV of the units that channels are described with.
UNITS: Final = {"v": 1e6, "volts": 1e6, "mv": 1e3, "millivolts": 1e3}
#: What pyxdf says of breaks without a reset of the clock, and where no clock was noted: the
#: breaks themselves are told.
PARTED: Final = "Segments and clock-segments differ"
#: Samples that a break lasts at least.
BREAK: Final = 1.5


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open an XDF file; raise FormatError where it is none, or `var` must choose a stream."""
    del fs
    pyxdf = library("pyxdf", f"to read {path.name}")
    if path.stat().st_size > MOST_LOADED:
        raise FormatError(f"{path.name}: expected at most {MOST_LOADED} bytes, found more")
    with path.open("rb") as file:
        magic = file.read(4)
    if path.suffix.lower() == ".xdf" and magic != b"XDF:":
        raise FormatError(f"{path.name}: expected XDF: at its start, found {magic!r}")
    try:
        with _heard() as said:
            streams, _ = pyxdf.load_xdf(str(path))
        stream = _choose(path, streams, var)
        recording = _recording(path, stream, streams)
        return replace(recording, notes=(*recording.notes, *said))
    except BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{path.name}: expected an XDF file, found: {reason}") from error


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Yield what pyxdf warns of meanwhile, which would go to the terminal."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = " ".join(record.getMessage().split())[:300]
            if not text.endswith(PARTED):
                said.append(text)

    logger, handler = logging.getLogger("pyxdf"), Handler()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _info(stream: dict[str, Any], name: str) -> str:
    values = stream["info"].get(name) or [""]
    return str(values[0] if isinstance(values, list) else values)


def _choose(path: Path, streams: list[dict[str, Any]], var: str) -> dict[str, Any]:
    """Return the stream with samples that is meant."""
    signals = [
        stream
        for stream in streams
        if isinstance(stream["time_series"], np.ndarray)
        and len(stream["time_series"])
        and float(_info(stream, "nominal_srate") or 0) > 0
    ]
    if var:
        signals = [
            stream
            for stream in signals
            if var in {_info(stream, name) for name in ("name", "type", "stream_id")}
        ]
    if len(signals) == 1:
        return signals[0]
    shown = ", ".join(
        f"{_info(s, 'name')!r} ({_info(s, 'type')}, {float(_info(s, 'nominal_srate') or 0):g} Hz, "
        f"{len(s['time_stamps'])} samples)"
        for s in streams
    )
    wanted = f"one stream {var!r}" if var else "one stream of samples"
    raise FormatError(
        f"{path.name}: expected {wanted}, found {len(signals)} of: {shown or 'none'}; "
        "name one with --var"
    )


def _recording(path: Path, stream: dict[str, Any], streams: list[dict[str, Any]]) -> Recording:
    """Make a recording of a stream, parted where time jumps."""
    fs = float(_info(stream, "nominal_srate"))
    time = np.asarray(stream["time_stamps"], np.float64)
    labels, uv = _channels(stream)
    found = to_int16(stream["time_series"], uv)
    count = np.round((time - time[0]) * fs)
    if not np.isfinite(time).all() or np.abs(count).max() > 1 << 53:
        raise FormatError(f"{path.name}: expected time stamps in s, found another")
    rate = _rate(stream, time, fs)
    parts = []
    for first, rows in found.parts:
        inside = time[first : first + len(rows)]
        jumps = np.abs(np.diff(inside) * rate - 1) > BREAK
        cuts = [0, *(np.flatnonzero(jumps) + 1).tolist(), len(rows)]
        for a, b in itertools.pairwise(cuts):
            at = round((inside[a] - time[0]) * rate)
            parts.append((at, rows[a:b]))
    return Recording(
        rate,
        found.uv_per_bit,
        labels,
        placed(parts, 0, Fraction(1)),
        marks=_marks(streams, float(time[0]), rate),
        notes=found.notes,
    )


def _rate(stream: dict[str, Any], time: NDArray[np.float64], nominal: float) -> float:
    """Return the rate that the stamps show, Hz; the nominal one where they show another."""
    steps = np.diff(time)
    steps = steps[steps > 0]
    found = float(1 / np.median(steps)) if len(steps) else nominal
    return nominal if abs(found / nominal - 1) > 0.2 or abs(found / nominal - 1) < 1e-6 else found


def _channels(stream: dict[str, Any]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return labels and µV of 1 of every channel."""
    count = stream["time_series"].shape[1]
    labels = [f"chan{number}" for number in range(1, count + 1)]
    uv = np.ones(count)
    try:
        described = stream["info"]["desc"][0]["channels"][0]["channel"]
    except (KeyError, IndexError, TypeError):
        described = []
    for number, channel in enumerate(described[:count]):
        if isinstance(channel, dict):
            labels[number] = str((channel.get("label") or [labels[number]])[0])
            unit = str((channel.get("unit") or [""])[0]).lower()
            uv[number] = UNITS.get(unit, 1.0)
    return tuple(labels), uv


def _marks(streams: list[dict[str, Any]], zero: float, fs: float) -> Marks | None:
    """Return the texts of all streams of markers, in order of time."""
    found = [
        (round((float(at) - zero) * fs), "marker", 0, " ".join(map(str, texts)))
        for stream in streams
        if isinstance(stream["time_series"], list)
        for at, texts in zip(stream["time_stamps"], stream["time_series"], strict=False)
        if np.isfinite(at)
    ]
    if not found:
        return None
    found.sort(key=lambda mark: mark[0])
    sample, kind, value, text = zip(*found, strict=True)
    return Marks(np.array(sample, np.int64), kind, np.array(value, np.int64), text)
