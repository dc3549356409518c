"""Volume: the tenant's events in five minutes as one series."""

from __future__ import annotations

import numpy as np

from detectors.models.volume import Volume
from detectors.online.series import WARM, Series

MONDAY, STEP = 1_767_571_200_000, 300_000


def events(counts) -> list[dict]:
    return [
        {"time": MONDAY + step * STEP + n}
        for step, count in enumerate(counts)
        for n in range(count)
    ]


def daily(steps: int) -> list[int]:
    rng = np.random.default_rng(2)
    return [int(6 + 5 * np.sin(2 * np.pi * n / 288) + rng.integers(0, 3)) for n in range(steps)]


def found(event_batch, counts) -> np.ndarray:
    batch = event_batch(events(counts))
    return Volume().score_learn(batch, np.arange(len(batch)))


def test_a_daily_rhythm_is_quiet_and_a_surge_is_not(event_batch) -> None:
    counts = daily(4 * 288)
    quiet = found(event_batch, counts)
    assert (quiet[len(quiet) // 2 :] > 0.6).sum() <= 2
    surge = found(event_batch, [*counts, 90, 5])
    assert surge[-5] > 0.8


def test_silence_is_told_when_it_ends(event_batch) -> None:
    counts = daily(4 * 288)
    assert found(event_batch, [*counts, *[0] * 200, 5]).max() > 0.5
    assert found(event_batch, [*counts, *[0] * 200, 5])[-5:].max() > 0.5


def test_one_change_is_one_alert() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(10, 1, 3000)
    values[2000:2050] += 40
    scores, _ = Series().score_learn(values)
    assert (scores[2000:2060] > 1.06).sum() <= 3
    assert scores[2000] > 2
    assert scores[: WARM - 1].max() == 0


def test_scale_and_level_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(10, 1, 1500)
    one, other = Series().score_learn(values)[0], Series().score_learn(values * 1024)[0]
    assert np.allclose(one, other)
