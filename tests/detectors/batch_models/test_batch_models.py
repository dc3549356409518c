"""Batch models: what they find, what is known of a version, and going back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.batch_models.history import Step, former, live, spans
from detectors.batch_models.kinds import KINDS, Trained
from detectors.batch_models.train import Points, points_of, train
from detectors.online.features import COUNT
from sentinel.errors import SettingsError


@pytest.fixture(scope="module")
def usual() -> Points:
    rng = np.random.default_rng(1)
    x = np.clip(rng.normal(0.5, 0.03, (1200, COUNT)), 0, 1).astype(np.float32)
    return Points(x, 1_767_571_200_000 + 1000 * np.arange(1200))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_tells_odd_from_usual(usual, kind) -> None:
    model = Trained.learn(kind, usual.x[:1000])
    odd = np.random.default_rng(2).uniform(0, 1, (30, COUNT)).astype(np.float32)
    found, plain = model.score(odd), model.score(usual.x[1000:])
    assert found.anomaly.min() > 0.4
    assert found.flagged.all()
    assert 0.02 < plain.flagged.mean() < 0.3  # a tenth is contamination
    assert model.score(usual.x[:0]).anomaly.shape == (0,)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_contamination_is_the_share_flagged_of_what_was_learnt(usual, share) -> None:
    model = Trained.learn("isolation_forest", usual.x, share)
    assert model.score(usual.x).flagged.mean() == pytest.approx(share, abs=0.005)


def test_what_cannot_be_is_refused(usual) -> None:
    for kind, share, count, match in (
        ("astrology", 0.1, 100, "expected a model among isolation_forest"),
        ("isolation_forest", 0.0, 100, "expected a contamination"),
        ("isolation_forest", 0.1, 3, "expected at least 10 events"),
    ):
        with pytest.raises(SettingsError, match=match):
            Trained.learn(kind, usual.x[:count], share)


def test_the_same_events_and_seed_give_the_same_model(usual) -> None:
    one, other = (train(usual, seed=3) for _ in range(2))
    assert one.about == other.about
    assert (one.model.score(usual.x).anomaly == other.model.score(usual.x).anomaly).all()


def test_versions_say_what_they_learnt_from_and_how_they_compare(usual) -> None:
    first = train(usual)
    second = train(usual, seed=1, live=first.model)
    assert first.about["compared_with_live"] is None
    assert second.about["compared_with_live"]["rank_correlation"] > 0.7
    assert first.about["from"] == usual.time[0]
    assert first.about["to"] == usual.time[-1]
    assert first.about["metrics"]["held_out"] == 240
    assert json.loads(json.dumps(second.about)) == second.about


def test_history_says_which_version_was_live_when() -> None:
    steps = [Step(1, 10), Step(2, 20), Step(None, 30), Step(3, 40)]
    assert live([]) is None
    assert [live(steps[:n]) for n in range(1, 5)] == [1, 2, 1, 3]
    assert spans(steps) == [(10, 1), (20, 2), (30, 1), (40, 3)]
    assert spans(steps, since=35) == [(30, 1), (40, 3)]
    assert spans([], since=35) == []
    assert former(steps, "autoencoder") == 1
    with pytest.raises(SettingsError, match="expected an earlier live version of autoencoder"):
        former(steps[:1], "autoencoder")


def test_points_of_events_are_those_of_the_stream(event_batch, cut_batch, company) -> None:
    batch = event_batch(company)
    whole, parts = points_of([batch]), points_of(cut_batch(batch, [100, 900]))
    assert (whole.x == parts.x).all()
    assert (whole.time == batch.time).all()
