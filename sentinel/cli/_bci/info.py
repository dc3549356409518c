"""What a recording holds, for people and scripts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bci.block import check_rate
from bci.formats import FormatError, Recording
from bci.settings import EngineSettings, spikes_from
from sentinel.errors import SchemaError

#: Breaks and labels that are shown one by one.
SHOWN = 20
#: Sampling rate, Hz, from which spikes are looked for.
SPIKES_FROM = spikes_from(EngineSettings())


def row(path: Path, recording: Recording) -> dict[str, Any]:
    """Return a recording as one object: rate, channels, segments, events, notes."""
    spikes, marks = recording.spikes, recording.marks
    note = limits(recording.fs) if recording.segments else ""
    return {
        "recording": str(path),
        "fs": recording.fs,
        "channels": len(recording.labels),
        "labels": list(recording.labels[:SHOWN]),
        "uv_per_bit": [round(float(uv), 9) for uv in np.unique(recording.uv_per_bit)],
        "seconds": round(recording.seconds, 6),
        "segments": [
            {"start": segment.start, "samples": len(segment.samples), "cause": segment.cause}
            for segment in recording.segments[:SHOWN]
        ],
        "breaks": dict(Counter(s.cause for s in recording.segments if s.cause)),
        "positions": recording.positions is not None,
        "spikes": len(spikes.sample) if spikes is not None else 0,
        "marks": dict(Counter(marks.kind)) if marks is not None else {},
        "notes": [*recording.notes, *([note] if note else [])],
    }


def limits(fs: float) -> str:
    """Say what is not looked for at a sampling rate, Hz: nothing, spikes, or all."""
    try:
        check_rate(fs)
    except SchemaError as error:
        return f"not replayed: {error}"
    return slow(fs)


def slow(fs: float) -> str:
    """Say what is not looked for at a sampling rate, Hz, that is too low for it; else nothing."""
    if fs >= SPIKES_FROM:
        return ""
    return (
        f"at {fs:g} Hz there is no room for spikes (from {SPIKES_FROM:.0f} Hz on): only band "
        "power, health, artefacts, gaps and seizure-like rhythms"
    )


def lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the object of `row` as lines of a table."""
    labels = ", ".join(found["labels"])
    more = found["channels"] - len(found["labels"])
    breaks = ", ".join(f"{count} {cause}" for cause, count in found["breaks"].items())
    marks = ", ".join(f"{count} {kind}" for kind, count in found["marks"].items())
    scales = found["uv_per_bit"]
    return [
        ("rate", f"{found['fs']:g} Hz"),
        ("channels", f"{found['channels']}: {labels}{f' and {more} more' if more > 0 else ''}"),
        ("µV a bit", " to ".join(f"{uv:g}" for uv in sorted({*scales[:1], *scales[-1:]}))),
        ("length", f"{found['seconds']:g} s"),
        ("breaks", breaks or "none"),
        ("positions", "yes" if found["positions"] else "no"),
        ("spikes", str(found["spikes"])),
        ("marks", marks or "none"),
        *(("note", note) for note in found["notes"]),
    ]


def sampled(path: Path, recording: Recording) -> Recording:
    """Return a recording that can be worked on; see `slow`.

    Raises
    ------
    FormatError
        It holds events alone, or its sampling rate is too low or too high.
    """
    if recording.segments:
        try:
            check_rate(recording.fs)
        except SchemaError as error:
            raise FormatError(f"{path.name}: {error}") from None
        return recording
    found = row(path, recording)
    beside = sorted(other.name for other in path.parent.glob(f"{path.stem}.ns?"))
    raise FormatError(
        f"{path.name}: expected samples, found none but {found['spikes']} spikes and "
        f"{sum(found['marks'].values())} marks of the device; replay "
        + (f"{beside[-1]} beside it" if beside else "the .ns5 or .ncs of the same session")
    )
