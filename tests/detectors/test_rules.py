"""Every rule of our own, on the events that it must and must not match."""

import re
from collections import Counter

import pytest

from sentinel.cli.rules import CASES, OWN, Outcome, run_cases

OUTCOMES = list(run_cases(OWN, CASES))


@pytest.mark.parametrize(
    "outcome", OUTCOMES, ids=[f"{each.rule}: {each.case}" for each in OUTCOMES]
)
def test_case(outcome: Outcome):
    assert outcome.problem == ""


def test_there_are_two_hundred_rules():
    rules = Counter(name.split("/")[0] for name in {each.rule for each in OUTCOMES})
    assert sum(rules.values()) >= 200
    assert rules["aws"] >= 60
    assert rules["linux"] >= 35


def test_every_rule_says_what_an_analyst_needs():
    from detectors.sigma import RuleSet

    ids = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
    for rule in RuleSet.load([OWN]).rules:
        assert ids.match(rule.id), rule.path
        assert rule.techniques, rule.path
        assert rule.description, rule.path
        assert rule.falsepositives, rule.path
        # "a: b" without quotes is a mapping in YAML, and an analyst would see its braces
        assert not any(text.startswith("{") for text in rule.falsepositives), rule.path
        assert rule.logsource.product, rule.path
