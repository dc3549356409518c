"""NAB's scorer: its own unit cases and published results; our detector on its corpus."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.evaluate import nab
from detectors.evaluate.nab_score import (
    PROFILES,
    Series,
    normalised,
    optimum,
    probation,
    scaled_sigmoid,
    score_at,
    sweep,
)
from detectors.evaluate.published import NAB
from sentinel.errors import SettingsError
from sentinel.settings import load

STANDARD = PROFILES[0]
#: Windows of the whole corpus, NAB 1.1.
WINDOWS = 116


@pytest.fixture
def corpus():
    folder = load().data / "nab"
    if not folder.is_dir():
        pytest.skip(f"needs the NAB corpus in {folder} (SENTINEL_DATA)")
    return folder


def literally(each: Series, profile, threshold: float) -> float:
    """Score one series as the paper says it, row by row."""
    total = 0.0
    for first, last in each.windows:
        rows = [
            i
            for i in range(max(first, probation(len(each.scores))), last + 1)
            if each.scores[i] >= threshold
        ]
        if not rows:
            total -= profile.fn
            continue
        position = -(last - rows[0] + 1) / (last - first + 1)
        total += profile.tp * scaled_sigmoid(position) / scaled_sigmoid(-1.0)
    for i in range(probation(len(each.scores)), len(each.scores)):
        inside = any(first <= i <= last for first, last in each.windows)
        if inside or each.scores[i] < threshold:
            continue
        before = [window for window in each.windows if window[1] < i]
        position = (i - before[-1][1]) / max(before[-1][1] - before[-1][0], 1) if before else 3.0
        total += profile.fp * scaled_sigmoid(position)
    return total


@given(
    scores=st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=60, max_size=120),
    windows=st.sampled_from([[], [(20, 29)], [(20, 24), (40, 49)], [(30, 30), (31, 40)]]),
    profile=st.sampled_from(PROFILES),
)
@settings(max_examples=80, deadline=None)
def test_sweep_equals_the_definition_at_every_threshold(scores, windows, profile) -> None:
    each = Series(np.array(scores), windows)
    thresholds, raws = sweep([each], profile)
    for threshold, raw in zip(thresholds.tolist(), raws.tolist(), strict=True):
        assert raw == pytest.approx(literally(each, profile, threshold))


def test_nothing_said_is_0_and_the_first_row_of_each_window_100() -> None:
    scores = np.zeros(1000)
    windows = [(300, 399), (600, 699)]
    scores[[300, 600]] = 1.0
    for profile in PROFILES:
        assert optimum([Series(scores, windows)], profile).normalised == pytest.approx(100)
        assert score_at([Series(scores, windows)], profile, 2.0) == 0


def test_published_results_are_their_raw_scores_normalised(corpus) -> None:
    thresholds = json.loads((corpus / "config/thresholds.json").read_bytes())
    results = json.loads((corpus / "results/final_results.json").read_bytes())
    checked = 0
    for name, profiles in results.items():
        for profile in PROFILES:
            raw = thresholds.get(name, {}).get(profile.name)
            if raw is None or name in {"null", "random"}:
                continue
            found = normalised(raw["score"], WINDOWS, profile)
            checked += found == pytest.approx(profiles[profile.name], abs=0.05)
    assert checked >= 24, "of 13 detectors with 3 profiles; some were scored anew since"
    assert results["ARTime"]["standard"] == pytest.approx(NAB["ARTime"][0], abs=0.06)


def test_our_detector_with_one_setting_for_all_series(corpus) -> None:
    report = nab.evaluate(corpus)
    assert report["profiles"]["standard"]["score"] >= 70
    assert report["profiles"]["standard"]["split"]["score"] >= 65
    assert report["profiles"]["standard"]["published"]["ARTime"] == 74.9


def test_a_folder_of_another_layout_is_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match="expected a NAB corpus with labels"):
        nab.evaluate(tmp_path)


def test_a_broken_row_is_named(tmp_path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "labels/combined_windows.json").write_text('{"a.csv": []}')
    (tmp_path / "data/a.csv").write_text("timestamp,value\nyesterday,3\n")
    with pytest.raises(SettingsError, match=r"expected rows `timestamp,value` in .*a\.csv"):
        nab.evaluate(tmp_path)
