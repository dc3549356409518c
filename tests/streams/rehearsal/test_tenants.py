"""Two tenants on one worker: the same events, and each has its rules and models its own way."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import detectors.rules
from connectors.cloudtrail import CloudTrail
from detectors.sigma import RuleSet
from detectors.suppress.policy import Policy, Suppression
from detectors.suppress.scope import Scope
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from streams.policy.suppressions import Board
from streams.rehearsal.backtest import run
from streams.rehearsal.pipeline import Message

ARRIVED = 1_767_700_000_000
OWN = Path(detectors.rules.__path__[0])
#: So low that models have much to say.
SETTINGS = Settings(partitions=1, model_threshold=0.45, risk_threshold=0.8)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet.load([OWN / "aws", OWN / "correlations"])


@pytest.fixture(scope="module")
def both() -> list[Message]:
    raws = [event.raw for event in simulate(seed=5) if event.source == "cloudtrail"]
    return [
        Message("raw.cloudtrail", 0, raw, tenant, ARRIVED)
        for raw in raws
        for tenant in ("acme", "beta")
    ]


def tuning(rule: str, **sets: Any) -> Suppression:
    scope = Scope(rules=(rule,))
    times = {"starts": ARRIVED - 10, "expires": ARRIVED + 10}
    return Suppression(tenant="acme", id=f"t-{rule}", kind="tuning", scope=scope, **times, **sets)


def alerts(both: list[Message], rules: RuleSet, *rows: Suppression) -> dict[str, dict[str, Any]]:
    """Return alerts by tenant, kind, rule and entity."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    outcome = run(both, rules, {"cloudtrail": CloudTrail}, SETTINGS, Board(Policy(rows)))
    for alert in outcome.alerts.values():
        found[alert["tenant"]][alert["kind"], alert["rule_id"], alert["entity"]] = alert
    return found


@pytest.fixture(scope="module")
def plain(both: list[Message], rules: RuleSet) -> dict[str, dict[str, Any]]:
    return alerts(both, rules)


def of_kind(found: dict[Any, Any], kind: str) -> set[str]:
    return {rule for which, rule, _ in found if which == kind}


def test_without_settings_both_have_the_same(plain: dict[str, dict[str, Any]]) -> None:
    assert plain["acme"].keys() == plain["beta"].keys()
    assert len(of_kind(plain["acme"], "rule")) > 3
    assert of_kind(plain["acme"], "model")
    assert of_kind(plain["acme"], "correlation")


def test_one_tenant_has_rules_off_on_trial_or_of_another_severity(
    both: list[Message], rules: RuleSet, plain: dict[str, dict[str, Any]]
) -> None:
    off, trial, mild, *_ = sorted(of_kind(plain["acme"], "rule"))
    found = alerts(
        both,
        rules,
        tuning(off, disabled=True),
        tuning(trial, staged=True),
        tuning(mild, severity=1),
    )
    assert of_kind(plain["acme"], "rule") - of_kind(found["acme"], "rule") == {off}
    for (_, rule, _), alert in found["acme"].items():
        if rule == trial:
            assert alert["status"] == "staged"
        if rule == mild:
            assert (alert["severity_id"], alert["status"]) == (1, "new")
    assert found["beta"] == plain["beta"], "nothing changes for the other"


def test_one_tenant_has_models_off_and_the_other_the_same_as_before(
    both: list[Message], rules: RuleSet, plain: dict[str, dict[str, Any]]
) -> None:
    found = alerts(both, rules, tuning("model.*", disabled=True))
    assert of_kind(found["acme"], "model") == set()
    assert found["beta"] == plain["beta"]
    scores = [alert["score"] for (kind, *_), alert in plain["acme"].items() if kind == "model"]
    bar = sorted(scores)[len(scores) // 2]
    found = alerts(both, rules, tuning("model.*", threshold=bar))
    above = [alert["score"] for (kind, *_), alert in found["acme"].items() if kind == "model"]
    assert above
    assert min(above) >= bar - 1e-9
    assert sorted(above) == sorted(score for score in scores if score >= bar)


def test_a_correlation_that_is_off_is_kept_quietly_and_without_its_rules_there_is_none(
    both: list[Message], rules: RuleSet, plain: dict[str, dict[str, Any]]
) -> None:
    name = sorted(of_kind(plain["acme"], "correlation"))[0]
    found = alerts(both, rules, tuning(name, disabled=True))
    quiet = [alert for (_, rule, _), alert in found["acme"].items() if rule == name]
    assert {(alert["status"], alert["suppression"]) for alert in quiet} == {
        ("suppressed", f"t-{name}")
    }
    parts = rules.plan.rules_of(name)
    found = alerts(both, rules, *(tuning(part, disabled=True) for part in parts))
    assert name not in of_kind(found["acme"], "correlation")
    assert name in of_kind(found["beta"], "correlation")
