"""Correlate as a stage: alerts to the partition of their id, bad records to the dead letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schemas import avro
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.normalizer import partition_of

PARTITIONS = 3


def signals(first: int, *groups: str) -> bytes:
    """A record of signals: one event at offset `first` for each group."""
    return avro.encode("signal_batch", {
        "origin_partition": 1, "origin_first": first, "origin_last": first,
        "signals": [
            {"tenant": "acme", "source": "auditd", "kind": "rule", "rule_id": "r", "title": "R",
             "techniques": ["T1"], "severity_id": 4, "score": 0.7, "entity": group, "group": group,
             "explanation": "{}", "events": [
                 {"uid": bytes([first, place, *bytes(14)]), "time": 1_767_600_000_000 + first,
                  "arrived": 1_767_600_000_500, "origin": first, "score": 0.7, "raw": b"raw"}]}
            for place, group in enumerate(groups)],
    })  # fmt: skip


@pytest.fixture
def task():
    return CorrelateStage(Settings(), PARTITIONS).task("signals", 0)


def alerts(output):
    return [(r, avro.decode("alert", r.value)) for r in output.records if r.topic == "alerts"]


def test_an_alert_goes_to_the_partition_of_its_id_and_is_amended(task, records):
    found = alerts(task.process(records([signals(1, "a", "b"), signals(2, "a")], "signals")))
    assert sorted(alert["count"] for _, alert in found) == [1, 2]
    for record, alert in found:
        assert record.partition == partition_of("acme", alert["id"], PARTITIONS)
        assert record.key == f"acme/{alert['id']}".encode()
    again = alerts(task.process(records([signals(3, "a")], "signals")))
    assert [(alert["count"], len(alert["events"])) for _, alert in again] == [(3, 1)]
    (row,) = task.ledger.dump()
    assert (row["in"], row["out"]) == (4, 4)


def test_a_restored_task_goes_on_counting(task, records):
    task.process(records([signals(1, "a")], "signals"))
    other = CorrelateStage(Settings(), PARTITIONS).task("signals", 0)
    other.restore(task.snapshot())
    other.ledger.load(task.ledger.dump())
    values = [signals(1, "a"), signals(2, "a")]  # the first is a replay of detect
    found = alerts(other.process(records(values, "signals")))
    assert [(alert["count"], len(alert["events"])) for _, alert in found] == [(2, 1)]
    assert other.ledger.dump()[0]["in"] == 2


@hypothesis_settings(deadline=None)
@given(bad=st.binary(max_size=60) | st.none())
def test_what_is_no_signal_is_a_letter_and_the_rest_goes_on(records, bad):
    task = CorrelateStage(Settings(), PARTITIONS).task("signals", 0)
    output = task.process(records([signals(1, "a"), bad, signals(2, "a")], "signals", 2, 5))
    letters = [record for record in output.records if record.topic == "dead_letter"]
    assert [(r.value, r.headers["partition"], r.headers["offset"]) for r in letters] == [
        (bad or b"", "2", "6")
    ]
    assert [alert["count"] for _, alert in alerts(output)] == [2]
    assert sum(row["in"] for row in task.ledger.dump()) == 3
