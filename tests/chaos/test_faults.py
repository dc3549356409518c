"""Each fault once, under load: nothing lost, nothing twice, nothing unaccounted for.

``make chaos N=100`` does the same at random, any number of times.
"""

from __future__ import annotations

from math import isfinite

import pytest

from bench.chaos.faults import FAULTS
from bench.chaos.trial import RULE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


#: `make chaos` has these too; they take up to 90 s each.
LONG = {
    *("kill_stages", "lose_postgres", "lose_kafka"),
    *("slow_kafka", "slow_postgres"),
    *("fill_disks", "fill_kafka", "fill_postgres"),  # and they need a disk to mount
}


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in LONG])
def test_a_fault_neither_loses_nor_doubles(trials, fault):
    verdict = trials.run(fault)
    assert verdict.clean, verdict
    assert verdict.messages
    assert isfinite(verdict.resume_s), verdict  # `make chaos` asks for 15 s: no test is timed


def test_a_rule_and_a_model_that_raise_cost_nothing_but_their_own_alerts(trials):
    """Events, other rules and the other model's alerts are there; the failures are counted."""
    before = len(trials.oracle.outcome.evidence)
    verdict = trials.run("raise_inside")
    assert verdict.clean, verdict
    new = trials.oracle.outcome.evidence[before:]
    assert new
    assert RULE not in {rule for _, _, rule, _ in new}
    assert trials.failures["normalize", "rule"]
    assert trials.failures["detect", "ZeroDivisionError"]


def test_the_oracle_knew_of_all_kinds(trials):
    """The comparison above would be empty without alerts of all kinds, and poison."""
    if not trials.oracle.outcome.events:
        pytest.skip("no fault was tried before")
    outcome = trials.oracle.outcome
    assert {"rule", "correlation", "risk"} <= {kind for _, kind, _, _ in outcome.evidence}
    assert outcome.letters
    assert sum(outcome.alerts.values()) == len(outcome.evidence)


def test_workers_stop_when_they_are_asked_to(trials):
    """Under load and with stores away: no supervisor had to kill one."""
    if not trials.platform.stop_s:
        pytest.skip("no worker was stopped before")
    assert [line for line in trials.platform.said if "did not stop" in line] == []
