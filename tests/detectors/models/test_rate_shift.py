"""Rates: the rhythm of day and week is no news, a burst out of it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from detectors.models.rate_shift import RateShift, tail_of_t4

MONDAY, HOUR = 1_767_571_200_000, 3_600_000


def weeks(per_hour, days: int = 21) -> list[dict]:
    """Return events of so many days, ``per_hour(day, hour)`` of them each hour."""
    return [
        {"time": MONDAY + (24 * day + hour) * HOUR + n * 1000}
        for day in range(days)
        for hour in range(24)
        for n in range(per_hour(day % 7, hour))
    ]


def office(day: int, hour: int) -> int:
    return 120 if day < 5 and hour == 9 else 2


def scores(batch) -> list[float]:
    return RateShift().score_learn(batch, np.arange(len(batch))).tolist()


def at(day: int, hour: int, count: int) -> list[dict]:
    return [{"time": MONDAY + (24 * day + hour) * HOUR + n * 1000} for n in range(count)]


@given(st.floats(0, 200))
def test_tail_is_students(z) -> None:
    assert tail_of_t4(z) == pytest.approx(student.sf(z, 4), rel=0.02)


def test_the_daily_and_weekly_rhythm_is_no_news(event_batch) -> None:
    events = weeks(office)
    quiet = scores(event_batch(events))[len(events) // 3 :]
    assert max(quiet) < 0.4


def test_the_same_count_at_night_or_on_a_weekend_is(event_batch) -> None:
    for day, hour in ((22, 3), (26, 9)):
        past = weeks(office, day)
        assert max(scores(event_batch(past + at(day, hour, 120)))[len(past) :]) > 0.6
    past = weeks(office, 22)
    assert max(scores(event_batch(past + at(22, 9, 120)))[len(past) :]) < 0.3


def test_a_burst_is_a_few_scores_and_a_trickle_none(event_batch) -> None:
    past = weeks(lambda day, hour: 2)
    found = np.array(scores(event_batch(past + at(22, 3, 5000)))[len(past) :])
    assert 1 <= (found > 0).sum() < 50
    assert max(scores(event_batch(past + at(22, 3, 15)))) == 0


def test_the_explanation_has_both_numbers(event_batch) -> None:
    past = weeks(office)
    batch, model = event_batch(past + at(22, 3, 400)), RateShift()
    found = model.score_learn(batch, np.arange(len(batch)))
    row = int(np.argmax(found))
    said = model.explain(batch, row, float(found[row]))
    assert said["contributions"][0]["value"] > 100
    assert said["baseline"]["expected"] < 5
    assert said["baseline"]["compared_with"].startswith("03:00 UTC on weekdays")
    assert said["cold_start"] is False
