"""Why an alert fired, as text: whatever kind of alert, and whatever an explanation lacks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.explain import (
    budget_explanation,
    model_explanation,
    risk_explanation,
    rule_explanation,
)
from detectors.explained import MOST, lines
from schemas.batch import RuleRef

RULE = RuleRef("r1", "Access key created", 4, ("T1098.001",))
PART = {"selection": "sel", "field": "eventName", "value": "CreateAccessKey", "pattern": "Create*",
        "modifiers": "startswith"}  # fmt: skip
RISK_PARTS = [
    {"rule_id": "r1", "title": "Key", "kind": "rule", "time": 0, "points": 0.7,
     "tactics": ["persistence"]},
    {"rule_id": "m", "title": "Rare", "kind": "model", "time": 5000, "points": 0.3, "tactics": []},
]  # fmt: skip


def text(explanation, **alert):
    return "\n".join(lines({"explanation": json.loads(explanation), "status": "new"} | alert))


@pytest.mark.parametrize(
    ("explanation", "said"),
    [
        (
            rule_explanation(RULE, {"condition": "sel", "matched": [PART], "quiet": "Other names.",
                                    "false_positives": ["Rotation"], "description": "A way back.",
                                    "references": ["https://example.com"]}),
            ["Access key created: ", "A way back.", "Read more\n  https://example.com",
             "Condition   sel",
             "sel: eventName = CreateAccessKey  (startswith Create*)", "Techniques  T1098.001",
             "Quiet if    Other names.", "Also caused by\n  Rotation"],
        ),
        (
            model_explanation("Rare", (), "ada", {
                "contributions": [{"field": "region", "value": "x", "weight": 0.75}],
                "baseline": {"since": 1_767_600_000_000, "rarity": 0.01}, "cold_start": True}),
            [" 75.0%  region: x", "since         2026-01-05 08:00:00 UTC", "rarity        0.01",
             "still short"],
        ),
        (
            risk_explanation("ada", 2.5, 2.0, RISK_PARTS, ["T1098"], ["persistence"], 24),
            ["The risk of ada is 2.50: Key, Rare.",
             " 70.0%  Key: r1  (0.70 points, 1970-01-01 00:00:00 UTC, persistence)",
             "threshold     2.0"],
        ),
        (
            budget_explanation("rule R", 5, "hour", 3_600_000, "b-1", "a-1"),
            ["has had the 5 alerts per hour", "budget = b-1", "alert = a-1", "sentinel suppress"],
        ),
    ],
    ids=["rule", "model", "risk", "budget"],
)  # fmt: skip
def test_every_kind_reads_as_text(explanation, said):
    shown = text(explanation)
    for part in said:
        assert part in shown


def test_what_is_quiet_says_why():
    explanation = rule_explanation(RULE, {})
    assert "suppressed by s-1" in text(explanation, status="suppressed", suppression="s-1")
    assert "on trial" in text(explanation, status="staged")
    assert "notified" not in text(explanation)


def test_a_long_list_is_cut_and_says_so():
    shown = text(rule_explanation(RULE, {"matched": [PART] * (MOST + 3)}))
    assert shown.count("eventName = ") == MOST
    assert "and 3 more" in shown


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
keys = st.sampled_from(["what", "matched", "contributions", "baseline", "techniques", "quiet"])


@given(anything | st.dictionaries(keys, anything))
def test_any_explanation_can_be_shown(explanation):
    assert all(isinstance(line, str) for line in lines({"explanation": explanation}))
