"""Train on the earlier events, measure on the later ones, and compare with the live model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.batch_models.kinds import CONTAMINATION, Trained
from detectors.online.features import COUNT, NAMES, Features
from schemas.batch import EventBatch

#: Share of the events, the latest ones, that a model is measured on and not trained on.
HELD_OUT: Final = 0.2
#: Share of the held-out events compared as "the top" of two models.
TOP: Final = 0.01


class Points(NamedTuple):
    """Events as points: float32[n, features], and int64[n] times in ms since the epoch."""

    x: NDArray[np.float32]
    time: NDArray[np.int64]


class Version(NamedTuple):
    """A trained model and what is known of it, of JSON values."""

    model: Trained
    about: dict[str, Any]


def points_of(batches: Iterable[EventBatch]) -> Points:
    """Turn events, in order, into points; rates and commonness grow from nothing."""
    features, parts, times = Features(), [np.empty((0, COUNT), np.float32)], []
    for batch in batches:
        parts.append(features.matrix(batch, np.arange(len(batch))))
        times.append(batch.time.astype(np.int64))
    return Points(np.concatenate(parts), np.concatenate([np.empty(0, np.int64), *times]))


def train(
    points: Points,
    kind: str = "isolation_forest",
    contamination: float = CONTAMINATION,
    seed: int = 42,
    live: Trained | None = None,
) -> Version:
    """Train a model on the earlier events; measure it on the later ones, beside the live one.

    Raises
    ------
    SettingsError
        See `Trained.learn`.
    """
    cut = len(points.x) - round(HELD_OUT * len(points.x))
    model = Trained.learn(kind, points.x[:cut], contamination, seed)
    return Version(
        model,
        {
            "kind": kind,
            "events": len(points.x),
            "from": int(points.time.min()),
            "to": int(points.time.max()),
            "parameters": {"contamination": contamination, "seed": seed, "features": list(NAMES)},
            "metrics": measure(model, points.x[cut:]),
            "compared_with_live": compare(model, live, points.x[cut:]),
        },
    )


def measure(model: Trained, held_out: NDArray[np.float32]) -> dict[str, float]:
    """Return what a model says of events it has not seen: how many are flagged, how odd."""
    found = model.score(held_out)
    if not len(held_out):
        return {"held_out": 0}
    return {
        "held_out": len(held_out),
        "flagged_share": round(float(found.flagged.mean()), 4),
        "anomaly_median": round(float(np.median(found.anomaly)), 4),
        "anomaly_p99": round(float(np.quantile(found.anomaly, 0.99)), 4),
    }


def compare(
    model: Trained, live: Trained | None, held_out: NDArray[np.float32]
) -> dict[str, float] | None:
    """Return how alike a model and the live one judge the same events; None where none is live."""
    if live is None or len(held_out) < 2:
        return None
    from scipy.stats import spearmanr

    one, other = model.score(held_out), live.score(held_out)
    top = max(round(TOP * len(held_out)), 1)
    tops = [set(np.argsort(-each.anomaly, kind="stable")[:top].tolist()) for each in (one, other)]
    rank = spearmanr(one.anomaly, other.anomaly).statistic if np.ptp(one.anomaly) else np.nan
    return {
        "rank_correlation": round(float(np.nan_to_num(rank)), 4),
        "top_in_common": round(len(tops[0] & tops[1]) / top, 4),
        "flagged_share": round(float(one.flagged.mean()), 4),
        "flagged_share_live": round(float(other.flagged.mean()), 4),
    }
