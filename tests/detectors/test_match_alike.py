"""Whole batches of real connectors' events are judged as one event by itself is."""

import json
from pathlib import Path

import pytest

import detectors.rules
from connectors._golden import cases
from connectors.auditd import Auditd
from connectors.cloudtrail import MANY, CloudTrail
from detectors.sigma import RuleSet
from tests.detectors.sigma_rules import load, write

LINUX = {"product": "linux", "service": "auditd"}

CONDITIONS = ["keywords", "selection and keywords", "selection and not keywords"]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_keywords_are_searched_in_every_event_of_a_large_batch(tmp_path, condition):
    """A rule with keywords matches what it matches one by one, and stops nothing."""
    rules = load(
        tmp_path,
        {"selection": {"eventName": "Look"}, "keywords": ["needle"], "condition": condition},
    )
    raws = [
        json.dumps({
            "eventVersion": "1.09", "eventTime": "2026-01-05T08:00:00Z", "eventName": "Look",
            "eventSource": "ec2.amazonaws.com", "eventID": str(number),
            "requestParameters": {"note": "a needle" if number % 5 == 0 else "hay"},
        }).encode()
        for number in range(MANY + 10)
    ]  # fmt: skip
    connector = CloudTrail()
    decoder = connector.decoder(frozenset(rules.rules[0].fields))
    matcher = rules.matcher(decoder.getter, decoder.text)
    together = [row for row, _ in matcher.match(connector.decode_all(decoder, raws))]
    assert not matcher.errors
    assert together == [row for row, _ in matcher.match([decoder.decode(raw) for raw in raws])]
    assert 0 < len(together) < len(raws)


def test_auditd_events_match_by_the_index_what_they_match_without(tmp_path):
    """Fields that are dear to read are read only where they matter: that leaves nothing out."""
    rules = RuleSet.load([Path(detectors.rules.__path__[0])])
    write(tmp_path, {"k": ["sshd", "*denied*for*"], "condition": "k"}, logsource=LINUX)
    more = RuleSet.load([tmp_path])
    connector = Auditd()
    chosen = RuleSet([*rules.rules, *more.rules]).select(connector.logsources)
    decoder = connector.decoder(frozenset().union(*(rule.fields for rule in chosen.rules)))
    matcher = chosen.reading(decoder)
    units = [
        unit
        for raw, _ in cases(Path(__file__).parents[1] / "connectors" / "golden", "auditd")
        for unit in events_of(connector, raw.read_bytes())
    ]
    assert len(units) > 20
    for _ in range(3):
        decoded = [decoder.decode(unit) for unit in units * 20]
        found = [(row, rule.id) for row, rule in matcher.match(decoded)]
        assert not matcher.errors
        expected = [(row, rule.id) for row, rule in matcher.match_brute(decoded[: len(units)])]
        assert [each for each in found if each[0] < len(units)] == expected
        assert len(found) == 20 * len(expected) > 0


def events_of(connector: Auditd, data: bytes) -> list[bytes]:
    assembler = connector.assembler()
    return [*assembler.feed(list(connector.split(data)), 0), *assembler.flush()]
