"""Folders that hold a recording or several, and what describes them.

BIDS, as on OpenNeuro (BIDS 1.10, iEEG; BEP 032 for electrophysiology of animals)
    ``dataset_description.json`` at the top; below ``sub-*/[ses-*/]`` folders ``ieeg``, ``eeg``,
    ``ephys`` or ``icephys`` with ``*_ieeg.nwb`` and the like. Beside a recording lie, or are
    inherited from a folder above, ``*_ieeg.json`` (``SamplingFrequency``), ``*_channels.tsv``
    (``name``, ``status``, ``sampling_frequency``) and ``*_electrodes.tsv`` with
    ``*_coordsystem.json`` (positions, brought to µm).
GigaScience (GigaDB)
    ``readme_*.txt`` at the top, recordings anywhere below.
Neuralynx
    ``*.ncs`` of one session, a channel each; those of one rate are joined, and parted where
    any of them is.
Any other
    Recordings anywhere below.

`var` names the recording: any part of its path below the folder; for Neuralynx channels by a
prefix, or by their rate, such as ``32000``.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci import formats
from bci.formats.recording import FormatError, Recording, Segment

#: Folders and files that are looked at, and how deep.
MOST_FILES, DEPTH = 10_000, 8
BIDS: Final = "dataset_description.json"
KINDS: Final = ("ieeg", "eeg", "ephys", "icephys", "ecephys")
#: µm of the units of a coordinate system.
UNITS: Final = {"m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "µm": 1.0}
MOST_TEXT: Final = 16 << 20


def read(folder: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open the one recording in a folder that `var` names.

    Raises
    ------
    FormatError
        None, or several; the message lists them. Or what describes it contradicts it.
    """
    bids = (folder / BIDS).is_file()
    paths = [path for path in _files(folder) if not bids or path.parent.name in KINDS]
    signals = [path for path in paths if path.suffix.lower() == ".ncs"]
    if signals and all(path.suffix.lower() in {".ncs", ".nev"} for path in paths):
        return _session(folder, signals, var)
    chosen = [path for path in paths if var in path.relative_to(folder).as_posix()]
    if len(chosen) != 1:
        shown = ", ".join(path.relative_to(folder).as_posix() for path in paths[:20])
        raise FormatError(
            f"{folder.name}: expected one recording{f' with {var} in its path' if var else ''}, "
            f"found {len(chosen)} of: {shown or 'none in a format that is read'}"
            f"{' …' if len(paths) > 20 else ''}; name one with --var"
        )
    recording = formats.open(chosen[0], "", fs or _stated_rate(chosen[0], folder) if bids else fs)
    return _described(chosen[0], folder, recording) if bids else recording


def _files(folder: Path) -> list[Path]:
    """Return the recordings below a folder, sorted; links are not followed."""
    known, found, waiting = set(formats.suffixes()), list[Path](), [(folder, 0)]
    looked = 0
    while waiting:
        place, depth = waiting.pop()
        for path in sorted(place.iterdir()):
            looked += 1
            if looked > MOST_FILES:
                raise FormatError(
                    f"{folder.name}: expected at most {MOST_FILES} files below it, found more; "
                    "name a folder further down"
                )
            if path.is_symlink():
                continue
            if path.is_dir() and depth < DEPTH:
                waiting.append((path, depth + 1))
            elif path.suffix.lower() in known:
                found.append(path)
    return sorted(found)


def _session(folder: Path, paths: list[Path], var: str) -> Recording:
    """Join the channels of a Neuralynx session that have one rate."""
    found = {path.stem: formats.open(path) for path in paths}
    chosen = {
        name: recording
        for name, recording in found.items()
        if name.startswith(var) or f"{recording.fs:g}" == var
    }
    rates = sorted({recording.fs for recording in chosen.values()})
    if len(rates) != 1:
        shown = ", ".join(f"{name} ({recording.fs:g} Hz)" for name, recording in found.items())
        raise FormatError(
            f"{folder.name}: expected channels of one rate, found {len(rates)} rates in: {shown}; "
            "name a rate or the beginning of names with --var"
        )
    parts = list(chosen.values())
    return Recording(
        rates[0],
        np.concatenate([part.uv_per_bit for part in parts]),
        tuple(label for part in parts for label in part.labels),
        _together(parts),
        notes=tuple(f"{part.labels[0]}: {note}" for part in parts for note in part.notes),
    )


def _together(parts: list[Recording]) -> tuple[Segment, ...]:
    """Return what all channels have, parted where any of them is."""
    edges = sorted(
        {
            edge
            for part in parts
            for segment in part.segments
            for edge in (segment.start, segment.start + len(segment.samples))
        }
    )
    found: list[Segment] = []
    for first, last in itertools.pairwise(edges):
        columns = [column for part in parts if (column := _between(part, first, last)) is not None]
        if len(columns) == len(parts):
            begun = {segment.start for part in parts for segment in part.segments}
            joins = found and found[-1].start + len(found[-1].samples) == first
            cause = "" if not found or (joins and first not in begun) else "gap"
            found.append(Segment(first, np.hstack(columns), cause))
    return tuple(found)


def _between(part: Recording, first: int, last: int) -> NDArray[np.int16] | None:
    """Return the rows of a recording from `first` to before `last`, None where not all exist."""
    for segment in part.segments:
        if segment.start <= first and last <= segment.start + len(segment.samples):
            return segment.samples[first - segment.start : last - segment.start]
    return None


def _beside(path: Path, top: Path, ending: str) -> Path | None:
    """Return the nearest file that describes a recording: its own, or one it inherits.

    BIDS' principle of inheritance: a file describes those below whose names have all of its
    parts.
    """
    parts = set(path.stem.split("_")[:-1])
    place = path.parent
    while True:
        candidates = [
            found
            for found in sorted(place.glob(f"*{ending}"))
            if set(found.name.removesuffix(ending).split("_")) - {""} <= parts
        ]
        if candidates:
            return max(candidates, key=lambda found: len(found.name))
        if place == top or place == place.parent:
            return None
        place = place.parent


def _json(path: Path | None) -> dict[str, Any]:
    """Return what a sidecar says; nothing where there is none."""
    if path is None:
        return {}
    try:
        found = json.loads(_text(path))
    except ValueError as error:
        raise FormatError(f"{path.name}: expected JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    if path.stat().st_size > MOST_TEXT:
        raise FormatError(f"{path.name}: expected at most {MOST_TEXT} bytes, found more")
    return path.read_bytes().decode("utf-8-sig", "replace")


def _table(path: Path | None) -> dict[str, dict[str, str]]:
    """Return the rows of a ``.tsv`` by name."""
    if path is None:
        return {}
    lines = [line.split("\t") for line in _text(path).splitlines() if line.strip()]
    if not lines or "name" not in lines[0]:
        raise FormatError(f"{path.name}: expected a column name, found {lines[:1]!r:.200}")
    rows = [dict(zip(lines[0], line, strict=False)) for line in lines[1:]]
    return {row["name"]: row for row in rows if "name" in row}


def _stated_rate(path: Path, top: Path) -> float:
    """Return the rate that the sidecar states, Hz; 0 for none."""
    kind = path.stem.rpartition("_")[2]
    stated = _json(_beside(path, top, f"_{kind}.json")).get("SamplingFrequency", 0)
    return float(stated) if isinstance(stated, int | float) and 0 < stated < 1e9 else 0.0


def _described(path: Path, top: Path, recording: Recording) -> Recording:
    """Add names and positions, and check that rates agree."""
    stated = _stated_rate(path, top)
    channels = _table(_beside(path, top, "_channels.tsv"))
    rates = {row["sampling_frequency"] for row in channels.values() if "sampling_frequency" in row}
    for rate in [stated, *(_float(text) for text in rates)]:
        if rate and abs(rate - recording.fs) > 1e-3 * recording.fs:
            raise FormatError(
                f"{path.name}: expected {recording.fs:g} Hz as the file has, its sidecar says "
                f"{rate:g} Hz: correct the sidecar, or split channels of several rates"
            )
    notes = list(recording.notes)
    labels = recording.labels
    if len(channels) == len(labels):
        labels = tuple(channels)
    elif channels:
        notes.append(f"channels.tsv has {len(channels)} rows for {len(labels)} channels: not used")
    bad = [name for name, row in channels.items() if row.get("status", "").strip() == "bad"]
    if bad:
        notes.append(f"bad channels: {', '.join(bad)}")
    positions = _positions(path, top, labels)
    positions = recording.positions if positions is None else positions
    return replace(recording, labels=labels, positions=positions, notes=tuple(notes))


def _positions(path: Path, top: Path, labels: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return where the electrodes are, µm, if all of them are somewhere."""
    electrodes = _table(_beside(path, top, "_electrodes.tsv"))
    system = _json(_beside(path, top, "_coordsystem.json"))
    units = {str(value) for key, value in system.items() if key.endswith("CoordinateUnits")}
    factor = UNITS.get(next(iter(units), "mm")) if len(units) < 2 else None
    if factor is None or not set(labels) <= set(electrodes):
        return None
    places = [[_float(electrodes[name].get(axis, "")) for axis in "xy"] for name in labels]
    found = np.array(places, np.float64).reshape(-1, 2) * factor
    return found if np.isfinite(found).all() else None


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
