"""Past events through the whole pipeline, however handed over; how two sets of rules differ."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

import detectors.rules
from connectors import auditd, cloudtrail
from detectors.sigma import RuleSet
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from streams.rehearsal import backtest
from streams.rehearsal.backtest import compare, run
from streams.rehearsal.pipeline import Message

OWN = Path(detectors.rules.__path__[0])
SOURCES = {"cloudtrail": cloudtrail.CloudTrail, "auditd": auditd.Auditd}
SETTINGS = Settings(partitions=2)
RULE = {
    "title": "Anything by kim",
    "id": "11111111-2222-4333-8444-555555555555",
    "status": "test",
    "level": "low",
    "logsource": {"product": "aws", "service": "cloudtrail"},
    "detection": {"kim": {"userIdentity.userName": "kim"}, "condition": "kim"},
}


@pytest.fixture(scope="module")
def hour() -> list[Message]:
    return [
        Message(f"raw.{event.source}", 0, event.raw, "default", 1_767_700_000_000)
        for event in simulate(seed=5)
    ]


@pytest.fixture(scope="module")
def own() -> RuleSet:
    return RuleSet.load([OWN / "aws", OWN / "linux", OWN / "correlations"])


@pytest.fixture(scope="module")
def whole(hour, own):
    return run(hour, own, SOURCES, SETTINGS)


def test_attacks_are_found_with_rules_and_correlations(whole):
    kinds = {alert["kind"] for alert in whole.alerts.values()}
    assert {"rule", "correlation"} <= kinds
    assert whole.events > 1000
    assert whole.dead_letters == 0
    assert 3000 < (whole.last - whole.first) / 1000 < 4000, "an hour"
    assert whole.times_real_time > 20


@pytest.mark.parametrize("size", [7, 500])
def test_how_many_are_handed_over_at_a_time_does_not_matter(hour, own, whole, size, monkeypatch):
    monkeypatch.setattr(backtest, "BATCH", size)
    assert run(hour, own, SOURCES, SETTINGS).alerts == whole.alerts


def test_the_difference_of_two_sets_is_what_the_one_rule_says(hour, own, whole, tmp_path):
    (tmp_path / "kim.yml").write_text(yaml.safe_dump(RULE))
    parts = [OWN / "aws", OWN / "linux", OWN / "correlations", tmp_path]
    more = run(hour, RuleSet.load(parts), SOURCES, SETTINGS)
    found = compare(whole, more)
    assert {alert["rule_id"] for alert in found.only_b} == {RULE["id"]}
    assert [alert for alert in found.only_a if alert["kind"] == "rule"] == []
    back = compare(more, whole)
    assert (back.only_a, back.only_b) == (found.only_b, found.only_a)


def test_an_alert_of_fewer_events_is_told_as_changed(hour, own, whole):
    alert = max(whole.alerts.values(), key=lambda alert: len(alert["event_uids"]))
    assert len(alert["event_uids"]) > 1
    kept = random.Random(3).sample(hour, len(hour) * 2 // 3)
    fewer = run([each for each in hour if each in set(kept)], own, SOURCES, SETTINGS)
    changed = {after["id"] for _, after in compare(whole, fewer).changed}
    both = set(whole.alerts) & set(fewer.alerts)
    assert changed == {
        ident
        for ident in both
        if whole.alerts[ident]["event_uids"] != fewer.alerts[ident]["event_uids"]
    }
    assert changed
