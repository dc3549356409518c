"""The Numenta Anomaly Benchmark with `detectors.online.series`, on a folder of its layout.

One untuned detector for all series: its constants are in its module, the only thing read from
a series is how many rows make a day, from the median step of its probation rows. A threshold is
chosen in two ways, both reported: as NAB does, the best for all series at once; and **split**,
the best for every other series (by name) being applied to the rest, and the other way round, so
that no series is scored with a threshold chosen on its labels.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate import nab_score
from detectors.evaluate.nab_score import PROFILES, Profile
from detectors.evaluate.published import NAB
from detectors.online.series import LONGEST_DAY, Series
from sentinel.errors import SettingsError

LABELS = "labels/combined_windows.json"
_DAY_S = 86_400.0


class Labelled(NamedTuple):
    """One series of the corpus: its name, times (s since the epoch), values, and windows."""

    name: str
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    windows: list[tuple[int, int]]


def read(folder: Path) -> list[Labelled]:
    """Read a corpus: ``data/**/*.csv`` and ``labels/combined_windows.json``.

    Raises
    ------
    SettingsError
        The folder is not of that layout, or a file cannot be read.
    """
    if not (folder / LABELS).is_file():
        raise SettingsError(f"expected a NAB corpus with {LABELS} in {folder}, found none")
    windows = json.loads((folder / LABELS).read_bytes())
    found = []
    for path in sorted((folder / "data").rglob("*.csv")):
        name = path.relative_to(folder / "data").as_posix()
        if name in windows:
            found.append(_labelled(path, name, windows[name]))
    if not found:
        raise SettingsError(f"expected labelled series in {folder / 'data'}, found none")
    return found


def _labelled(path: Path, name: str, windows: list[list[str]]) -> Labelled:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    try:
        stamps = [datetime.fromisoformat(row[0]).replace(tzinfo=UTC).timestamp() for row in rows]
        values = np.array([float(row[1]) for row in rows])
        limits = [
            tuple(datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp() for each in pair)
            for pair in windows
        ]
    except (ValueError, IndexError) as error:
        raise SettingsError(f"expected rows `timestamp,value` in {path}: {error}") from error
    times = np.array(stamps)
    places = [
        (int(np.searchsorted(times, start)), int(np.searchsorted(times, end, "right")) - 1)
        for start, end in limits
    ]
    return Labelled(name, times, values, places)


def scored(series: Labelled) -> nab_score.Series:
    """Score a series as it would have come."""
    start = series.times[: max(nab_score.probation(len(series.times)), 3)]
    step = float(np.median(np.diff(start))) if len(start) > 1 else 300.0
    day = round(_DAY_S / step) if step > 0 else LONGEST_DAY
    scores, _ = Series(day).score_learn(series.values)
    return nab_score.Series(scores, series.windows)


def evaluate(folder: Path) -> dict[str, Any]:
    """Score every series; return the report, of JSON values."""
    corpus = read(folder)
    found = [scored(each) for each in corpus]
    return {
        "benchmark": "nab",
        "series": len(corpus),
        "windows": sum(len(each.windows) for each in found),
        "detector": "detectors.online.series, one setting for all, no seeds",
        "profiles": {
            profile.name: _profile(found, profile, place) for place, profile in enumerate(PROFILES)
        },
        "published": "NAB 1.1, all 58 series, thresholds optimised on the labels reported on",
    }


def _profile(found: Sequence[nab_score.Series], profile: Profile, place: int) -> dict[str, Any]:
    best = nab_score.optimum(found, profile)
    parts = found[0::2], found[1::2]
    chosen = [nab_score.optimum(part, profile).threshold for part in parts]
    raws = [
        nab_score.score_at(part, profile, threshold)
        for part, threshold in zip(parts, reversed(chosen), strict=True)
    ]
    windows = [sum(len(each.windows) for each in part) for part in parts]
    total = sum(windows) or 1
    return {
        "score": round(best.normalised, 2),
        "threshold": round(best.threshold, 4),
        "split": {
            "score": round(sum(r * w for r, w in zip(raws, windows, strict=True)) / total, 2),
            "halves": [round(raw, 2) for raw in raws],
            "thresholds": [round(each, 4) for each in reversed(chosen)],
        },
        "published": {name: scores[place] for name, scores in NAB.items()},
    }
