"""The detect step: nothing lost, nothing twice, the same after any restart."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Model
from detectors.detect import Detector, warm
from detectors.scoring.choose import online_models
from schemas import avro
from schemas.batch import Hit, RuleRef
from sentinel.errors import SchemaError

RULE = RuleRef("r1", "Key created", 4, ("T1098",))
OTHER = RuleRef("r2", "Just so you know", 1, ())


class Poisonable(Model):
    """Scores by how often the operation was seen; raises on ``boom``."""

    id: ClassVar[str] = "model.poisonable"
    title: ClassVar[str] = "Rare operation"

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def score_learn(self, batch, rows):
        names = [batch.operation.at(row) for row in rows]
        if "boom" in names:
            raise ZeroDivisionError("boom")
        scores = []
        for name in names:
            scores.append(1.0 / (1 + self.seen.get(name, 0)))
            self.seen[name] = self.seen.get(name, 0) + 1
        return np.array(scores)

    def explain(self, batch, row, score) -> dict[str, Any]:
        if batch.operation.at(row) == "mute":
            raise KeyError("mute")
        part = {"field": "operation", "value": batch.operation.at(row), "weight": 1.0}
        return {"contributions": [part], "baseline": {}, "cold_start": False, "quiet": ""}

    def snapshot(self) -> bytes:
        return json.dumps(self.seen).encode()

    def restore(self, state: bytes) -> None:
        self.seen = json.loads(state)


def returning(call):
    """Do as the agents in streams do: hand back the exception."""
    try:
        return call()
    except (ZeroDivisionError, KeyError) as error:
        return error


def flat(detected) -> list[tuple]:
    """Return what was said of each event, however it was folded."""
    return [
        (s["tenant"], s["rule_id"], s["entity"], event["uid"], event["score"], event["raw"])
        for detecting in detected
        for s in detecting.signals
        for event in s["events"]
    ]


def added(detected) -> dict[tuple[str, str], dict[str, int]]:
    total: dict[tuple[str, str], dict[str, int]] = {}
    for detecting in detected:
        for key, counts in detecting.counts.items():
            mine = total.setdefault(key, dict.fromkeys(counts, 0))
            for name, count in counts.items():
                mine[name] += count
    return total


def sensitive() -> Detector:
    return Detector(online_models(), 0.25, horizon=400)


def restarted(before: Detector, after: Detector) -> Detector:
    """Put the state of one detector into another, as a new owner of the partition does."""
    after.restore(before.snapshot())
    return after


@pytest.fixture(scope="session")
def day(event_batch, company):
    """Return a batch with late duplicates and rule hits, and what an undisturbed run gives."""
    events = company[:1000] + company[850:1000] + company[1000:1350]
    events = [
        event | {"native": f"n{n if n < 1000 else n - 150}"} for n, event in enumerate(events)
    ]
    batch = event_batch(events, rules=[RULE], hits=[Hit(n, 0, "{}") for n in (3, 900, 1050)])
    detector = sensitive()
    detected = detector.process(batch, 0)
    return batch, detected, detector.snapshot()


@given(cuts=st.lists(st.integers(1, 1499), max_size=10), stop=st.integers(0, 10))
@settings(max_examples=20, deadline=None)
def test_same_signals_whatever_the_batches_and_restarts(day, cut_batch, cuts, stop) -> None:
    whole, expected, state = day
    detector, found = sensitive(), []
    for number, batch in enumerate(cut_batch(whole, cuts)):
        if number == stop:
            detector = restarted(detector, sensitive())
        found.append(detector.process(batch, number))
    assert sorted(flat(found)) == sorted(flat([expected]))
    assert added(found) == added([expected])
    assert detector.snapshot() == state


def test_the_day_has_what_the_test_above_is_about(day) -> None:
    _, detected, _ = day
    found = {signal["rule_id"] for signal in detected.signals}
    weeks = {"model.rate_shift", "model.volume"}  # say nothing of a first day
    expected = {model.id for model in online_models()} - weeks
    assert found - {"risk.entity"} == expected | {"r1"}
    assert sum(counts["duplicate"] for counts in detected.counts.values()) == 150


@given(
    tenants=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 29), max_size=5),
    stop=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_tenants_come_and_go_the_same_whatever_the_batches(
    event_batch, cut_batch, tenants, cuts, stop
) -> None:
    whole = event_batch([{"tenant": f"t{tenant}", "operation": "a"} for tenant in tenants])

    def fresh() -> Detector:
        return Detector([Poisonable], 0.3, max_tenants=2)

    plain, detector, found = fresh(), fresh(), []
    expected = plain.process(whole, 0)
    for number, batch in enumerate(cut_batch(whole, [place % len(tenants) for place in cuts])):
        if number == stop:
            detector = restarted(detector, fresh())
        found.append(detector.process(batch, number))
    assert sorted(flat(found)) == sorted(flat([expected]))
    assert detector.snapshot() == plain.snapshot()
    assert detector.evictions == plain.evictions


def test_ledger_balances_and_duplicates_are_neither_scored_nor_signalled(event_batch) -> None:
    events = [{"native": "a"}, {"native": "b", "tenant": "globex"}, {"native": "a"}]
    batch = event_batch(events, rules=[RULE], hits=[Hit(0, 0, "{}"), Hit(2, 0, "{}")])
    found = Detector([Poisonable], 0.4).process(batch, 7)
    assert found.counts == {
        ("acme", "cloudtrail"): {"in": 2, "duplicate": 1, "out": 1},
        ("globex", "cloudtrail"): {"in": 1, "duplicate": 0, "out": 1},
    }
    assert [(s["rule_id"], s["tenant"], len(s["events"])) for s in found.signals] == [
        ("r1", "acme", 1),
        ("model.poisonable", "acme", 1),
        ("model.poisonable", "globex", 1),
    ]


def test_a_replay_changes_nothing(event_batch, company) -> None:
    detector = sensitive()
    detector.process(event_batch(company[:900]), 0)
    before = detector.snapshot()
    found = detector.process(event_batch(company[100:800], first=100), 1)
    assert (found.signals, found.counts, found.replayed) == ([], {}, 700)
    assert detector.snapshot() == before


def test_signals_are_what_the_schema_says(event_batch, company) -> None:
    batch = event_batch(company, rules=[RULE, OTHER], hits=[Hit(3, 0, "{}"), Hit(4, 1, "")])
    signals = sensitive().process(batch, 42).signals
    record = {"origin_partition": 0, "origin_first": 42, "origin_last": 42, "signals": signals}
    read = avro.decode("signal_batch", avro.encode("signal_batch", record))
    for signal in signals:
        for event in signal["events"]:
            del event["row"]  # does not travel
    assert read == record | {"joins": None}
    for signal in signals:
        assert signal["score"] == max(event["score"] for event in signal["events"])
        assert json.loads(signal["explanation"]) is not None
        assert all(event["origin"] == 42 for event in signal["events"])


def test_hits_of_one_rule_on_one_entity_fold(event_batch) -> None:
    events = [{"entity": name} for name in ("alice", "bob", "alice", "alice")]
    one = event_batch(events, rules=[RULE, OTHER], hits=[Hit(n, 0, "{}") for n in range(4)])
    two = event_batch(events, first=4, rules=[OTHER], hits=[Hit(0, 0, "{}")])
    signals = Detector([], 0.6).process_many([(0, one), (1, two)]).signals
    summary = [(s["rule_id"], s["entity"], len(s["events"]), s["severity_id"]) for s in signals]
    assert summary == [("r1", "alice", 3, 4), ("r1", "bob", 1, 4), ("r2", "alice", 1, 1)]
    assert signals[0]["events"][1]["raw"] == b"raw 2"


def test_explanation_outlives_the_duplicate_that_carried_it(event_batch) -> None:
    hits = [Hit(0, 0, '{"what": "said once"}'), Hit(1, 0, ""), Hit(2, 0, "")]
    events = [{"native": "a"}, {"native": "b"}, {"native": "c", "tenant": "globex"}]
    detector = Detector([], 0.6)
    detector.process(event_batch([{"native": "a"}]), 0)
    batch = event_batch(events, first=1, rules=[RULE], hits=hits)
    mine, others = detector.process(batch, 1).signals
    assert json.loads(mine["explanation"]) == {"what": "said once"}
    assert [event["raw"] for event in mine["events"]] == [b"raw b"]
    assert json.loads(others["explanation"])["what"] == "Key created."


def test_one_poisoned_event_is_reported_and_the_rest_is_as_if_it_were_not_there(
    event_batch,
) -> None:
    names = ["a", "b", "boom", "a", "boom", "c"]
    batch = event_batch([{"operation": n} for n in names], rules=[RULE], hits=[Hit(2, 0, "{}")])
    detector = Detector([Poisonable], 0.01, guard=returning)
    found = detector.process(batch, 5)
    assert [(e.offset, e.row, e.model) for e in found.errors] == [
        (5, 2, "model.poisonable"),
        (5, 4, "model.poisonable"),
    ]
    assert isinstance(found.errors[0].error, ZeroDivisionError)
    assert found.counts["acme", "cloudtrail"] == {"in": 6, "duplicate": 0, "out": 6}

    clean = Detector([Poisonable], 0.01)
    kept = clean.process(
        event_batch(
            [{"operation": n, "native": str(k)} for k, n in enumerate(names) if n != "boom"],
        ),
        5,
    )
    models = [line for line in flat([found]) if line[1] != "r1"]
    assert models == flat([kept])
    assert [s["rule_id"] for s in found.signals] == ["r1", "model.poisonable"]


def test_an_alert_is_not_lost_for_want_of_an_explanation(event_batch) -> None:
    detector = Detector([Poisonable], 0.5, guard=returning)
    found = detector.process(event_batch([{"operation": "mute"}]), 0)
    assert len(found.signals) == len(found.errors) == 1
    assert json.loads(found.signals[0]["explanation"])["kind"] == "model"


def test_without_a_guard_exceptions_come_out(event_batch) -> None:
    with pytest.raises(ZeroDivisionError):
        Detector([Poisonable], 0.5).process(event_batch([{"operation": "boom"}]), 0)


def test_tenants_do_not_learn_from_each_other(event_batch) -> None:
    detector = Detector([Poisonable], 0.9)
    events = [{"tenant": "acme", "operation": "a"}, {"tenant": "globex", "operation": "a"}]
    signals = detector.process(event_batch(events * 2), 0).signals
    assert [(s["tenant"], len(s["events"])) for s in signals] == [("acme", 1), ("globex", 1)]


def test_too_many_tenants_lose_the_least_recent_models_and_that_is_counted(event_batch) -> None:
    detector = Detector([Poisonable], 0.9, max_tenants=2)
    events = [{"tenant": name, "operation": "a"} for name in ("t1", "t2", "t1", "t3", "t1", "t2")]
    signals = detector.process(event_batch(events), 0).signals
    assert [(s["tenant"], len(s["events"])) for s in signals] == [("t1", 1), ("t2", 2), ("t3", 1)]
    assert detector.evictions["tenants"] == 2


def test_scores_above_threshold_only_and_multiplier_counts(event_batch) -> None:
    read = {"operation": "a", "class_uid": 6003, "activity_id": 2}
    change = {"operation": "b", "class_uid": 3001, "activity_id": 1}
    detector = Detector([Poisonable], 0.5)
    found = detector.process(event_batch([read, read, change, change]), 0)
    # 1 · 0.9 and 0.5 · 0.9; 1 · 1.25 capped and 0.5 · 1.25
    scores = [event["score"] for event in found.signals[0]["events"]]
    assert scores == pytest.approx([0.9, 1.0, 0.625])
    assert found.signals[0]["severity_id"] == 5


def test_a_model_added_later_starts_cold_on_an_old_checkpoint(event_batch, company) -> None:
    old = Detector(online_models()[:1], 0.3)
    old.process(event_batch(company), 0)
    new = Detector([*online_models(), Poisonable], 0.3)
    new.restore(old.snapshot())
    assert new.process(event_batch([{"operation": "fresh"}], first=1500), 1).signals


def test_refuses_a_broken_checkpoint(event_batch, company) -> None:
    detector = sensitive()
    detector.process(event_batch(company), 0)
    state = detector.snapshot()
    for broken in (b"", state[:-1], state[1:], b"\x00" + state):
        with pytest.raises(SchemaError, match="expected"):
            sensitive().restore(broken)


def test_empty_batch(event_batch) -> None:
    found = sensitive().process(event_batch([]), 0)
    assert (found.signals, found.counts, found.replayed) == ([], {}, 0)


def test_warm_compiles_everything() -> None:
    warm()
