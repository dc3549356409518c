"""Normalize: however the input is cut, lost or poisoned, each record comes out once."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import connectors
from connectors._reading.fault import fault
from connectors.base import Connector
from detectors.sigma import RuleSet
from schemas.batch import EventBatch
from schemas.identity import event_uid
from sentinel.ledger import add_up
from sentinel.registry import discover
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from streams.normalize import NormalizeStage, NormalizeTask
from streams.normalizer import partition_of
from streams.persist import PersistStage
from streams.policy.rule_sets import load_rules, own_rules
from streams.runtime.letters import Origin

PARTITIONS = 3
BAD = {
    "cloudtrail": [b"", b"{", b"42", b"\xff", b"{}", b"[" * 5000, b'{"Records": 3}', b"\x00"],
    "auditd": [b"", b"\xff\x00", b"type=SYSCALL msg=audit(1767600084.", b"hello"],
}
RULE = """\
title: Root
id: 11111111-1111-4111-8111-111111111111
logsource: {product: aws, service: cloudtrail}
detection: {a: {userIdentity.type: Root}, condition: a}
level: high
"""


@cache
def stage() -> NormalizeStage:
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    return NormalizeStage(Settings(), found, load_rules(Settings()), PARTITIONS)


def task(source: str) -> NormalizeTask:
    made = stage().task(f"raw.{source}", 0)
    assert isinstance(made, NormalizeTask)
    return made


@cache
def sample(source: str) -> list[bytes]:
    """Messages of the sample with duplicates and poison, audit records line by line."""
    random = Random(source)
    messages: list[bytes] = []
    for event in simulate(seed=5, minutes=3):
        if event.source == source:
            lines = event.raw.splitlines() if source == "auditd" else [event.raw]
            messages += lines * random.choice((1, 1, 1, 2))
            messages += random.sample(BAD[source], random.choice((0, 0, 0, 1)))
    return messages


def run(task, records, source, cuts, start=0, end=None):
    """Hand over the sample from `start` to `end`, cut at `cuts`; return the outputs."""
    messages = sample(source)
    end = len(messages) if end is None else end
    edges = sorted({start, end, *(cut for cut in cuts if start < cut < end)})
    made = []
    for first, last in pairwise(edges):
        made += task.process(records(messages[first:last], f"raw.{source}", 0, first)).records
    return made


def batches(outgoing):
    """Return the batches of events among what was made."""
    return [EventBatch.decode(each.value) for each in outgoing if each.topic == "events"]


def events(outgoing):
    """Return what reaches each events partition: order, ids, text, rules."""
    found = {partition: [] for partition in range(PARTITIONS)}
    for record in outgoing:
        if record.topic != "events":
            continue
        batch = EventBatch.decode(record.value)
        rules = {row: [] for row in range(len(batch))}
        for hit in batch.hits:
            rules[hit.event].append(batch.rules[hit.rule].id)
        for row in range(len(batch)):
            assert batch.origin_first <= batch.origin[row] <= batch.origin_last
            key = (batch.uid_of(row), batch.raw_of(row), int(batch.origin[row]))
            found[record.partition].append((*key, tuple(sorted(rules[row]))))
    return found


def letters(outgoing):
    """Return what became letters, in the order of their records."""
    found = [
        (record.value, record.headers["offset"], record.headers["index"], record.headers["reason"])
        for record in outgoing
        if record.topic == "dead_letter"
    ]
    return sorted(found, key=lambda letter: (int(letter[1]), int(letter[2])))


def balance(task, out):
    """Return the ledger's balance, as if all that was put out had been taken in."""
    taken = [
        {"stage": stage, "tenant": row["tenant"], "source": row["source"],
         "in": row.get(count, 0), "out": row.get(count, 0)}
        for row in task.ledger.dump()
        for stage, count in (("detect", "out"), ("persist", "out"), ("dead_letter",
                                                                     "dead_lettered"))
    ]  # fmt: skip
    report = add_up([task.ledger.dump(), taken], frozenset())
    assert sum(row["out"] for row in taken if row["stage"] == "detect") == out
    return report.balance


SOURCES = ["cloudtrail", "auditd"]
cuts = st.lists(st.integers(0, 200), max_size=8)


@pytest.mark.parametrize("source", SOURCES)
@hypothesis_settings(deadline=None, max_examples=15)
@given(cuts=cuts)
def test_however_it_is_cut_the_same_events_come_out(records, source, cuts):
    """Batches are an accident of polling: ids, order, rules and letters do not depend on them."""
    whole, parts = task(source), task(source)
    one, many = run(whole, records, source, []), run(parts, records, source, cuts)
    assert events(many) == events(one)
    assert letters(many) == letters(one)
    assert parts.ledger.dump() == whole.ledger.dump()
    assert balance(parts, sum(map(len, events(many).values()))) == 0


@pytest.mark.parametrize("source", SOURCES)
@hypothesis_settings(deadline=None, max_examples=15)
@given(cuts=cuts, again=cuts, saved=st.integers(0, 150), beyond=st.integers(0, 60))
def test_a_crash_and_a_replay_are_not_seen_downstream(records, source, cuts, again, saved, beyond):
    """What was sent after the last checkpoint comes again; its reader takes each event once."""
    saved = min(saved, len(sample(source)))
    first = task(source)
    sent = run(first, records, source, cuts, 0, saved)
    state, counted = first.snapshot(), first.ledger.dump()
    sent += run(first, records, source, cuts, saved, min(saved + beyond, len(sample(source))))
    second = task(source)
    if state:
        second.restore(state)
    second.ledger.load(counted)
    sent += run(second, records, source, again, saved)
    plain = task(source)
    expected = events(run(plain, records, source, []))
    assert stored(records, sent) == {p: [row[0] for row in expected[p]] for p in expected}
    assert second.ledger.dump() == plain.ledger.dump()


def stored(records, outgoing):
    """Return the ids that persist writes of each partition, in order."""
    stage = PersistStage(discover(connectors, Connector))
    found = {}
    for partition in range(PARTITIONS):
        reader = stage.task("events", partition)
        values = [r.value for r in outgoing if r.topic == "events" and r.partition == partition]
        rows = reader.process(records(values, "events", partition)).rows if values else None
        found[partition] = [row.uid for row in rows.events] if rows else []
    return found


@pytest.mark.parametrize("source", SOURCES)
@hypothesis_settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_bytes_are_counted(records, source, data):
    """Whatever people send becomes events or letters, and the sums are right."""
    good = sample(source)[:30]
    strange = st.binary(max_size=40) | st.sampled_from([*BAD[source], *good]) | st.none()
    values = data.draw(st.lists(strange, min_size=1, max_size=20))
    mine = task(source)
    made = mine.process(records(values, f"raw.{source}")).records
    made += mine.flush(len(values)).records
    assert balance(mine, sum(map(len, events(made).values()))) == 0
    assert sum(row.get("dead_lettered", 0) for row in mine.ledger.dump()) == len(letters(made))
    assert not mine.waiting()


def test_poison_costs_only_itself(records):
    good = [message for message in sample("cloudtrail") if b'"eventID"' in message][:20]
    values = good[:10] + BAD["cloudtrail"] + good[10:]
    made = task("cloudtrail").process(records(values)).records
    assert sum(map(len, events(made).values())) == len(good)
    assert [letter[0] for letter in letters(made)] == BAD["cloudtrail"]
    assert [int(letter[1]) for letter in letters(made)] == list(
        range(10, 10 + len(BAD["cloudtrail"]))
    )


def test_what_a_reader_could_not_read_is_a_letter_that_says_why(records):
    good = sample("cloudtrail")[:3]
    lost = fault("truncated", "expected the end of a gzip file", "s3://b/k#7", b"half an ev")
    headers = [("record-problem", lost.problem.encode()), ("record-id", lost.id.encode())]
    for source in ("cloudtrail", "auditd"):
        made = task(source).process(records([lost.value], first=5, headers=[headers])).records
        ((raw, offset, _, reason),) = letters(made)
        assert (raw, offset, reason) == (b"half an ev", "5", "truncated")
    every = [None, None, None, headers, None, None, None]
    batch = records([*good, lost.value, *good], headers=every)
    assert len(letters(task("cloudtrail").process(batch).records)) == 1


def test_events_without_an_id_get_theirs_from_the_name_of_the_record(records):
    """Read again, they come at other offsets and with others in a message, and are the same."""
    event = {k: v for k, v in json.loads(sample("cloudtrail")[0]).items() if k != "eventID"}
    two = json.dumps({"Records": [event, event]}).encode()
    named = [("record-id", b"s3://logs/key#0")]
    first = task("cloudtrail").process(records([two], first=3, headers=[named])).records
    again = task("cloudtrail").process(records([two], first=90, headers=[named])).records
    unnamed = task("cloudtrail").process(records([two], first=90)).records
    ids = [
        {uid for each in batches(made) for uid in map(each.uid_of, range(len(each)))}
        for made in (first, again, unnamed)
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2
    assert not ids[0] & ids[2]

    one = json.dumps(event).encode()
    whole = task("cloudtrail").process(records([one], headers=[named])).records
    (batch,) = batches(whole)
    assert batch.uid_of(0) == event_uid("default", "cloudtrail", "s3://logs/key#0#0")


def test_a_replayed_letter_of_a_named_record_keeps_its_id(records):
    event = {k: v for k, v in json.loads(sample("cloudtrail")[0]).items() if k != "eventID"}
    broken = event | {"eventTime": "never"}
    value = json.dumps({"Records": [event, broken]}).encode()
    named = [("record-id", b"s3://logs/key#0")]
    made = task("cloudtrail").process(records([value], headers=[named])).records
    (outgoing,) = [each for each in made if each.topic == "dead_letter"]
    assert outgoing.headers["record-id"] == "s3://logs/key#0"
    origin = "{topic}/{partition}/{offset}/{index}".format(**outgoing.headers)
    headers = [*named, ("sentinel-origin", origin.encode())]
    again = (
        task("cloudtrail")
        .process(records([json.dumps(event).encode()], first=70, headers=[headers]))
        .records
    )
    (batch,) = batches(again)
    assert batch.uid_of(0) == event_uid("default", "cloudtrail", "s3://logs/key#0#1")


def test_an_event_that_is_too_large_is_a_letter(records):
    settings = Settings(max_event_bytes=2000)
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    small = NormalizeStage(settings, found, RuleSet.load([own_rules()]), 1)
    event = json.loads(sample("cloudtrail")[0]) | {"userAgent": "x" * 3000}
    values = [json.dumps(event).encode(), sample("cloudtrail")[0]]
    made = small.task("raw.cloudtrail", 0).process(records(values)).records
    ((_, offset, _, reason),) = letters(made)
    assert (offset, reason) == ("0", "too_large")


def test_an_envelope_is_its_records_and_one_bad_record_is_one_letter(records):
    event = json.loads(sample("cloudtrail")[0])
    other = event | {"eventID": "00000000-0000-0000-0000-000000000000"}
    value = json.dumps({"Records": [event, {"no": "event"}, other]}).encode()
    made = task("cloudtrail").process(records([value], first=7)).records
    ((raw, offset, index, _),) = letters(made)
    assert (json.loads(raw), offset, index) == ({"no": "event"}, "7", "1")
    alone = task("cloudtrail").process(records([json.dumps(event).encode()])).records
    ids = {row[0] for rows in events(alone).values() for row in rows}
    assert ids < {row[0] for rows in events(made).values() for row in rows}


def test_tenants_are_kept_apart(records):
    """The header says whose it is; the id and the route follow."""
    value = sample("cloudtrail")[0]
    headers = [[("tenant", b"a")], [("tenant", b"b")], None]
    mine = task("cloudtrail")
    made = mine.process(records([value] * 3, headers=headers)).records
    batches = [(record.partition, EventBatch.decode(record.value)) for record in made]
    found = {}
    for partition, batch in batches:
        for row in range(len(batch)):
            tenant, entity = batch.tenant.at(row), batch.entity.at(row)
            assert partition == partition_of(tenant, entity, PARTITIONS)
            found[tenant] = batch.uid_of(row)
    assert set(found) == {"a", "b", "default"}
    assert len(set(found.values())) == 3
    assert {row["tenant"]: row["in"] for row in mine.ledger.dump()} == {
        "a": 1,
        "b": 1,
        "default": 1,
    }


def test_a_replayed_letter_is_the_event_that_it_would_have_been(records):
    """Where the source gives no id, the place is the id: that of its first arrival."""
    event = json.loads(sample("cloudtrail")[0])
    del event["eventID"]
    value = json.dumps(event).encode()
    origin = Origin("raw.cloudtrail", 0, 3).text.encode()
    at_first = task("cloudtrail").process(records([value], first=3)).records
    headers = [[("sentinel-origin", origin)]]
    replayed = task("cloudtrail").process(records([value], first=9, headers=headers)).records
    assert [r[0] for rows in events(at_first).values() for r in rows] == [
        r[0] for rows in events(replayed).values() for r in rows
    ]


def test_what_waits_is_let_go_once_and_the_same_after_a_restart(records):
    lines = [m for m in sample("auditd") if b"type=SYSCALL" in m or b"type=CWD" in m][:4]
    first = task("auditd")
    first.process(records(lines, "raw.auditd"))
    assert first.waiting()
    second = task("auditd")
    second.restore(first.snapshot())
    second.ledger.load(first.ledger.dump())
    one, two = first.flush(4), second.flush(4)
    assert events(one.records) == events(two.records)
    assert any(events(one.records).values())
    assert {row[2] for rows in events(one.records).values() for row in rows} == {7}
    assert not first.waiting()
    assert not first.flush(4).records
    assert first.ledger.dump() == second.ledger.dump()
    assert all(row.get("pending", 0) == 0 for row in first.ledger.dump())


def test_a_rule_that_raises_costs_neither_the_event_nor_other_rules(records, tmp_path):
    """Its failure is counted; what the other rules say is as if it were not there."""
    (tmp_path / "root.yml").write_text(RULE)
    (tmp_path / "other.yml").write_text(RULE.replace("1111-4111", "2222-4222"))
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    mine = NormalizeStage(Settings(), found, RuleSet.load([tmp_path]), 1)
    matcher = mine.normalizers["cloudtrail"].matcher

    def broken(event):
        raise ZeroDivisionError("a bug")

    bad = next(n for n, rule in enumerate(matcher.rules) if "1111-4111" in rule.id)
    matcher._compiled[bad] = (broken, broken)
    event = json.loads(sample("cloudtrail")[0]) | {"userIdentity": {"type": "Root"}}
    made = mine.task("raw.cloudtrail", 0).process(records([json.dumps(event).encode()])).records
    (record,) = made
    batch = EventBatch.decode(record.value)
    assert [batch.rules[hit.rule].id for hit in batch.hits] == [
        "11111111-2222-4222-8111-111111111111"
    ]
    assert [error[1] for error in matcher.errors] == ["11111111-1111-4111-8111-111111111111"]
