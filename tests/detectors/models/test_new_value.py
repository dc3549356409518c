"""New values per entity: Good-Turing by the book, and what an analyst would expect of it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.models.new_value import FIELDS, MIN_EVENTS, NewValue


def by_the_book(events) -> list[float]:
    """Apply the formula of the module docstring, event by event, with dictionaries."""
    seen: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    scores = []
    for event in events:
        decades = []
        for field in FIELDS:
            value = event.get(field, "")
            counts = seen[event["entity"], field]
            total = counts.total()
            if value and value not in counts and total >= MIN_EVENTS:
                once = sum(1 for count in counts.values() if count == 1)
                decades.append(min(math.log10((total + 1) / (once + 1)), 3.0))
            if value:
                counts[value] += 1
        decades.sort(reverse=True)
        scores.append(min(sum(d / 2**n for n, d in enumerate(decades)) / 5, 1.0))
    return scores


def scores_of(batch, model: NewValue | None = None) -> list[float]:
    return (model or NewValue()).score_learn(batch, np.arange(len(batch))).tolist()


@given(seed=st.integers(0, 2**31), width=st.integers(1, 60), entities=st.integers(1, 4))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_equals_the_formula(event_batch, seed, width, entities) -> None:
    rng = np.random.default_rng(seed)
    events = [
        {field: f"{v}" if v else "" for field, v in zip(FIELDS, row, strict=True)}
        | {"entity": f"e{rng.integers(entities)}"}
        for row in rng.zipf(1.7, (300, len(FIELDS))) % width
    ]
    assert scores_of(event_batch(events)) == pytest.approx(by_the_book(events), abs=1e-12)


def test_one_new_value_after_long_habit_alerts_but_is_never_critical(event_batch) -> None:
    for habit, expected in ((20, 0.0), (99, 0.4), (999, 0.6), (9999, 0.6)):
        events = [{}] * habit + [{"user_agent": "sqlmap"}]
        assert scores_of(event_batch(events))[-1] == pytest.approx(expected)


def test_several_new_values_at_once_weigh_more(event_batch) -> None:
    odd = {"user_agent": "sqlmap", "src_ip": "203.0.113.9", "region": "ap-east-1"}
    score = scores_of(event_batch([{}] * 300 + [odd]))[-1]
    assert 0.8 <= score <= 1


def test_who_changes_every_day_is_not_surprising(event_batch) -> None:
    events = [{"src_ip": f"10.1.0.{n}"} for n in range(250)]
    assert max(scores_of(event_batch(events))) < 0.05


def test_a_value_known_of_someone_else_is_still_new_here(event_batch) -> None:
    events = [{"entity": "bob", "region": "us-east-1"}, {}] * 200
    events += [{"region": "us-east-1"}, {"region": "us-east-1"}]
    first, again = scores_of(event_batch(events))[-2:]
    assert first > 0.4
    assert again == 0


def test_explanation_names_value_and_history(event_batch) -> None:
    batch = event_batch([{}] * 1200 + [{"user_agent": "sqlmap"}])
    model = NewValue()
    score = scores_of(batch, model)[-1]
    said = model.explain(batch, 1200, score)
    assert said["contributions"] == [{"field": "user_agent", "value": "sqlmap", "weight": 1.0}]
    assert said["baseline"]["events"] == 1200
    assert said["baseline"]["since"] == batch.time[0]
    assert said["cold_start"] is False


def test_full_tables_forget_the_least_recent_and_stay_right(event_batch) -> None:
    model = NewValue(entities=8, values=200)
    busy = [{"entity": "busy", "src_ip": f"ip{n % 2}"} for n in range(400)]
    passing = [{"entity": f"once{n}", "src_ip": f"x{n}"} for n in range(300)]
    mixed = [event for pair in zip(busy, passing, strict=False) for event in pair]
    scores_of(event_batch(mixed), model)
    assert model.evictions > 0
    # the busy one was never forgotten: its habit still counts
    last = scores_of(event_batch([{"entity": "busy", "src_ip": "new"}], first=len(mixed)), model)
    assert last[0] == pytest.approx(math.log10(301 / 1) / 5)


def test_counts_of_values_seen_once_survive_ageing(event_batch) -> None:
    model = NewValue(entities=64, values=64)
    rng = np.random.default_rng(5)
    events = [
        {"entity": f"e{rng.zipf(1.5) % 90}", "src_ip": f"ip{rng.zipf(1.3) % 50}"}
        for _ in range(3000)
    ]
    scores_of(event_batch(events), model)
    held = len(model._rarity._values)
    places = model._rarity._values.columns["places"][:held]
    once = model._rarity._values.last[:held] % 2
    singles = model._rarity._groups.columns["singles"]
    expected = np.bincount(places[once == 1], minlength=singles.size).reshape(singles.shape)
    assert (singles == expected).all()
