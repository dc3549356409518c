"""Robust random cut trees: their invariants, whatever is inserted, and what they find."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.models.random_cut_forest import RandomCutForest
from detectors.online.cut_forest import CutTrees


def check(trees: CutTrees, latest: np.ndarray) -> None:
    """Assert that every tree is a binary tree over exactly the latest points."""
    state = trees.arrays
    for tree in range(len(state["tree"])):
        node, box = state["node"][tree], state["box"][tree]
        found: list[tuple[float, ...]] = []
        waiting = [int(state["tree"][tree, 0])]
        nodes = 0
        while waiting:
            at = waiting.pop()
            nodes += 1
            left, right = node[at, 0], node[at, 1]
            if left < 0:
                found += [tuple(box[at, 0])] * int(node[at, 4])
                continue
            assert node[at, 4] == node[left, 4] + node[right, 4]
            assert node[left, 2] == node[right, 2] == at
            assert (box[at, 0] == np.minimum(box[left, 0], box[right, 0])).all()
            assert (box[at, 1] == np.maximum(box[left, 1], box[right, 1])).all()
            on = node[at, 3]
            assert box[left, 1, on] <= state["value"][tree, at] < box[right, 0, on]
            waiting += [int(left), int(right)]
        assert sorted(found) == sorted(map(tuple, latest))
        assert nodes + state["tree"][tree, 1] == len(node)


@given(seed=st.integers(0, 2**31), grid=st.integers(1, 9), count=st.integers(1, 90))
@settings(max_examples=40, deadline=None)
def test_trees_hold_the_latest_points_and_nothing_else(seed, grid, count) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, grid, (count, 3)) / grid).astype(np.float32)
    trees = CutTrees(3, trees=3, size=16, seed=seed)
    scores, apart = trees.score_learn(x)
    assert (scores >= 0).all()
    assert np.allclose(apart.sum(axis=1) / 3, scores, rtol=1e-4)
    check(trees, x[-16:])


def test_a_point_apart_displaces_all_others() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0.5, 0.01, (1000, 4)).astype(np.float32)
    x[700, 2] = 0.99
    scores, apart = CutTrees(4).score_learn(x)
    assert scores.argmax() == 700
    assert apart[700].argmax() == 2


def test_planted_oddities_stand_out(event_batch, company) -> None:
    batch, model = event_batch(company), RandomCutForest()
    scores = model.score_learn(batch, np.arange(len(batch)))
    assert scores[[900, 1100, 1400]].min() > np.quantile(scores, 0.98)
