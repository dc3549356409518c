"""Models judged together: a budget that is kept, drift that is seen, state that is exact."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Model
from detectors.detect import Detector
from detectors.online.tail import BINS, Tail
from detectors.scoring.choose import online_models
from detectors.scoring.ensemble import STRIDE, Ensemble
from schemas.snapshot import pack, unpack

HOUR = 3_600_000
MONDAY = 1_767_571_200_000


class Given(Model):
    """Stands for a model in tests that hand the scores over."""

    title = "Given"
    reopened = 0

    def __init__(self, number: int = 0) -> None:
        self.id = f"model.given{number}"  # type: ignore[misc]

    def score_learn(self, batch, rows):
        return np.zeros(len(rows))

    def explain(self, batch, row, score):
        return {}

    def reopen(self) -> None:
        self.reopened += 1

    def snapshot(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass


def judged(group: Ensemble, scores, who=None, time=None):
    """Judge `scores`, ``[models, n]``, of ten entities that act in turn every 100 s."""
    count = scores.shape[1]
    who = np.arange(count, dtype=np.uint64) % np.uint64(10) + np.uint64(1) if who is None else who
    time = MONDAY + 100_000 * np.arange(count) if time is None else time
    return group.judge(scores, np.ones(count), who.astype(np.uint64), time)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_tail_is_the_share_as_high_or_higher(scores) -> None:
    found, kept = Tail().decades(np.array(scores))
    places = (np.array(scores) * (BINS - 1e-9)).astype(int)
    for n, place in enumerate(places):
        above = (places[:n] >= place).sum()
        assert found[n] == pytest.approx(np.log10((n + 1) / (above + 1)))
        assert kept[n] == n


def test_the_threshold_means_a_share_of_events_whatever_the_models_say() -> None:
    rng = np.random.default_rng(1)
    for scores in (
        rng.random((3, 40_000)),
        rng.beta(1, 9, (3, 40_000)) * (rng.random(40_000) < 0.1),
    ):
        group = Ensemble([Given(n) for n in range(3)])
        found = judged(group, scores)
        late = group.alerts(found, 0.6)
        assert 10 <= (late >= 20_000).sum() <= 40  # of 20,000 events, one in 1,000


def test_one_alert_per_entity_and_week_is_a_setting() -> None:
    rng = np.random.default_rng(2)
    group = Ensemble([Given()], budget=1.0)
    count = 8 * 6048  # 8 weeks, one event every 100 s
    found = judged(group, rng.random((1, count)))
    late = group.alerts(found, 0.6)
    weeks = np.bincount(late // 6048, minlength=8)[2:]
    assert 6 <= weeks.mean() <= 14, "ten entities, one alert each a week"


def test_what_one_model_often_says_counts_less() -> None:
    rng = np.random.default_rng(3)
    scores = np.zeros((2, 5001))
    scores[0] = rng.uniform(0.6, 0.8, 5001)
    scores[1, -1] = 0.5
    found = judged(Ensemble([Given(0), Given(1)]), scores)
    assert found.parts[1, -1] > found.parts[0, -1]
    assert found.decades[-1] == pytest.approx(np.log10(5001), abs=0.3)


def test_a_changed_stream_is_seen_and_reopens_learning() -> None:
    rng = np.random.default_rng(4)
    model = Given()
    group = Ensemble([model])
    judged(group, rng.beta(1, 20, (1, 60_000)))
    assert (group.drifts, model.reopened) == (0, 0)
    found = judged(group, rng.beta(20, 1, (1, 30_000)))
    assert group.drifts >= 1
    assert model.reopened == group.drifts
    assert "drift" in group.said(found, 29_999)


@given(cut=st.integers(0, 3000))
@settings(max_examples=10, deadline=None)
def test_continues_from_its_state_bit_for_bit(cut) -> None:
    rng = np.random.default_rng(5)
    scores = rng.random((2, 3000))
    models = [Given(0), Given(1)]
    time = MONDAY + 100_000 * np.arange(3000)
    who = rng.integers(1, 9, 3000).astype(np.uint64)
    whole, first, second = (Ensemble(models, 1.0) for _ in range(3))
    expected = whole.judge(scores, np.ones(3000), who, time)
    first.judge(scores[:, :cut], np.ones(cut), who[:cut], time[:cut])
    second.load(unpack("x", 1, pack("x", 1, first.state())))
    found = second.judge(scores[:, cut:], np.ones(3000 - cut), who[cut:], time[cut:])
    assert (found.decades == expected.decades[cut:]).all()
    assert (found.needed == expected.needed[cut:]).all()
    assert pack("x", 1, second.state()) == pack("x", 1, whole.state())


def test_signals_carry_every_models_part(event_batch, company) -> None:
    detector = Detector(online_models(), 0.4, together=True)
    signals = detector.process(event_batch(company), 0).signals
    assert signals
    for signal in signals:
        said = json.loads(signal["explanation"])
        together = said["baseline"]["together"]
        assert signal["rule_id"] == next(iter(together["models"]))
        assert said["cold_start"] is True


def test_the_same_whatever_the_batches(event_batch, cut_batch, company) -> None:
    batch = event_batch(company)

    def events(signals):
        return sorted(
            (signal["rule_id"], event["uid"], event["score"])
            for signal in signals
            for event in signal["events"]
        )

    whole = Detector(online_models(), 0.4, together=True)
    expected = events(whole.process(batch, 0).signals)
    other, found = Detector(online_models(), 0.4, together=True), []
    for number, part in enumerate(cut_batch(batch, [7, 8, STRIDE, 900])):
        found += other.process(part, number).signals
        restored = Detector(online_models(), 0.4, together=True)
        restored.restore(other.snapshot())
        other = restored
    assert events(found) == expected
