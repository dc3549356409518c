"""What is bounded, and what it costs in exactness."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.correlation.held import sketch
from detectors.correlation.joins import Joiner
from sentinel.errors import SchemaError

MINUTE = 60_000
COUNT = {"type": "event_count", "rules": ["a"], "group-by": ["user"], "timespan": "1h"}


@pytest.mark.parametrize("count", [10, 1000, 5000, 200_000])
def test_a_sketch_is_off_by_a_few_percent(count):
    """Three standard errors of 2.3 %."""
    hashes = np.random.default_rng(3).integers(-(1 << 63), (1 << 63) - 1, count, np.int64)
    halves = np.array_split(hashes, 2)
    found = sketch.estimate(sketch.union(map(sketch.registers, halves)))
    assert abs(found - count) <= max(1, 0.07 * count)


@pytest.mark.parametrize(("kind", "off"), [("event_count", 0.0), ("value_count", 0.07)])
def test_a_group_larger_than_is_kept_still_counts(plans, arrivals, reader, kind, off):
    condition = {"gte": 9000, "field": "ip"} if kind == "value_count" else {"gte": 9000}
    plan = plans({"name": "root", "correlation": COUNT | {"type": kind, "condition": condition}})
    joiner, taken = Joiner(plan), reader()
    fired = 0
    for first in range(0, 10_000, 500):
        hits = [("a", ("u",), 10 * n, str(n), f"e{n}") for n in range(first, first + 500)]
        taken.take(joiner.process([(0, first + 499, arrivals(plan, hits, first))]))
        if taken.alerts and not fired:
            fired = first + 500
    assert abs(fired - 9000) <= 500 + off * 9000
    assert joiner.live == 1
    assert len(joiner.snapshot()) < 1_000_000


def test_groups_and_evidence_go_oldest_first_and_are_counted(plans, arrivals, reader):
    plan = plans({"name": "root", "correlation": COUNT | {"condition": {"gte": 2}}})
    joiner, taken = Joiner(plan, max_groups=10, room=2_500), reader()
    hits = [("a", (f"u{n}",), n * 1000, "", f"event {n}") for n in range(30)]
    taken.take(joiner.process([(0, 29, arrivals(plan, hits))]))
    assert joiner.live == 10
    assert joiner.evictions["correlation_groups"] == 20
    assert joiner.evictions["correlation_evidence"] > 0
    again = [("a", ("u29",), 31_000, "", "late"), ("a", ("u0",), 31_000, "", "gone")]
    taken.take(joiner.process([(0, 31, arrivals(plan, again, 30))]))
    (alert,) = taken.alerts.values()
    assert alert["count"] == 2
    assert "user u29" in alert["explanation"]


def test_events_later_than_allowed_are_counted(plans, arrivals, reader):
    """Two hours of arrival behind all others, the timespan and the lateness are long over."""
    plan = plans({"name": "root", "correlation": COUNT | {"condition": {"gte": 2}}})
    joiner, taken = Joiner(plan), reader()
    hour = 60 * MINUTE
    for place, time in enumerate((0, 3 * hour, 6 * hour, 6 * hour + 1, 10)):
        hits = [("a", ("u",), time, "", f"event {place}")]
        marks = [max(0, 6 * hour if place > 2 else time - 1)]
        taken.take(joiner.process([(0, place, arrivals(plan, hits, place, marks))]))
    assert taken.counts["late"] == 1
    assert taken.counts["joined"] == 4


def test_other_bytes_are_no_snapshot(plans):
    joiner = Joiner(plans({"name": "root", "correlation": COUNT | {"condition": {"gte": 2}}}))
    for state in (b"", b"nonsense", b"\x93\x01\x80\x90"):
        with pytest.raises(SchemaError, match="correlations"):
            joiner.restore(state)


def test_windows_survive_another_threshold_but_not_another_group(plans, arrivals, reader):
    """A rule set that was loaded anew goes on with the windows it had."""
    before = plans({"name": "root", "correlation": COUNT | {"condition": {"gte": 5}}})
    joiner, taken = Joiner(before), reader()
    hits = [("a", ("u",), 1000, "", "one"), ("a", ("u",), 2000, "", "two")]
    joiner.process([(0, 1, arrivals(before, hits))])
    easier = plans({"name": "root", "correlation": COUNT | {"condition": {"gte": 3}}})
    after = Joiner(easier)
    after.restore(joiner.snapshot())
    third = [("a", ("u",), 3000, "", "three")]
    taken.take(after.process([(0, 2, arrivals(easier, third, 2))]))
    assert [alert["count"] for alert in taken.alerts.values()] == [3]
    other = COUNT | {"group-by": ["host"], "condition": {"gte": 3}}
    anew = Joiner(plans({"name": "root", "correlation": other}))
    anew.restore(joiner.snapshot())
    assert anew.live == 0
