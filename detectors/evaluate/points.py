"""Labelled points in file order: score each row before learning from it.

Data: ADBench ``.npz`` files (``X`` float[n, features], ``y`` 0 or 1) and the KDD layout (comma
separated, the last two columns label and difficulty, ``normal`` being the good one; ``.txt`` or
``.csv``, gzip or not), whose words become how common they are so far, as the models have it
(`detectors.online.features`). Row order decides such results: it is the file's. The warm-up
counts: rows before a detector has anything to say have score 0 and are in the figures.

The online isolation forest takes points as they are; half-space trees see them scaled to the
least and largest value of each feature so far, this row included, as river's MinMaxScaler does.
`ensemble` is what runs by default in the stream, where a point is all there is: of the default
models, the isolation forest judges points, the others judge entities, of which there are none.
"""

from __future__ import annotations

import gzip
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.published import OFFLINE_FOREST, RIVER_TREES
from detectors.models.half_space_trees import Forest
from detectors.online.isolation import IsolationTrees
from detectors.online.tail import Tail
from sentinel.errors import SettingsError

#: Seeds over whose results means and deviations are taken.
SEEDS = (0, 1, 2, 3, 4)
_TABLES = (".txt", ".csv", ".txt.gz", ".csv.gz")


class Points(NamedTuple):
    """A data set: its name, float32[n, features], and which rows are anomalies."""

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.bool_]


def read(path: Path) -> list[Points]:
    """Read one file, or every file of these forms below a folder.

    Raises
    ------
    SettingsError
        Nothing there is of these forms, or a file is damaged.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = [_points(file) for file in files if file.name.endswith((".npz", *_TABLES))]
    points = [each for each in found if each is not None]
    if not points:
        raise SettingsError(f"expected ADBench .npz or KDD rows at {path}, found none")
    return points


def _points(path: Path) -> Points | None:
    name = path.name.partition(".")[0].rpartition("_")[2]
    if path.suffix != ".npz":
        return _table(path)
    try:
        with np.load(path) as data:
            return Points(name, data["X"].astype(np.float32), data["y"] != 0)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(f"expected arrays X and y in {path}: {error}") from error


def _table(path: Path) -> Points | None:
    """Return the rows of a table whose last columns are label and difficulty, else None."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    rows = [line.split(",") for line in text.splitlines() if line.count(",") > 3]
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0][-1].strip().isdecimal():
        return None
    columns = [_column([row[place] for row in rows]) for place in range(len(rows[0]) - 2)]
    anomalies = np.array([row[-2] != "normal" for row in rows])
    return Points(path.name.partition(".")[0], np.stack(columns, axis=1), anomalies)


def _column(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return numbers as they are, words by how common each was among the rows before."""
    try:
        return np.array(texts, dtype=np.float32)
    except ValueError:
        seen: Counter[str] = Counter()
        out = np.zeros(len(texts), np.float32)
        for row, text in enumerate(texts):
            out[row] = math.log1p(seen[text]) / max(math.log1p(row), 1.0)
            seen[text] += 1
        return out


def scale(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each value's place between the least and largest of its feature so far."""
    low, high = np.minimum.accumulate(x, axis=0), np.maximum.accumulate(x, axis=0)
    width = high - low
    return np.where(width > 0, (x - low) / np.where(width > 0, width, 1), 0).astype(np.float32)


def evaluate(paths: Sequence[Path], seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Score every data set; return the report, of JSON values."""
    sets = [points for path in paths for points in read(path)]
    return {
        "benchmark": "anomaly",
        "order": "file order, score before learn, warm-up rows included",
        "seeds": list(seeds),
        "sets": {each.name: _evaluated(each, seeds) for each in sets},
    }


def _evaluated(points: Points, seeds: Sequence[int]) -> dict[str, Any]:
    from sklearn.ensemble import IsolationForest  # a second to import

    width = points.x.shape[1]
    scaled = scale(points.x)
    ensemble, online, trees, offline = [], [], [], []
    for seed in seeds:
        raw = IsolationTrees(width, seed=seed).score_learn(points.x).raw
        online.append(raw)
        ensemble.append(Tail().decades(raw)[0])
        trees.append(Forest(width, seed=seed).score_learn(scaled).raw)
        forest = IsolationForest(random_state=seed).fit(points.x)
        offline.append(-forest.score_samples(points.x))
    return {
        "rows": len(points.y),
        "features": width,
        "anomalies": int(points.y.sum()),
        "ensemble": _figures(points.y, ensemble),
        "isolation_forest": _figures(points.y, online),
        "half_space_trees": _figures(points.y, trees),
        "scikit_learn_offline": _figures(points.y, offline),
        "published": {
            "isolation_forest_offline_auroc": OFFLINE_FOREST.get(points.name),
            "river_half_space_trees_auroc_ap": RIVER_TREES.get(points.name),
        },
    }


def _figures(y: NDArray[np.bool_], runs: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Return mean and deviation over the seeds of AUROC, and mean average precision."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    auroc = [roc_auc_score(y, run) for run in runs]
    return {
        "auroc": round(float(np.mean(auroc)), 4),
        "auroc_deviation": round(float(np.std(auroc)), 4),
        "ap": round(float(np.mean([average_precision_score(y, run) for run in runs])), 4),
    }
