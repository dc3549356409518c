"""Changes of a mean: none where there is none, and those that river's ADWIN finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import ADWIN

from detectors.scoring.adaptive_window import changed

EVERY = 32


def first_change(series):
    """The place at which the change is told, looking as often as the ensemble and river do."""
    for count in range(EVERY, len(series) + 1, EVERY):
        if changed(series[:count], 0.002):
            return count
    return None


def river_first(series):
    detector = ADWIN(delta=0.002)
    for count, value in enumerate(series, 1):
        detector.update(value)
        if detector.drift_detected:
            return count
    return None


@pytest.mark.parametrize("step", [0.15, 0.25, 0.5])
def test_a_step_is_found_about_when_river_finds_it(step):
    late = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        series = np.concatenate((rng.normal(0.3, 0.05, 480), rng.normal(0.3 + step, 0.05, 480)))
        ours, rivers = first_change(series), river_first(series)
        assert ours is not None
        assert ours > 480
        late.append(ours - rivers)
    assert np.mean(late) <= EVERY, late


def test_what_stays_the_same_has_not_changed():
    found = [first_change(np.random.default_rng(seed).beta(2, 5, 960)) for seed in range(50)]
    assert found == [None] * 50


@given(st.lists(st.floats(0, 1), max_size=80), st.floats(1e-6, 0.5))
def test_the_direction_of_time_does_not_matter(series, delta):
    assert changed(series, delta) == changed(series[::-1], delta)


@given(st.floats(0, 1), st.integers(0, 300))
def test_a_constant_never_changes(value, count):
    assert not changed([value] * count, 0.002)
