"""Matching detections with spikes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from bci.score import score

FS = 30_000.0
times = st.lists(st.integers(0, 400), max_size=12).map(lambda v: np.array(sorted(v), np.int64))


def spot(count: int, x: float = 0.0) -> np.ndarray:
    return np.tile([x, 0.0], (count, 1))


def test_a_detection_counts_once():
    found = score(np.array([100, 104]), spot(2), np.array([102]), spot(1), FS)

    assert (found.found, found.missed, found.false) == (1, 1, 0)


def test_too_far_away_is_not_found():
    found = score(np.array([100]), spot(1), np.array([100]), spot(1, 76.0), FS)

    assert (found.found, found.missed, found.false) == (0, 1, 1)


@given(times, times)
def test_is_never_better_than_the_best_matching_and_at_least_half(spikes, detections):
    found = score(spikes, spot(len(spikes)), detections, spot(len(detections)), FS)

    near = np.abs(spikes[:, None] - detections[None, :]) <= 12
    rows, columns = linear_sum_assignment(~near)
    best = int(near[rows, columns].sum())
    assert best / 2 <= found.found <= best
    assert found.found == (found.matched >= 0).sum()
    used = found.matched[found.matched >= 0]
    assert len(set(used.tolist())) == len(used)


def test_nothing_at_all_scores_zero():
    none = np.zeros(0, np.int64)

    assert score(none, spot(0), none, spot(0), FS).f1 == 0
