"""Rare combinations: each value known, the pair not."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.models.rare_combination import RareCombination

HOME = {"src_ip": "10.0.0.1", "operation": "Read"}
WORK = {"src_ip": "10.0.0.2", "operation": "Deploy"}


def scores(batch) -> list[float]:
    return RareCombination().score_learn(batch, np.arange(len(batch))).tolist()


def test_known_values_in_a_new_combination(event_batch) -> None:
    crossed = HOME | {"operation": "Deploy"}
    found = scores(event_batch([HOME, WORK] * 300 + [crossed, crossed]))
    # 600 events, two pairs seen often, none once
    assert found[-2] == pytest.approx(np.log10(601) / 5)
    assert found[-1] == 0
    assert max(found[:-2]) == 0


def test_a_new_value_is_left_to_the_other_model(event_batch) -> None:
    assert scores(event_batch([HOME, WORK] * 300 + [HOME | {"operation": "Never"}]))[-1] == 0


def test_who_combines_everything_is_not_surprising(event_batch) -> None:
    rng = np.random.default_rng(1)
    events = [
        {"src_ip": f"10.0.0.{rng.integers(40)}", "operation": f"Op{rng.integers(40)}"}
        for _ in range(600)
    ]
    assert max(scores(event_batch(events))[300:]) < 0.1


def test_the_explanation_names_the_pair(event_batch) -> None:
    batch = event_batch([HOME, WORK] * 600 + [HOME | {"operation": "Deploy"}])
    model = RareCombination()
    score = model.score_learn(batch, np.arange(len(batch)))[-1]
    said = model.explain(batch, 1200, float(score))
    assert said["contributions"][0] == {
        "field": "operation + src_ip",
        "value": "Deploy + 10.0.0.1",
        "weight": 1.0,
    }
    assert said["cold_start"] is False
