"""Correlation: the same alerts and counts in any batches, after any replay, in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detectors.correlation import Correlator, alert_id, shard
from sentinel.errors import SchemaError

WINDOW = 60_000
Hit = tuple[str, str, str, int, float]
"""Tenant, rule, group, event time (ms), score."""

hits = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex"]),
        st.sampled_from(["r1", "r2"]),
        st.sampled_from(["alice", "bob"]),
        st.integers(-3 * WINDOW, 3 * WINDOW),
        st.floats(0, 1),
    ),
    max_size=30,
)
sizes = st.lists(st.integers(1, 6), min_size=1, max_size=8)


def batches(found: list[Hit], cuts: list[int], partition: int = 0) -> list[dict[str, Any]]:
    """Return records of signals: the hit at place n is the event at offset n, cut as told."""
    made, at = [], 0
    while at < len(found):
        size = cuts[len(made) % len(cuts)]
        signals: dict[tuple[str, str, str], dict[str, Any]] = {}
        for offset, (tenant, rule, group, time, score) in enumerate(found[at : at + size], at):
            signal = signals.setdefault((tenant, rule, group), {
                "tenant": tenant, "source": "auditd", "kind": "rule", "rule_id": rule,
                "title": rule, "techniques": [], "severity_id": 3, "score": score,
                "entity": group, "group": group, "explanation": "{}", "events": [],
            })  # fmt: skip
            uid = bytes([partition, offset, *bytes(14)])
            signal["events"].append(
                {"uid": uid, "time": time, "arrived": 0, "origin": offset, "score": score,
                 "raw": b""}
            )  # fmt: skip
            signal["score"] = max(signal["score"], score)
        last = min(at + size, len(found)) - 1
        made.append({"origin_partition": partition, "origin_first": at, "origin_last": last,
                     "signals": list(signals.values())})  # fmt: skip
        at = last + 1
    return made


class Reader:
    """Keeps what any consumer of alerts keeps: the highest count, and each event once."""

    def __init__(self) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        self.events: dict[str, set[bytes]] = {}

    def take(self, correlated: Any) -> None:
        for alert in correlated.alerts:
            known = self.alerts.get(alert["id"])
            if known is None or known["count"] < alert["count"]:
                self.alerts[alert["id"]] = alert
            self.events.setdefault(alert["id"], set()).update(e["uid"] for e in alert["events"])

    def result(self) -> dict[str, Any]:
        names = ("count", "score", "first_seen", "last_seen")
        return {
            ident: (*(alert[name] for name in names), self.events[ident])
            for ident, alert in self.alerts.items()
        }


def brute(found: list[Hit]) -> dict[str, Any]:
    """Return the alerts by definition: hits by tenant, rule, group and window."""
    groups: dict[str, list[tuple[int, Hit]]] = {}
    for offset, hit in enumerate(found):
        tenant, rule, group, time, _ = hit
        ident = alert_id(tenant, rule, group, time // WINDOW * WINDOW)
        groups.setdefault(ident, []).append((offset, hit))
    return {
        ident: (
            len(members),
            max(hit[4] for _, hit in members),
            min(hit[3] for _, hit in members),
            max(hit[3] for _, hit in members),
            {bytes([0, offset, *bytes(14)]) for offset, _ in members},
        )
        for ident, members in groups.items()
    }


@hypothesis_settings(deadline=None)
@given(hits, sizes, sizes)
def test_any_batches_give_the_alerts_by_definition(found, cuts, polls):
    """However detect cut its batches and however they are polled; times come in any order."""
    correlator, reader = Correlator(WINDOW), Reader()
    made = batches(found, cuts)
    total = 0
    while made:
        size = polls[total % len(polls)]
        out = correlator.process(made[:size])
        reader.take(out)
        made, total = made[size:], total + 1
    assert reader.result() == brute(found)


@hypothesis_settings(deadline=None)
@given(hits, sizes, sizes, st.integers(0, 30))
def test_a_replay_in_other_batches_changes_nothing(found, cuts, again, upto):
    """Detect crashed: it sends from its checkpoint on once more, cut otherwise."""
    correlator, reader = Correlator(WINDOW), Reader()
    counted = 0
    for made in (batches(found[:upto], cuts), batches(found, again)):
        out = correlator.process(made)
        counted += sum(counts["in"] for counts in out.counts.values())
        assert all(counts["in"] == counts["out"] for counts in out.counts.values())
        reader.take(out)
    assert reader.result() == brute(found)
    assert counted == len(found)


@hypothesis_settings(deadline=None)
@given(hits, sizes, st.integers(0, 8), st.integers(0, 8))
def test_a_crash_between_checkpoints_is_not_seen(found, cuts, saved, beyond):
    """It had sent more than it saved: the next owner's alerts take their place, exactly."""
    made = batches(found, cuts)
    first, reader = Correlator(WINDOW), Reader()
    reader.take(first.process(made[:saved]))
    state = first.snapshot()
    reader.take(first.process(made[saved : saved + beyond]))
    second = Correlator(WINDOW)
    second.restore(state)
    for batch in made[saved:]:
        reader.take(second.process([batch]))
    assert reader.result() == brute(found)
    if saved + beyond >= len(made):
        assert second.snapshot() == first.snapshot()


@hypothesis_settings(deadline=None)
@given(hits, sizes, sizes, st.integers(0, 40))
def test_signals_too_large_for_one_record_come_in_several(found, cuts, again, upto):
    """Each shard in a record of its own; the worker before died after some of the records."""

    def split(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
        parts = []
        for batch in made:
            shards: dict[int, list[Any]] = {}
            for signal in batch["signals"]:
                shards.setdefault(shard(signal), []).append(signal)
            parts += [batch | {"signals": members} for members in shards.values()]
        return parts

    correlator, reader = Correlator(WINDOW), Reader()
    for batch in split(batches(found, cuts))[:upto] + split(batches(found, again)):
        reader.take(correlator.process([batch]))
    assert reader.result() == brute(found)


def test_partitions_of_events_are_told_apart():
    """The same offsets of another partition are other events."""
    hit: Hit = ("acme", "r1", "alice", 5, 0.5)
    correlator = Correlator(WINDOW)
    correlator.process(batches([hit], [1], partition=0))
    (alert,) = correlator.process(batches([hit], [1], partition=1)).alerts
    assert alert["count"] == 2


def test_late_hits_amend_the_alert_of_their_window():
    correlator = Correlator(WINDOW)
    found: list[Hit] = [("acme", "r1", "alice", time, 0.5) for time in (10, 5 * WINDOW, 3)]
    ids = [correlator.process([batch]).alerts[0] for batch in batches(found, [1])]
    assert ids[0]["id"] == ids[2]["id"] != ids[1]["id"]
    assert (ids[2]["count"], ids[2]["first_seen"], ids[2]["last_seen"]) == (2, 3, 10)


@hypothesis_settings(max_examples=30, deadline=None)
@given(hits, st.integers(1, 3))
def test_what_is_forgotten_is_counted_and_its_events_still_come(found, most):
    """Memory is bounded; a hit of a forgotten alert keeps the alert's id."""
    correlator, reader = Correlator(WINDOW, max_open=most), Reader()
    for batch in batches(found, [1]):
        reader.take(correlator.process([batch]))
    expected = brute(found)
    assert reader.events == {ident: row[-1] for ident, row in expected.items()}
    assert correlator.evictions >= max(0, len(expected) - most)
    plain = Correlator(WINDOW)
    plain.process(batches(found, [1]))
    assert plain.evictions == 0


def test_another_version_or_other_bytes_are_refused():
    correlator = Correlator(WINDOW)
    for state in (b"", b"\x93\x63\x80\x90", b"nonsense"):
        with pytest.raises(SchemaError, match="correlate snapshot"):
            correlator.restore(state)
