"""Normalize's two ways, column by column and event by event, give the same batches."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.cloudtrail import MANY, CloudTrail
from detectors.sigma import RuleSet
from schemas.batch import STRING_COLUMNS, EventBatch
from sentinel.sample.hour import simulate
from streams.normalizer import Batches, Normalizer, Units
from streams.policy.rule_sets import own_rules

PARTITIONS = 4
PLACE = ("raw.cloudtrail", 0)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet.load([own_rules()])


@pytest.fixture(scope="module")
def units() -> Units:
    made = Units()
    raws = [event.raw for event in simulate(3) if event.source == "cloudtrail"]
    for offset, raw in enumerate(raws[: 2 * MANY]):
        made.add(raw, f"tenant {offset % 3}", offset, 0, 2 * offset, 7)
    assert len(made.raws) == 2 * MANY
    return made


def rows(batches: Batches) -> list[Any]:
    """Return every event with all that is said of it, partition by partition."""
    found = []
    for partition, sent in batches:
        batch = EventBatch.decode(sent.encode())
        hits = sorted((hit.event, batch.rules[hit.rule]) for hit in batch.hits)
        for row in range(len(batch)):
            texts = [getattr(batch, name).at(row) for name in STRING_COLUMNS]
            numbers = [
                int(getattr(batch, name)[row])
                for name in ("time", "arrived", "origin", "class_uid", "activity_id", "status_id")
            ]
            matched = [rule for event, rule in hits if event == row]
            uid, raw = batch.uid_of(row), batch.raw_of(row)
            found.append((partition, uid, raw, texts, numbers, matched))
    return found


def test_both_ways_give_the_same_batches(rules: RuleSet, units: Units) -> None:
    last = 2 * len(units.raws)
    quick = Normalizer("cloudtrail", CloudTrail(), rules, PARTITIONS)
    slow = Normalizer("cloudtrail", CloudTrail(), rules, PARTITIONS)
    wanted, bad = slow.normalize(units, PLACE, 0, last)
    assert not bad
    for _ in range(2):  # the second time, every value has been met
        found = quick.quickly(units, PLACE, 0, last)
        assert found is not None
        assert rows(found) == rows(wanted)


def test_one_hit_of_rule_entity_and_window_is_explained(rules: RuleSet, units: Units) -> None:
    normalizer = Normalizer("cloudtrail", CloudTrail(), rules, PARTITIONS)
    told = []
    for _ in range(2):
        batches = normalizer.quickly(units, PLACE, 0, 2 * len(units.raws))
        assert batches is not None
        for _, batch in batches:
            for hit in batch.hits:
                row = hit.event
                window = int(batch.time[row]) // 3_600_000
                subject = (batch.rules[hit.rule].id, batch.tenant.at(row), batch.entity.at(row))
                told.append(((*subject, window), bool(hit.explanation)))
    subjects = {subject for subject, _ in told}
    assert len(told) > len(subjects) > 1
    assert sorted(subject for subject, explained in told if explained) == sorted(subjects)
