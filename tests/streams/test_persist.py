"""Persist as a stage: the rows of each event and alert, once, whatever is replayed or broken."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import connectors
from connectors import cloudtrail
from connectors._mapper import Mapper
from connectors.base import Connector
from detectors.sigma import RuleSet
from schemas import avro
from schemas.batch import EventBatch
from sentinel.registry import discover
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from streams.normalize import NormalizeStage
from streams.persist import PersistStage
from streams.policy.rule_sets import own_rules
from streams.sinks.base import Written

KEY = ("default", "cloudtrail")


@pytest.fixture(scope="module")
def raws():
    return [event.raw for event in simulate(seed=5, minutes=8) if event.source == "cloudtrail"]


@pytest.fixture(scope="module")
def normalize(records, raws):
    """Return ``normalize(size)``: all events, read in batches of `size`, as records."""
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    stage = NormalizeStage(Settings(), found, RuleSet.load([own_rules()]), 1)

    def make(size: int) -> list[bytes]:
        task = stage.task("raw.cloudtrail", 0)
        return [
            record.value
            for first in range(0, len(raws), size)
            for record in task.process(records(raws[first : first + size], first=first)).records
        ]

    return make


@pytest.fixture
def stage():
    return PersistStage(Mapper(Settings(), "persist"))


def test_an_event_becomes_its_row_as_the_source_wrote_it(stage, records, normalize, raws):
    output = stage.task("events", 0).process(records(normalize(50), "events"))
    rows = output.rows.events
    assert len(rows) == len(raws)
    for row, raw in zip(rows, raws, strict=True):
        assert (row.raw, row.ocsf) == (raw, None)
        event = orjson.loads(raw)
        ocsf = orjson.loads(stage._mapper.ocsf(row.source, row.tenant, row.uid, row.raw))
        assert ocsf["metadata"]["uid"] == event["eventID"]
        assert ocsf["metadata"]["tenant_uid"] == "default"
        assert row.operation == event["eventName"]
        assert (row.class_uid, row.time) == (ocsf["class_uid"], ocsf["time"])
        assert len(row.uid) == 16


@hypothesis_settings(deadline=None, max_examples=10)
@given(size=st.integers(1, 80), again=st.integers(1, 80), part=st.floats(0, 1))
def test_a_replay_by_normalize_in_other_batches_adds_no_row(
    records, normalize, raws, size, again, part
):
    """The worker before crashed after some batches: all come again, cut differently."""
    task = PersistStage(Mapper(Settings(), "persist")).task("events", 0)
    first, second = normalize(size), normalize(again)
    first = first[: round(len(first) * part)]
    rows = list(task.process(records(first, "events")).rows.events) if first else []
    restored = PersistStage(Mapper(Settings(), "persist")).task("events", 0)
    restored.restore(task.snapshot())
    output = restored.process(records(second, "events", first=len(first)))
    rows += output.rows.events
    assert len(rows) == len({row.uid for row in rows}) == len(raws)


def test_what_was_there_already_is_counted_as_duplicate(stage, records, normalize, raws):
    output = stage.task("events", 0).process(records(normalize(50), "events"))
    (row,) = output.counts(Written(events=Counter({KEY: len(raws) - 3}))).dump()
    assert (row["in"], row["out"], row["duplicate"]) == (len(raws), len(raws) - 3, 3)


def test_an_event_whose_mapping_fails_is_shown_with_the_reason(stage, raws, monkeypatch):
    def broken(self, unit):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cloudtrail.CloudTrail, "to_ocsf", broken)
    uid = uuid4()
    shown = orjson.loads(stage._mapper.ocsf("cloudtrail", "acme", uid.bytes, raws[0]))
    assert "a bug" in shown["message"]
    assert shown["raw_data"] == raws[0].decode()
    assert shown["metadata"] == {"tenant_uid": "acme", "uid": str(uid)}
    unknown = orjson.loads(stage._mapper.ocsf("gone", "acme", uid.bytes, b"x"))
    assert "gone" in unknown["message"]


def alert(count: int, *uids: int) -> bytes:
    """An alert record with a `count`, and the events that are new with it."""
    return avro.encode("alert", {
        "id": "894c1dc5-7a9d-5519-a26e-a62dc5c3586a", "tenant": "default", "source": "cloudtrail",
        "kind": "rule", "rule_id": "r", "title": "R", "techniques": [], "severity_id": 4,
        "score": 0.7, "entity": "alice", "explanation": "{}", "first_seen": 1, "last_seen": 2,
        "count": count,
        "events": [{"uid": bytes([uid, *bytes(15)]), "time": 1, "arrived": 2, "score": 0.7,
                    "raw": b"raw"} for uid in uids],
    })  # fmt: skip


def test_alerts_become_rows_with_their_evidence(stage, records):
    output = stage.task("alerts", 0).process(records([alert(1, 1), alert(3, 2, 3)], "alerts"))
    rows = output.rows.alerts
    assert [(row.count, [event.uid[0] for event in row.events]) for row in rows] == [
        (1, [1]), (3, [2, 3])
    ]  # fmt: skip
    assert rows[1].events[0].raw == b"raw"


def test_only_evidence_that_is_new_counts(stage, records):
    """Correlate sent it again after a crash: there is no second alert to account for."""
    output = stage.task("alerts", 0).process(records([alert(3, 1, 2, 3)], "alerts"))
    (row,) = output.counts(Written(alert_events=Counter({KEY: 1}))).dump()
    assert (row["stage"], row["in"], row["out"], row.get("duplicate", 0)) == (
        "persist_alerts", 1, 1, 0
    )  # fmt: skip


@pytest.mark.parametrize(("topic", "name"), [("events", "persist"), ("alerts", "persist_alerts")])
def test_what_is_of_no_schema_is_a_letter_and_the_rest_is_written(
    stage, records, normalize, topic, name
):
    good = normalize(50)[0] if topic == "events" else alert(1, 1)
    task = stage.task(topic, 3)
    output = task.process(records([b"\x00", good, None], topic, 3, 10))
    letters = [(r.value, r.headers["offset"], r.headers["stage"]) for r in output.records]
    assert letters == [(b"\x00", "10", name), (b"", "12", name)]
    assert len(output.rows.events) + len(output.rows.alerts) > 0
    (row,) = task.ledger.dump()
    assert (row["stage"], row["in"], row["dead_lettered"]) == (name, 2, 2)


def test_batches_of_two_raw_partitions_do_not_hide_each_other(stage, records, normalize):
    """Progress is kept for each origin: an old offset there is no replay here."""
    task = stage.task("events", 0)
    mine = normalize(1000)[0]
    other = EventBatch.decode(mine)
    other.origin_partition = 1
    rows = task.process(records([mine, other.encode(), mine], "events")).rows.events
    assert len(rows) == 2 * len(other)
