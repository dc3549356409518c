"""Every rule of our own, on the events that it must and must not match."""

import re
from collections import Counter

import pytest

from sentinel.cli._rules.cases import Outcome, run_cases
from sentinel.cli.rules import CASES, OWN

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


def test_twenty_correlations_tell_a_story():
    from detectors.sigma import RuleSet

    ruleset = RuleSet.load([OWN])
    roots = [tree.root for tree in ruleset.plan.trees.values()]
    assert len(roots) >= 20
    assert len({root.kind for root in roots}) >= 3
    for root in roots:
        assert root.techniques, root.path
        assert root.description, root.path
        assert root.falsepositives, root.path
        assert root.references, root.path
        assert root.severity_id >= 2, root.path
    sources = {rule.logsource.product for rule in ruleset.rules if rule.id in ruleset.plan.steps}
    assert sources >= {"aws", "azure", "gcp", "kubernetes", "linux", "okta", "github", "m365"}


def test_a_sequence_that_fires_too_early_or_never_is_told(tmp_path):
    """The case file of a correlation is run as such: its events, their times, its groups."""
    place = "correlations/aws_secrets_read_en_masse.yml"
    rules, cases = tmp_path / "rules", tmp_path / "cases"
    for folder, origin in ((rules, OWN), (cases, CASES)):
        file = folder / place
        file.parent.mkdir(parents=True)
        file.write_text((origin / place).read_text())
    assert {each.problem for each in run_cases(rules, cases)} == {""}
    (cases / place).write_text((CASES / place).read_text().replace("every: 5s", "every: 2m"))
    told = {each.case: each.problem for each in run_cases(rules, cases) if each.problem}
    assert told == {"sixteen secrets": "expected an alert, found none"}
