"""Neuralynx: signals (``.ncs``) and event files (``.nev``).

Source: Neuralynx, "Neuralynx Data File Formats" (2014). A header of 16 KiB of text, then
records of one size: 512 samples with a time in µs, or an event. Records that do not follow one
another in time, and ones with fewer valid samples, part the signal. A ``.ncs`` has one channel;
`bci.formats.layouts` joins those of a session. neo is the oracle of the tests.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.formats.recording import FormatError, Marks, Recording, Segment, c_text, placed

SUFFIXES: Final = (".ncs",)
#: How files of Neuralynx begin.
MAGIC: Final = b"######## Neuralynx"
HEADER: Final = 16_384
SAMPLES: Final = 512
RECORD: Final = np.dtype(
    [
        ("time", "<u8"),
        ("channel", "<u4"),
        ("fs", "<u4"),
        ("valid", "<u4"),
        ("samples", "<i2", (SAMPLES,)),
    ]
)
EVENT: Final = np.dtype(
    [
        ("reserved", "<i2"),
        ("system", "<i2"),
        ("size", "<i2"),
        ("time", "<u8"),
        ("id", "<i2"),
        ("ttl", "<u2"),
        ("unused", "V6"),
        ("extra", "<i4", (8,)),
        ("text", "S128"),
    ]
)
#: Events are counted as if sampled at this rate: their clock's.
EVENTS_HZ: Final = 1e6
#: Samples by which a record may be late or early before it counts as a gap.
TOLERANCE: Final = 1.5
LATEST: Final = 1 << 60
VALUE: Final = re.compile(r"^-(\w+)[ \t]+(.*?)\s*$", re.M)


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open a signal; raise FormatError where it is none, or has no rate or scale."""
    del var, fs
    header, size = _header(path), path.stat().st_size
    count, rest = divmod(size - HEADER, RECORD.itemsize)
    notes = (f"{rest} bytes at the end are no whole record: cut off",) if rest else ()
    records: NDArray[Any] = (
        np.memmap(path, RECORD, "r", HEADER, count) if count > 0 else np.zeros(0, RECORD)
    )
    rate = _rate(path, header, records)
    scale = _number(path, header, "ADBitVolts", 1e-12, 1.0) * 1e6
    if header.get("InputInverted", "").lower() == "true":
        scale = -scale
    label = header.get("AcqEntName") or path.stem
    segments = _segments(path, records, rate)
    return Recording(rate, np.array([scale]), (label,), segments, notes=notes)


def read_events(path: Path) -> Recording:
    """Open an event file: marks alone, counted in µs from the first."""
    _header(path)
    count, rest = divmod(path.stat().st_size - HEADER, EVENT.itemsize)
    notes = (f"{rest} bytes at the end are no whole event: cut off",) if rest else ()
    events = np.fromfile(path, EVENT, max(count, 0), offset=HEADER)
    if len(events) and int(events["time"].max()) > LATEST:
        raise FormatError(f"{path.name}: expected times below 2^60 µs, found a later one")
    order = np.argsort(events["time"], kind="stable")
    events = events[order]
    marks = Marks(
        events["time"].astype(np.int64),
        ("digital",) * len(events),
        events["ttl"].astype(np.int64),
        tuple(c_text(text) for text in events["text"].tolist()),
    )
    return Recording(EVENTS_HZ, np.zeros(0), (), (), marks=marks, notes=notes)


def _header(path: Path) -> dict[str, str]:
    """Return the fields of the text header."""
    with path.open("rb") as file:
        data = file.read(HEADER)
    if not data.startswith(MAGIC) or len(data) < HEADER:
        raise FormatError(
            f"{path.name}: expected {HEADER} bytes of header that begin with {MAGIC.decode()}, "
            f"found {len(data)} that begin with {data[:18]!r}"
        )
    text = data.rstrip(b"\0").decode("latin-1").replace("\r", "")
    return {match[1]: match[2].strip('"') for match in VALUE.finditer(text)}


def _number(path: Path, header: dict[str, str], name: str, low: float, high: float) -> float:
    text = header.get(name, "").split(" ")[0]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise FormatError(
            f"{path.name}: expected {name} from {low:g} to {high:g} in the header, found {text!r}"
        )
    return value


def _rate(path: Path, header: dict[str, str], records: NDArray[Any]) -> float:
    """Return the sampling rate; raise FormatError where records differ."""
    rate = _number(path, header, "SamplingFrequency", 1.0, 1e6)
    for stated in np.unique(records["fs"]).tolist():
        # records keep whole Hz
        if abs(stated - rate) > 1:
            raise FormatError(
                f"{path.name}: expected records of {rate:g} Hz as the header says, found "
                f"{stated} Hz: two rates in one file; split it"
            )
    return rate


def _segments(path: Path, records: NDArray[Any], rate: float) -> tuple[Segment, ...]:
    """Return runs of records that follow one another, valid samples alone."""
    if not len(records):
        return ()
    valid = records["valid"].astype(np.int64)
    wrong = (valid > SAMPLES) | (records["time"] > LATEST)
    if wrong.any():
        where = HEADER + int(np.argmax(wrong)) * RECORD.itemsize
        raise FormatError(
            f"{path.name}: expected at most {SAMPLES} valid samples and a time below 2^60 µs in "
            f"the record at byte {where}, found another"
        )
    time = records["time"].astype(np.int64)
    period = _period(time, valid, rate)
    step = np.diff(time) / period
    parted = (np.abs(step - SAMPLES) > TOLERANCE) | (valid[:-1] < SAMPLES)
    bounds = np.concatenate(([0], np.flatnonzero(parted) + 1, [len(records)]))
    parts = []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = records["samples"][first:last].reshape(-1, 1)
        parts.append((int(time[first]), rows[: len(rows) - SAMPLES + int(valid[last - 1])]))
    return placed(parts, 0, Fraction(period).limit_denominator(1_000_000))


def _period(time: NDArray[np.int64], valid: NDArray[np.int64], rate: float) -> float:
    """Return µs a sample: what the clock says, if it is near what the header says."""
    steps = np.diff(time)[valid[:-1] == SAMPLES]
    found = float(np.median(steps)) / SAMPLES if len(steps) else 0.0
    return found if abs(found * rate / 1e6 - 1) < 0.01 else 1e6 / rate
