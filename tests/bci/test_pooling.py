"""Units get all their detections, and are as large as they are, not as chance makes them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import truncnorm

from bci.engine.units.pooling import FEWEST, pooled, unselected, untruncated


@pytest.mark.parametrize("size", [3.0, 4.5, 5.0, 6.0, 9.0])
def test_mean_without_what_the_least_score_adds_is_scipys(size):
    seen = truncnorm.mean(5.0 - size, np.inf, loc=size)

    assert untruncated(seen, 5.0) == pytest.approx(size, abs=1e-6)


def test_a_mean_that_no_selection_explains_has_a_bound():
    assert untruncated(5.0, 5.0) == pytest.approx(-3.0, abs=1e-6)


def test_a_unit_is_told_by_its_own_size_although_half_its_spikes_were_missed():
    draw = np.random.default_rng(0)
    unit = np.zeros((4, 5))
    unit[1, 0], unit[2, 0] = 4.0, 3.0
    along = unit / 5.0  # its score is 5 on average, and so is the least
    spikes = unit + draw.normal(size=(4000, 4, 5))
    score = (spikes * along).sum(axis=(1, 2))
    chosen = spikes[score >= 5.0]

    found = unselected(chosen.mean(axis=0), score[score >= 5.0].astype(np.float32), along, 5.0)

    assert chosen.mean(axis=0)[1, 0] > 4.5
    assert np.abs(found - unit).max() < 0.15


def test_spikes_of_all_channels_make_the_unit_and_few_make_none():
    draw = np.random.default_rng(1)
    units = np.zeros((3, 6, 5))
    units[0, 2, 0], units[0, 3, 0] = 6.0, 6.0
    units[1, 3, 1], units[1, 4, 1] = 7.0, 5.0
    units[2, 0, 2] = 9.0
    own = np.repeat([0, 1, 2], [200, 200, FEWEST - 1])
    seen = units[own] + draw.normal(size=(len(own), 6, 5))
    seen[own == 0, 5] = np.nan  # never looked at
    seen[:20, 0] = np.nan  # of 200: known from the others
    started = units + draw.normal(size=units.shape) * 0.5
    started[0, 3] = np.nan

    found = pooled(started, seen)

    assert [len(who) for who in found.members] == [200, 200]
    for who, unit, at in zip(found.members, found.units, (1, 0), strict=True):
        assert (own[who] == at).mean() > 0.99
        known = ~np.isnan(unit)
        assert np.abs(unit - units[at])[known].max() < 0.4
        assert known[:, 0].tolist() == [True] * 5 + [at == 1]


def test_no_units_stay_none():
    assert pooled(np.zeros((0, 2, 5)), np.ones((30, 2, 5))).members == []
