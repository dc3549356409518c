"""One shape for rules and models, and sentences that people can read."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from detectors.explain import model_explanation, rule_explanation
from detectors.match import dict_getter
from detectors.sigma import RuleSet
from schemas.batch import RuleRef

RULE = RuleRef("r1", "Access key created", 4, ("T1098.001",))
MATCHED = {
    "condition": "selection and not filter",
    "matched": [
        {
            "selection": "selection",
            "field": "eventName",
            "modifiers": "",
            "pattern": "CreateAccessKey",
            "value": "CreateAccessKey",
        },
        {
            "selection": "selection",
            "field": "userAgent",
            "modifiers": "contains",
            "pattern": "kali",
            "value": "aws-cli kali",
        },
    ],
    "quiet": "filter: userName is 'svc'",
    "false_positives": ["Administrators"],
}
SAID = {
    "contributions": [
        {"field": "src_ip", "value": "203.0.113.9", "weight": 0.7},
        {"field": "rate", "value": 0.25, "weight": 0.3},
    ],
    "baseline": {"events": 1200},
    "cold_start": True,
    "quiet": "Having seen it.",
}


def test_both_have_the_same_keys() -> None:
    rule = json.loads(rule_explanation(RULE, MATCHED))
    model = json.loads(model_explanation("New value", ("T1078",), "alice", SAID))
    assert rule.keys() == model.keys()
    assert (rule["kind"], model["kind"]) == ("rule", "model")
    assert (rule["techniques"], model["techniques"]) == (["T1098.001"], ["T1078"])


def test_rule_says_what_matched() -> None:
    said = json.loads(rule_explanation(RULE, MATCHED, ["e1"]))
    assert said["what"] == (
        "Access key created: eventName is 'CreateAccessKey' and "
        "userAgent 'aws-cli kali' (contains 'kali')."
    )
    assert said["matched"] == MATCHED["matched"]
    assert said["condition"] == MATCHED["condition"]
    assert said["quiet"] == MATCHED["quiet"]
    assert said["false_positives"] == ["Administrators"]
    assert said["events"] == ["e1"]
    assert said["cold_start"] is False


def test_of_several_values_it_says_which_matched() -> None:
    values = {"field": "a", "value": ["auditctl", "-D"], "modifiers": ""}
    ends = values | {"modifiers": "endswith", "pattern": "ctl"}
    said = json.loads(rule_explanation(RULE, {"matched": [values | {"pattern": "-D"}, ends]}))
    assert said["what"] == "Access key created: a has '-D' and a has one that endswith 'ctl'."


def test_the_rule_engine_says_what_this_takes(tmp_path) -> None:
    rule = {
        "title": "Tool",
        "id": "0c1b5bd4-9fb2-4a8e-9a52-2f3f1f0a7a11",
        "status": "test",
        "level": "high",
        "description": "Tools of attackers\nname themselves.",
        "references": ["https://example.com/tools"],
        "logsource": {"product": "aws", "service": "cloudtrail"},
        "detection": {
            "selection": {"eventName": "CreateUser", "userAgent|contains": "KALI"},
            "filter": {"userName": "svc"},
            "condition": "selection and not filter",
        },
    }
    (tmp_path / "rule.yml").write_text(yaml.safe_dump(rule))
    matcher = RuleSet.load([tmp_path]).matcher(dict_getter)
    event = {"eventName": "CreateUser", "userAgent": "kali linux", "userName": "eve"}
    [(_, found)] = matcher.match([event])
    said = json.loads(rule_explanation(RULE, matcher.explain(event, found)))
    assert "eventName is 'CreateUser'" in said["what"]
    assert "userAgent 'kali linux' (contains" in said["what"]
    assert "userName" in said["quiet"]
    assert said["condition"] == "selection and not filter"
    assert said["description"] == "Tools of attackers name themselves."
    assert said["references"] == ["https://example.com/tools"]


def test_model_says_what_contributed_and_that_it_is_new() -> None:
    said = json.loads(model_explanation("New value", ("T1078",), "alice", SAID, ["e1"]))
    assert said["what"] == (
        "New value, by alice: src_ip '203.0.113.9', rate 0.25. The model is still learning."
    )
    assert said["contributions"] == SAID["contributions"]
    assert said["baseline"] == {"events": 1200}
    assert said["cold_start"] is True


def test_nothing_known_is_still_an_explanation() -> None:
    assert json.loads(rule_explanation(RULE, {}))["what"] == "Access key created."
    assert "unnamed" in json.loads(model_explanation("New value", (), "", {}))["what"]


def test_long_values_are_cut() -> None:
    matched = {"matched": [{"field": "cmd", "value": "x" * 1_000_000}]}
    assert len(rule_explanation(RULE, matched)) < 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values, pattern=json_values)
def test_any_value_an_event_can_hold(value, pattern) -> None:
    part = {"field": "f", "modifiers": "re", "pattern": pattern, "value": value}
    assert json.loads(rule_explanation(RULE, {"matched": [part]}))["matched"]
