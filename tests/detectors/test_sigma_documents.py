"""What is in rule files beside rules: filters, values of placeholders, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors.sigma import RuleSet
from tests.detectors.sigma_rules import HEAD, load, matches, selection, write

FILTER = {
    "title": "Known administrators",
    "id": "5cf55ae2-7a2c-4d3c-9a57-3b0c2c1cfb31",
    "logsource": {"product": "aws"},
    "filter": {
        "rules": [HEAD["id"]],
        "admins": {"user|startswith": "adm_"},
        "condition": "not admins",
    },
}


def add(folder: Path, name: str, *documents: Any) -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump_all(documents))
    return file


@pytest.mark.parametrize("named", [[HEAD["id"]], ["my_rule"], "any", HEAD["id"], []])
def test_a_filter_is_added_to_the_rules_that_it_names(tmp_path, named):
    add(tmp_path, "rule.yml", HEAD | {"name": "my_rule", "detection": selection(f="a")})
    add(tmp_path, "filter.yml", FILTER | {"filter": FILTER["filter"] | {"rules": named}})
    ruleset = RuleSet.load([tmp_path])
    assert matches(ruleset, {"f": "a", "user": "eve"})
    assert not matches(ruleset, {"f": "a", "user": "adm_bob"})
    assert ruleset.rules[0].condition == "(selection) and (not admins)"


def test_a_filter_that_does_nothing_is_listed(tmp_path):
    write(tmp_path, selection(f="a"))
    other = FILTER | {"logsource": {"product": "linux"}}
    missing = FILTER | {"filter": FILTER["filter"] | {"rules": ["nobody"]}}
    add(tmp_path, "x1.yml", other)
    add(tmp_path, "x2.yml", missing)
    add(tmp_path, "x3.yml", FILTER | {"filter": {"rules": "any", "a": {"x": 1}}})
    ruleset = RuleSet.load([tmp_path])
    assert ruleset.rules[0].condition == "selection"
    reasons = {Path(each.path).name: each.reason for each in ruleset.unsupported}
    assert "log source" in reasons["x1.yml"]
    assert "names nobody, which is no rule" in reasons["x2.yml"]
    assert "condition" in reasons["x3.yml"]


def test_a_filter_is_found_again_in_the_cache(tmp_path):
    rules, cache = tmp_path / "rules", tmp_path / "cache"
    write(rules, selection(f="a"))
    add(rules, "filter.yml", FILTER)
    first, second = (RuleSet.load([rules], cache=cache) for _ in range(2))
    assert first.rules[0].node == second.rules[0].node
    assert not matches(second, {"f": "a", "user": "adm_bob"})


def test_values_of_placeholders_come_from_a_file_beside_the_rules(tmp_path):
    add(tmp_path, "placeholders.yml", {"admins": ["root", "adm_*"], "ports": [22]})
    ruleset = load(tmp_path, selection(f__expand="%admins%", g__expand="%ports%"))
    assert matches(ruleset, {"f": "ROOT", "g": 22})
    assert matches(ruleset, {"f": "root", "g": "22"})
    assert not matches(ruleset, {"f": "guest", "g": 22})


def test_values_given_by_the_caller_come_before_those_of_the_file(tmp_path):
    add(tmp_path, "placeholders.yml", {"admins": ["root"]})
    ruleset = load(tmp_path, selection(f__expand="%admins%"), placeholders={"admins": ["toor"]})
    assert matches(ruleset, {"f": "toor"})
    assert not matches(ruleset, {"f": "root"})


@pytest.mark.parametrize("content", ["- a", "admins: root", "{", "admins: [{a: b}]"])
def test_a_bad_file_of_placeholders_is_listed_and_costs_nothing_else(tmp_path, content):
    (tmp_path / "placeholders.yml").write_text(content)
    ruleset = load(tmp_path, selection(f="a"))
    assert len(ruleset.rules) == 1
    (listed,) = ruleset.unsupported
    assert listed.path.endswith("placeholders.yml")


def test_a_placeholder_without_values_is_listed(tmp_path):
    (listed,) = load(tmp_path, selection(f__expand="%admins%")).unsupported
    assert "%admins%" in listed.reason


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        (
            "selection | count() > 5",
            "type: event_count, rules: [",
        ),
        ("selection | count() by src >= 5", "group-by: [src], timespan: 10m, condition: {gte: 5}"),
        ("selection | count(user) by src < 5", "type: value_count"),
        ("selection | count(user) by src < 5", "condition: {field: user, lt: 5}"),
        ("selection | sum(bytes) > 5", "type: value_sum"),
        ("selection | avg(bytes) > 5", "type: value_avg"),
        ("selection | near other and third", "type: temporal, rules: [selection, other, third]"),
        ("selection | max(bytes) > 5", "no type of correlation"),
        ("selection | something", "no type of correlation"),
    ],
)
def test_an_aggregation_is_refused_with_the_correlation_to_write(tmp_path, condition, instead):
    detection = {"selection": {"f": "a"}, "timeframe": "10m", "condition": condition}
    ruleset = load(tmp_path, detection)
    assert not ruleset.rules
    (listed,) = ruleset.unsupported
    assert instead in listed.reason


def test_the_actions_of_a_collection(tmp_path):
    add(
        tmp_path,
        "rules.yml",
        {"action": "global", "logsource": {"product": "aws"}, "level": "low"},
        {"title": "One", "detection": selection(f="a")},
        {"action": "repeat", "title": "Two", "detection": {"selection": {"g": "b"}}},
        {"action": "reset"},
        {"title": "Three", "logsource": {"product": "linux"}, "detection": selection(f="c")},
        {"title": "Many", "correlation": {"type": "event_count", "rules": ["One"]}},
    )
    ruleset = RuleSet.load([tmp_path])
    told = {rule.title: (rule.logsource.product, rule.severity_id) for rule in ruleset.rules}
    assert told == {"One": ("aws", 2), "Two": ("aws", 2), "Three": ("linux", 3)}
    two = RuleSet([rule for rule in ruleset.rules if rule.title == "Two"])
    assert matches(two, {"f": "a", "g": "b"})
    assert not matches(two, {"f": "a"})
    (listed,) = ruleset.unsupported
    assert listed.reason.startswith("correlation")
