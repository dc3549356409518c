"""Batch models: what they find, what is known of a version, and going back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.batch_models.kinds import KINDS, Trained
from detectors.batch_models.store import Store
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
    model = Trained(kind, usual.x[:1000])
    odd = np.random.default_rng(2).uniform(0, 1, (30, COUNT)).astype(np.float32)
    found, plain = model.score(odd), model.score(usual.x[1000:])
    assert found.anomaly.min() > 0.4
    assert found.flagged.all()
    assert 0.02 < plain.flagged.mean() < 0.3  # a tenth is contamination
    assert model.score(usual.x[:0]).anomaly.shape == (0,)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_contamination_is_the_share_flagged_of_what_was_learnt(usual, share) -> None:
    model = Trained("isolation_forest", usual.x, share)
    assert model.score(usual.x).flagged.mean() == pytest.approx(share, abs=0.005)


def test_what_cannot_be_is_refused(usual) -> None:
    for kind, share, count, match in (
        ("astrology", 0.1, 100, "expected a model among isolation_forest"),
        ("isolation_forest", 0.0, 100, "expected a contamination"),
        ("isolation_forest", 0.1, 3, "expected at least 10 events"),
    ):
        with pytest.raises(SettingsError, match=match):
            Trained(kind, usual.x[:count], share)


def test_the_same_events_and_seed_give_the_same_model(usual) -> None:
    one, other = (train(usual, seed=3) for _ in range(2))
    assert one.about == other.about
    assert (one.model.score(usual.x).anomaly == other.model.score(usual.x).anomaly).all()


def test_versions_say_what_they_learnt_from_and_how_they_compare(usual, tmp_path) -> None:
    store = Store(tmp_path, "acme", "cloudtrail")
    first = store.add(train(usual))
    assert store.live("isolation_forest") is None
    assert store.promote("isolation_forest", first) is None
    version = train(usual, seed=1, live=store.live("isolation_forest"))
    second = store.add(version)
    assert version.about["compared_with_live"]["rank_correlation"] > 0.7
    assert store.promote("isolation_forest", second) == first
    rows = store.versions()
    assert [(row["version"], row["live"]) for row in rows] == [(1, False), (2, True)]
    assert rows[0]["from"] == usual.time[0]
    assert rows[0]["to"] == usual.time[-1]
    assert rows[0]["metrics"]["held_out"] == 240
    assert json.loads(json.dumps(rows)) == rows
    assert store.rollback("isolation_forest") == first
    with pytest.raises(SettingsError, match="expected an earlier live version"):
        store.rollback("isolation_forest")
    with pytest.raises(SettingsError, match=r"among 1, 2, found 9"):
        store.promote("isolation_forest", 9)
    with pytest.raises(SettingsError, match="in the name"):
        Store(tmp_path, "../etc", "cloudtrail")


def test_points_of_events_are_those_of_the_stream(event_batch, cut_batch, company) -> None:
    batch = event_batch(company)
    whole, parts = points_of([batch]), points_of(cut_batch(batch, [100, 900]))
    assert (whole.x == parts.x).all()
    assert (whole.time == batch.time).all()
