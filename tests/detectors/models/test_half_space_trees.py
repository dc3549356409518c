"""Half-space trees: the same as river's, calibrated, and able to say why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import anomaly

from detectors.models.half_space_trees import COLD_WINDOWS, Forest, HalfSpaceTrees

DATASETS = ("23_mammography", "6_cardio")


def river_scores(points, trees: int, depth: int, window: int, seed: int) -> list[float]:
    model = anomaly.HalfSpaceTrees(n_trees=trees, height=depth, window_size=window, seed=seed)
    scores = []
    for point in points.astype(float):
        named = {f"f{place:02d}": value for place, value in enumerate(point)}
        scores.append(model.score_one(named))
        model.learn_one(named)
    return scores


@given(
    seed=st.integers(0, 2**31),
    features=st.integers(1, 16),
    trees=st.integers(1, 4),
    depth=st.integers(1, 8),
    window=st.integers(5, 60),
)
@settings(max_examples=15, deadline=None)
def test_equals_river(seed, features, trees, depth, window) -> None:
    points = np.random.default_rng(seed).beta(2, 5, (200, features)).astype(np.float32)
    found = Forest(features, trees, depth, window, seed).score_learn(points).raw
    assert found == pytest.approx(river_scores(points, trees, depth, window, seed), abs=1e-9)


@pytest.mark.parametrize("name", DATASETS)
def test_equals_river_on_real_data(data, name) -> None:
    file = data / "adbench" / f"{name}.npz"
    if not file.is_file():
        pytest.skip(f"no {file}: set SENTINEL_DATA")
    points = np.load(file)["X"][:4000].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = ((points - low) / np.where(high > low, high - low, 1)).astype(np.float32)
    forest = Forest(scaled.shape[1])
    found = np.concatenate([forest.score_learn(part).raw for part in np.array_split(scaled, 7)])
    assert found == pytest.approx(river_scores(scaled, 10, 8, 250, 42), abs=1e-9)


def test_quiet_until_it_knows_anything() -> None:
    points = np.random.default_rng(1).random((2000, 4), np.float32)
    cold = COLD_WINDOWS * 250
    anomaly_ = Forest(4).score_learn(points).anomaly
    assert not anomaly_[:cold].any()
    assert anomaly_[cold:].any()


def test_alert_rate_is_what_the_scale_says() -> None:
    points = np.random.default_rng(2).normal(0.5, 0.1, (60_000, 6)).clip(0, 1).astype(np.float32)
    scores = Forest(6).score_learn(points).anomaly[10_000:]
    for score, one_in in ((0.2, 10), (0.4, 100), (0.6, 1000)):
        # equal masses share a bin and count as equally rare: never more often than said
        assert 0.3 / one_in < (scores >= score).mean() < 1.6 / one_in


def test_rarer_never_scores_lower() -> None:
    points = np.random.default_rng(3).normal(0.5, 0.1, (20_000, 5)).clip(0, 1).astype(np.float32)
    forest = Forest(5)
    forest.score_learn(points[:19_900])
    state = {name: array.copy() for name, array in forest.arrays.items()}
    pairs = []
    for point in points[19_900:]:
        for name, array in state.items():
            forest.arrays[name][:] = array
        scored = forest.score_learn(point[None])
        pairs.append((scored.raw[0], scored.anomaly[0]))
    ordered = [score for _, score in sorted(pairs)]
    assert ordered == sorted(ordered)


def test_far_points_score_high_and_name_the_feature() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(0.5, 0.02, (30_000, 5)).clip(0, 1).astype(np.float32)
    odd = np.arange(20_000, 30_000, 1000)
    points[odd, 3] = 0.97
    scored = Forest(5).score_learn(points)
    assert scored.anomaly[odd].min() > 0.6
    assert (scored.weights[odd].argmax(axis=1) == 3).all()


def test_explanation_shows_the_strings_behind_the_hashes(event_batch, company) -> None:
    batch, model = event_batch(company), HalfSpaceTrees()
    scores = model.score_learn(batch, np.arange(len(batch)))
    said = model.explain(batch, 1100, float(scores[1100]))
    shown = {part["field"]: part["value"] for part in said["contributions"]}
    assert scores[1100] > 0.3
    assert said["baseline"]["scores"] > 250
    assert {"203.0.113.100", "ap-east-1", "Delete1100", "kali"} & set(shown.values())
