"""Order of operations: what the tenant never did in a row."""

from __future__ import annotations

import numpy as np

from detectors.models.api_sequence import PAUSE_MS, ApiSequence

MONDAY = 1_767_571_200_000


def scores(batch) -> list[float]:
    return ApiSequence().score_learn(batch, np.arange(len(batch))).tolist()


def routine(count: int, who: str = "alice") -> list[dict]:
    return [
        {"operation": name, "entity": who}
        for _ in range(count)
        for name in ("Login", "List", "Read", "Logout")
    ]


def test_a_step_never_taken_stands_out_and_is_then_known(event_batch) -> None:
    odd = [{"operation": "Login"}, {"operation": "Logout"}]
    found = scores(event_batch(routine(200) + odd + routine(10) + odd))
    assert found[801] > 0.4
    assert found[-1] < found[801] / 3
    assert max(found[200:801]) == 0


def test_what_a_colleague_does_is_known(event_batch) -> None:
    found = scores(event_batch(routine(200) + routine(3, "bob")))
    assert max(found[800:]) == 0


def test_a_known_step_in_an_unknown_order_is_seen(event_batch) -> None:
    events = [{"operation": name} for name in "abcabc" * 50 + "xbyxby" * 50]
    crossed = [{"operation": name} for name in "aby"]
    # after b both c and y are known, after "a b" only c
    found = scores(event_batch(events + crossed))
    assert found[-1] > 0.15


def test_after_a_pause_a_new_sequence_begins(event_batch) -> None:
    times = [MONDAY + n * (PAUSE_MS + 1) for n in range(200)]
    events = [{"operation": f"Op{n % 7}", "time": time} for n, time in enumerate(times)]
    assert max(scores(event_batch(events))[60:]) < 0.2


def test_anything_goes_after_what_anything_follows(event_batch) -> None:
    rng = np.random.default_rng(3)
    events = [{"operation": f"Op{n}"} for n in rng.integers(0, 60, 1500)]
    assert max(scores(event_batch(events))[500:]) < 0.25
