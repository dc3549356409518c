"""The figures that `sentinel bench` prints are what the clocks say."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._with.events import Sample, batches, sample
from bench.measure import Meter, line, percentile
from sentinel.settings import load


class Clocks:
    """CPU clocks of a process with one thread, moved by hand or by each look of the yardstick."""

    def __init__(self) -> None:
        self.now = 0.0
        self.per_look = 0.0

    def process(self) -> float:
        return self.now

    def thread(self) -> float:
        self.now += self.per_look
        return self.now


def test_meter_takes_the_yardstick_out_of_the_figure_and_divides_by_it() -> None:
    clocks = Clocks()
    meter = Meter(clocks.process, clocks.thread)
    clocks.now += 100  # start-up
    meter.begin()
    for _ in range(3):
        clocks.per_look = 1.0
        meter.yardstick([b"{}", b"{}"])  # two looks: a second passes inside, and one before
        clocks.per_look = 0.0
        clocks.now += 5.0
        meter.note(2)
    clocks.now += 1000  # idle at the end
    row = meter.row("x")
    assert row["orjson_us_per_event"] == 0.5e6
    assert row["events"] == 6
    assert row["cpu_us_per_event"] == pytest.approx((3 * (5.0 + 1.0)) / 6 * 1e6)
    assert row["x_orjson"] == pytest.approx(6.0)


def test_meter_shows_steps_in_the_same_unit() -> None:
    clocks = Clocks()
    meter = Meter(clocks.process, clocks.thread)
    clocks.per_look = 2.0
    meter.yardstick([b"1"])
    with meter.step("half"):
        pass
    clocks.now += 4.0
    meter.note(1)
    assert meter.row("x")["x_half"] == 1.0


def test_wrapped_methods_are_measured_and_given_back() -> None:
    class Work:
        def do(self, number: int) -> int:
            return number + 1

    meter = Meter()
    meter.yardstick([b"{}"] * 1000)
    with meter.wrapped(Work, "do", "work"):
        assert Work().do(1) == 2
    meter.note(1)
    assert "x_work" in meter.row("x")
    assert Work.do.__name__ == "do"


def test_a_row_without_events_or_yardstick_is_refused() -> None:
    with pytest.raises(ValueError, match="0 events noted"):
        Meter().row("x")


def test_real_clocks_give_real_figures() -> None:
    meter = Meter()
    raws = [orjson.dumps({"a": list(range(50))})] * 200
    meter.yardstick(raws)
    for raw in raws:
        json.loads(raw)
    meter.note(len(raws))
    row = meter.row("stdlib")
    assert row["cpu_us_per_event"] > 0
    assert row["events_per_s"] == pytest.approx(1e6 / row["cpu_us_per_event"], rel=0.01)


def test_line_has_no_rate_where_nothing_was_used() -> None:
    assert line("x", 0.0, 1.0)["events_per_s"] is None


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0.1, 100))
def test_percentile_is_a_value_that_enough_do_not_exceed(values: list[float], q: float) -> None:
    found = percentile(values, q)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * q / 100 * (1 - 1e-9)
    assert sum(value < found for value in values) < len(values) * q / 100 * (1 + 1e-9)


def test_sample_repeats_events_under_new_ids(tmp_path: Path) -> None:
    settings = load().model_copy(update={"data": tmp_path})
    found = sample(settings, 3000)
    assert "the sample" in found.origin
    assert len(found.raws) == 3000
    decoded = [orjson.loads(raw) for raw in found.raws]
    assert len({event["eventID"] for event in decoded}) == 3000
    assert found.mean_bytes > 100


def test_sample_mean_is_of_bytes() -> None:
    assert Sample([b"ab", b"abcd"], "").mean_bytes == 3


def test_batches_are_all_of_it_in_order() -> None:
    raws = [b"%d" % number for number in range(11)]
    assert [raw for part in batches(raws, 4) for raw in part] == raws
    assert [len(part) for part in batches(raws, 4)] == [4, 4, 3]
