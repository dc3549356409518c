"""Features are what the table in the module says, and stay in the unit cube."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.online.features import COUNT, NAMES, Features
from detectors.online.hashing import HASH_MEMO, hash_column
from schemas.batch import Strings

MONDAY = 1_767_571_200_000
HOUR = 3_600_000


def feature(name: str, batch, model: Features | None = None) -> list[float]:
    rows = np.arange(len(batch))
    return (model or Features()).matrix(batch, rows)[:, NAMES.index(name)].tolist()


def test_time_of_day_and_week(event_batch) -> None:
    batch = event_batch([{"time": MONDAY + hours * HOUR} for hours in (0, 6, 12, 5 * 24, 6 * 24)])
    assert feature("hour_sin", batch) == pytest.approx([0.5, 1, 0.5, 0.5, 0.5])
    assert feature("hour_cos", batch) == pytest.approx([1, 0.5, 0, 1, 1], abs=1e-6)
    assert feature("weekday", batch) == pytest.approx([0, 0, 0, 5 / 6, 1])
    assert feature("weekend", batch) == [0, 0, 0, 1, 1]


def test_rate_and_gap_are_per_entity(event_batch) -> None:
    burst = [{"entity": "bot", "time": MONDAY + n} for n in range(200)]
    batch = event_batch([*burst, {"entity": "alice", "time": MONDAY + 200}])
    rate, gap = feature("rate", batch), feature("gap", batch)
    assert rate[:200] == sorted(rate[:200])
    assert rate[199] == pytest.approx(np.log1p(200) / np.log1p(1e4), rel=1e-3)
    assert rate[200] == pytest.approx(np.log1p(1) / np.log1p(1e4), rel=1e-3)
    assert gap[0] == gap[200] == 1
    assert max(gap[1:200]) < 0.001


def test_rate_decays_and_late_events_do_not_turn_time_back(event_batch) -> None:
    times = (0, 3000_000, 2000_000, 3000_000)
    batch = event_batch([{"time": MONDAY + time} for time in times])
    rate, gap = feature("rate", batch), feature("gap", batch)
    assert rate[1] == pytest.approx(rate[0], rel=1e-3)
    assert rate[3] > rate[2] > rate[1]
    assert gap[2] == gap[3] == 0


def test_failures(event_batch) -> None:
    batch = event_batch([{"status_id": 2}] * 100 + [{"status_id": 1}, {"status_id": 0}])
    assert feature("failure", batch) == [1.0] * 100 + [0, 0]
    rate = feature("failure_rate", batch)
    assert rate[0] == pytest.approx(0.05)
    assert rate[99] > 0.95
    assert rate[101] < rate[99]


def test_commonness_counts_what_came_before(event_batch) -> None:
    events = [{"src_ip": "a"}] * 9 + [{"src_ip": "b"}, {"src_ip": "a"}, {"src_ip": "b"}]
    found = feature("src_ip", event_batch(events))
    expected = [0, *(np.log1p(n) / max(np.log1p(n), 1) for n in range(1, 9))]
    assert found[:9] == pytest.approx(expected)
    assert found[9] == 0
    assert found[10:] == pytest.approx([np.log(10) / np.log(11), np.log(2) / np.log(12)])


def test_logins_and_browsing_are_told_from_a_loop(event_batch) -> None:
    batch = event_batch([{"class_uid": 3002}] * 40 + [{"operation": f"o{n}"} for n in range(40)])
    logins, variety = feature("logins", batch), feature("variety", batch)
    assert logins[39] == max(logins) == pytest.approx(np.log1p(40) / np.log1p(1e3), rel=0.03)
    assert variety[39] == 0
    assert variety[79] > 0.8


def test_who_moves_to_another_country_is_said_to(event_batch) -> None:
    class Place:
        def __init__(self, country: str) -> None:
            self.country = country

    model = Features(locate=lambda found: [Place("NL" if a < "c" else "NZ") for a in found])
    batch = event_batch([{"src_ip": address} for address in "ababcdca"])
    assert feature("moved", batch, model) == [0, 0, 0, 0, 1, 0, 0, 1]
    assert feature("moved", batch) == [0, 1, 1, 1, 1, 1, 1, 1]


def test_hash_is_the_same_in_every_process() -> None:
    code = (
        "import numpy as np; from schemas.batch import Strings; "
        "from detectors.online.hashing import hash_column; "
        "print(hash_column(Strings.of(['iam', '']), np.arange(2)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {str(hash_column(Strings.of(["iam", ""]), np.arange(2)))}


def test_hashes_stay_the_same_when_the_memory_of_them_is_full() -> None:
    many = [f"value {n}" for n in range(HASH_MEMO)]
    rows = np.arange(3)
    first = hash_column(Strings.of(["a", "", "b"]), rows)
    for part in (many[: HASH_MEMO // 2], many[HASH_MEMO // 2 :], many):
        assert len(set(hash_column(Strings.of(part), np.arange(len(part))).tolist())) == len(part)
    assert hash_column(Strings.of(["a", "", "b"]), rows).tolist() == first.tolist()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "entity": st.text(max_size=3),
                "time": st.integers(-(2**62), 2**62),
                "class_uid": st.integers(-(2**31), 2**31 - 1),
                "activity_id": st.integers(-(2**31), 2**31 - 1),
                "status_id": st.integers(-(2**31), 2**31 - 1),
                "user_agent": st.text(max_size=3),
            }
        ),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_event_is_in_the_unit_cube(event_batch, events) -> None:
    batch = event_batch(events)
    matrix = Features(entities=4).matrix(batch, np.arange(len(batch)))
    assert matrix.shape == (len(events), COUNT)
    assert matrix.dtype == np.float32
    assert ((matrix >= 0) & (matrix <= 1)).all()


def test_a_full_table_forgets_who_was_quiet_longest(event_batch) -> None:
    model = Features(entities=4)
    feature("rate", event_batch([{"entity": f"e{n}"} for n in range(5)]), model)
    assert model.evictions >= 2
    gap = feature("gap", event_batch([{"entity": "e4"}, {"entity": "e0"}], first=5), model)
    assert gap[0] < 1
    assert gap[1] == 1
