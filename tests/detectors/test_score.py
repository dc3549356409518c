"""Scores and severities of design section 4."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.score import combine, intelligence, multipliers, rule_score, severity


@given(st.floats(0, 1))
def test_bands(score) -> None:
    expected = 5 if score >= 0.8 else 4 if score >= 0.6 else 3 if score >= 0.4 else 2
    assert severity(score) == expected


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_a_rule_keeps_the_severity_its_author_gave_it(level) -> None:
    assert severity(rule_score(level)) == level


def test_rule_scores_rise_with_severity_and_take_any_number() -> None:
    scores = [rule_score(level) for level in range(-1, 8)]
    assert scores == sorted(scores)
    assert 0 < min(scores) <= max(scores) < 1


def test_failed_changes_of_accounts_weigh_most_and_reads_least(event_batch) -> None:
    batch = event_batch(
        [
            {"class_uid": 6003, "activity_id": 2},
            {"class_uid": 6003, "activity_id": 1},
            {"class_uid": 6003, "activity_id": 1, "status_id": 2},
            {"class_uid": 3001, "activity_id": 1, "status_id": 2},
            {"class_uid": 3001, "activity_id": 1, "status_id": 2, "severity_id": 5},
        ]
    )
    found = multipliers(batch, np.arange(len(batch)))
    assert found[1] == 1
    assert (np.diff(found) > 0).all()
    assert found.max() <= 1.5


def test_a_finding_in_progress_is_no_failure(event_batch) -> None:
    """OCSF gives findings other statuses: 2 is "In Progress"."""
    batch = event_batch([{"class_uid": 2004, "status_id": 1}, {"class_uid": 2004, "status_id": 2}])

    assert np.ptp(multipliers(batch, np.arange(2))) == 0


def test_indicators_raise_what_is_odd_by_half_at_most(event_batch) -> None:
    events = [{"class_uid": 6003, "activity_id": 1, "src_ip": f"192.0.2.{n}"} for n in range(3)]
    batch = event_batch(events)
    plain = multipliers(batch, np.arange(3))
    batch.weight = np.array([0, 0.5, 1], np.float32)
    assert (multipliers(batch, np.arange(3)) / plain).tolist() == [1, 1.25, 1.5]
    assert intelligence(batch, 0) == {}
    (told,) = intelligence(batch, 1).values()
    assert told == "192.0.2.1: indicators of weight 0.50 raise the score by 1.25"


def test_score_is_capped_and_never_nan() -> None:
    found = combine(np.array([0.9, 0.5, np.nan, 0.0]), np.array([1.5, 1.0, 1.0, 1.5]))
    assert found.tolist() == [1, 0.5, 0, 0]
