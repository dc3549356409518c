"""The online isolation forest: scikit-learn's on the same points, and what it tells people."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest as Offline
from sklearn.metrics import roc_auc_score

from detectors.models.isolation_forest import IsolationForest
from detectors.online.isolation import IsolationTrees


def points(seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return two clusters with 2 % of points strewn around them, and which those are."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (count, 6)) + 6 * rng.integers(0, 2, (count, 1))
    odd = rng.random(count) < 0.02
    x[odd] = rng.uniform(-8, 14, (odd.sum(), 6))
    return x.astype(np.float32), odd


def test_does_as_well_as_scikit_learn_that_sees_all_points_first() -> None:
    x, odd = points(1)
    offline = roc_auc_score(odd, -Offline(random_state=0).fit(x).score_samples(x))
    online = roc_auc_score(odd, IsolationTrees(6).score_learn(x).raw)
    assert online > offline - 0.02


def test_scores_equal_scikit_learns_where_the_sample_is_the_same() -> None:
    """Mean depth over many trees of the same 256 points agrees, whatever the random cuts."""
    x, _ = points(2, 256)
    ours = IsolationTrees(6, trees=300, reservoir=256)
    ours.score_learn(x)
    ours._memory = 1 << 62  # freeze: from here on no point replaces another
    found = ours.score_learn(x[:60]).raw
    expected = (
        -Offline(n_estimators=300, max_samples=256, random_state=0).fit(x).score_samples(x[:60])
    )
    assert np.abs(found - expected).max() < 0.06
    assert np.corrcoef(found, expected)[0, 1] > 0.97


def test_features_far_out_are_what_the_explanation_names() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(0.5, 0.02, (20_000, 5)).astype(np.float32)
    odd = np.arange(10_000, 20_000, 1000)
    x[odd, 1:4:2] = 0.97
    found = IsolationTrees(5).score_learn(x)
    told = odd[found.decades[odd] >= 1.5]
    assert len(told) >= 7
    named = np.sort(found.weights[told].argsort(axis=1)[:, -2:])
    assert (named == [1, 3]).all(axis=1).mean() >= 0.9, "random cuts may name another, rarely"


def test_planted_oddities_are_the_highest_of_the_day(event_batch, company) -> None:
    batch, model = event_batch(company), IsolationForest()
    scores = model.score_learn(batch, np.arange(len(batch)))
    planted = [900, 1100, 1400, 1402]
    assert scores[planted].min() > np.quantile(scores, 0.98)
    said = model.explain(batch, 1402, float(scores[1402]))
    shown = {part["value"] for part in said["contributions"]}
    assert {"203.0.113.152", "ap-east-1", "Delete1402", "kali"} & shown


def test_a_distribution_that_moved_is_learnt() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.normal(0, 1, (3000, 4)), rng.normal(9, 1, (3000, 4))
    trees = IsolationTrees(4, memory=2000)
    raw = trees.score_learn(np.concatenate([before, after]).astype(np.float32)).raw
    assert raw[3000:3020].mean() > 0.6
    assert raw[5900:].mean() < 0.55
