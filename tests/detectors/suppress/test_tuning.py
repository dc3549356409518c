"""How a tenant has its rules and models, and what dispositions make of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.suppress.draft import draft
from detectors.suppress.feedback import HIGHEST, Judged, Proposal, proposals, threshold
from detectors.suppress.gate import Gate
from detectors.suppress.policy import Policy, Suppression
from detectors.suppress.scope import Scope
from detectors.suppress.tuning import PLAIN
from sentinel.errors import SettingsError

NOW, LATER = 1_772_366_400_000, 1_772_370_000_000
BAD = Judged("r1", "cloudtrail", "ada", "R", "false_positive", 0.7)
GUESS = BAD._replace(rule_id="model.x", score=0.62)


def row(ident: str, rule: str = "r1", tenant: str = "acme", **changes) -> Suppression:
    given_ = {"tenant": tenant, "id": ident, "kind": "tuning", "scope": Scope(rules=(rule,)),
              "starts": NOW, "expires": LATER}  # fmt: skip
    return Suppression(**given_ | changes)


def asked(rules: tuple[str, ...] = ("r1",), **changes):
    given_ = {"tenant": "acme", "owner": "ada", "reason": "known", "expires": LATER, "now": NOW}
    scope = changes.pop("scope", Scope(rules=rules))
    return draft(changes.pop("kind", "tuning"), scope, **given_ | {"tuning": changes})


def test_a_tenant_counts_before_everyone_a_person_before_what_was_learnt_later_before_earlier():
    tunings = Policy([
        row("a", severity=5, starts=NOW + 9),
        row("b", tenant="*", severity=1, starts=NOW + 10, staged=True),
        row("c", severity=2),
        row("d", threshold=0.9, learned=True, starts=NOW + 20),
        row("e", threshold=0.7),
        row("f", tenant="beta", disabled=True),
    ]).tunings  # fmt: skip
    said = tunings.of("acme", "r1", "cloudtrail", NOW + 30)
    assert (said.severity, said.staged, said.threshold, said.disabled) == (5, True, 0.7, None)
    assert tunings.of("beta", "r1", "cloudtrail", NOW + 30)[:2] == (True, "f")
    assert tunings.of("acme", "r1", "cloudtrail", LATER) == PLAIN, "by arrival"
    assert tunings.of("acme", "r2", "cloudtrail", NOW) == PLAIN


def test_a_removed_tuning_holds_for_what_came_before():
    tunings = Policy([row("a", disabled=True, removed=NOW + 5)]).tunings
    assert tunings.of("acme", "r1", "s", NOW + 4).disabled
    assert tunings.of("acme", "r1", "s", NOW + 5).disabled is None


def test_bars_of_models_go_by_the_arrival_of_each_event():
    tunings = Policy([
        row("a", "model.x", threshold=0.8, starts=NOW + 5),
        row("b", "model.*", disabled=True, starts=NOW + 9),
    ]).tunings  # fmt: skip
    arrived = np.array([NOW, NOW + 5, NOW + 9, NOW + 5])
    bars = tunings.bars("acme", "cloudtrail", ["model.x", "model.y"], arrived)
    np.testing.assert_array_equal(
        bars, [[np.nan, 4.0, np.inf, 4.0], [np.nan, np.nan, np.inf, np.nan]]
    )
    assert tunings.bars("beta", "cloudtrail", ["model.x"], arrived) is None


@pytest.mark.parametrize("kind", ["correlation", "risk", "model"])
def test_the_gate_tunes_what_is_no_plain_rule(kind):
    def alert():
        event = {"arrived": NOW, "time": NOW}
        return {"tenant": "acme", "id": "a1", "kind": kind, "rule_id": "r1", "source": "s",
                "severity_id": 4, "events": [event], "status": "new", "count": 1}  # fmt: skip

    (quiet,) = Gate().process([alert()], Policy([row("t1", disabled=True)]))
    assert (quiet["status"], quiet["suppression"]) == ("suppressed", "t1")
    (trial,) = Gate().process([alert()], Policy([row("t1", staged=True, severity=2)]))
    assert (trial["status"], trial["severity_id"]) == ("staged", 2)
    (live,) = Gate().process([alert() | {"status": "staged"}], Policy([row("t1", staged=False)]))
    assert live["status"] == "new"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "at least one of disabled"),
        ({"severity": 6}, "severity of 1 to 5"),
        ({"threshold": 0.7}, "rules have none"),
        ({"rules": ("model.x",), "threshold": 1.2}, "above 0 and up to 1"),
        ({"scope": Scope(rules=("r1",), entities=("ada",)), "disabled": True}, "sources at most"),
        ({"scope": Scope(), "disabled": True}, "name rules"),
        ({"kind": "suppression", "disabled": True}, "of a tuning, and only"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        asked(**changes)


def test_a_tuning_needs_no_near_end():
    made = asked(("model.x",), threshold=0.7)
    assert (made["kind"], made["threshold"], made["disabled"]) == ("tuning", 0.7, None)


def test_the_odds_of_wrong_to_right_raise_a_threshold_but_never_above_what_was_right():
    assert threshold([GUESS] * 9, 0.6) == 0.8, "ten to one: a decade, 0.2"
    assert threshold([GUESS] * 4, 0.6) == 0.6, "too few to tell"
    right = GUESS._replace(disposition="true_positive", score=0.65)
    assert threshold([GUESS] * 9 + [right], 0.6) == 0.65
    assert threshold([right] * 9 + [GUESS], 0.6) == 0.6
    assert threshold([GUESS._replace(disposition="undetermined")] * 99, 0.6) == 0.6


@given(
    st.lists(st.tuples(st.sampled_from(["true_positive", "benign"]), st.floats(0.6, 1))),
    st.floats(0.3, 0.9),
)
def test_a_threshold_keeps_its_bounds(judged, base):
    rows = [GUESS._replace(disposition=what, score=score) for what, score in judged]
    found = threshold(rows, base)
    assert base <= found <= max(base, HIGHEST)
    assert math.isfinite(found)
    for each in rows:
        if each.disposition == "true_positive" and each.score >= base:
            assert each.score >= found, "it would be found again"


def test_what_was_only_ever_wrong_is_proposed_where_it_was():
    other = BAD._replace(entity="eve", disposition="true_positive")
    (found,) = proposals([BAD, BAD, BAD, other, other, BAD._replace(entity="bob")])
    assert found == Proposal("suppress", "r1", "R", "cloudtrail", "ada", 3)
    assert proposals([BAD, BAD, BAD, BAD._replace(disposition="true_positive")]) == []
    many = [BAD._replace(entity=f"u{n % 5}") for n in range(12)]
    assert proposals(many) == [Proposal("stage", "r1", "R", "cloudtrail", "", 12)]
    assert proposals([each._replace(rule_id="model.x", entity=f"{n}") for n, each in
                      enumerate(many)]) == [], "its threshold follows"  # fmt: skip
