"""The risk of an entity: what adds to it, how it fades, when it alerts, and what bounds it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.incidents.risk import (
    BREADTH,
    COOL_MS,
    HALF_LIFE_MS,
    HOUR_MS,
    MAX_PARTS,
    NO_TACTIC,
    WEIGHTS,
    Risk,
)
from detectors.online.signals import Fold
from sentinel.errors import SchemaError

START = 1_767_600_000_000
#: Persistence, discovery, impact: techniques with that tactic first.
PERSIST, LOOK, WRECK = "T1098", "T1087", "T1485"


def hit(rule, score=0.7, at=0, entity="ada", kind="rule", technique="", **changes):
    """One event of one rule: hours after the start."""
    time = START + round(at * HOUR_MS)
    return {
        "rule": rule, "kind": kind, "entity": entity, "tenant": "acme", "staged": False,
        "techniques": [technique] if technique else [], "score": score, "time": time,
        "arrived": time + 1,
    } | changes  # fmt: skip


def run(risk, hits, first=0):
    """Feed hits, one event each, as one call; return the risk signals."""
    fold = Fold(HOUR_MS)
    for row, each in enumerate(hits, first):
        said = {
            "tenant": each["tenant"], "source": "cloudtrail", "kind": each["kind"],
            "rule_id": each["rule"], "title": each["rule"].upper(), "severity_id": 4,
            "techniques": each["techniques"], "entity": each["entity"], "group": each["entity"],
            "staged": each["staged"],
        }  # fmt: skip
        event = {
            "uid": row.to_bytes(16, "big"), "time": each["time"], "arrived": each["arrived"],
            "origin": row // 3, "row": row, "score": each["score"], "raw": b"",
        }  # fmt: skip
        fold.add(said, event, lambda: "{}")
    risk.observe(fold)
    return [signal for signal in fold.signals.values() if signal["kind"] == "risk"]


def test_the_sum_is_of_points_that_halve_times_breadth():
    risk = Risk()
    run(risk, [hit("a", 0.7, technique=PERSIST), hit("b", 0.5, at=12, technique=LOOK)])
    later = START + 24 * HOUR_MS
    one = 0.7 * WEIGHTS["persistence"] * 0.5
    two = 0.5 * WEIGHTS["discovery"] * 0.5**0.5
    assert risk.risk("acme", "ada", later) == pytest.approx((one + two) * (1 + BREADTH))
    assert risk.risk("acme", "bob", later) == 0
    assert risk.risk("other", "ada", later) == 0


@given(st.floats(0.2, 1), st.floats(0, 100), st.floats(0, 100))
def test_fading_twice_is_fading_once(score, one, two):
    risk = Risk()
    run(risk, [hit("a", score)])
    first = risk.risk("acme", "ada", START + round(one * HOUR_MS))
    both = risk.risk("acme", "ada", START + round((one + two) * HOUR_MS))
    if both:
        assert both == pytest.approx(first * 0.5 ** (two * HOUR_MS / HALF_LIFE_MS), rel=1e-5)
    assert first <= score * NO_TACTIC + 1e-12


def test_different_stages_alert_and_name_their_parts():
    hits = [hit("key", technique=PERSIST), hit("list", 0.3, at=1, technique=LOOK),
            hit("wipe", 0.9, at=2, technique=WRECK)]  # fmt: skip
    (signal,) = run(Risk(), hits)
    assert (signal["rule_id"], signal["entity"]) == ("risk.entity", "ada")
    assert signal["techniques"] == sorted([PERSIST, LOOK, WRECK])
    assert [event["uid"][-1] for event in signal["events"]] == [2]
    assert 0.6 <= signal["score"] <= 1
    said = json.loads(signal["explanation"])
    assert said["kind"] == "risk"
    assert [part["value"] for part in said["contributions"]] == ["wipe", "key", "list"]
    assert sum(part["weight"] for part in said["contributions"]) == pytest.approx(1, abs=1e-3)
    assert said["baseline"]["tactics"] == ["persistence", "discovery", "impact"]
    assert said["what"].startswith("The risk of ada is ")
    assert "over 3 tactics: WIPE, KEY, LIST." in said["what"]


@pytest.mark.parametrize(
    "hits",
    [
        [hit("a", 0.9, at=n / 10) for n in range(500)],
        [hit(f"m{n}", 0.8, kind="model") for n in range(5)],
        [hit(f"r{n}", 0.9, staged=True) for n in range(9)],
        [hit(f"r{n}", 0.9, entity=f"e{n}") for n in range(9)],
        [hit(f"r{n}", 0.9, entity="") for n in range(9)],
        [hit(f"r{n}", 0.7, at=72 * n, technique=WRECK) for n in range(9)],
    ],
    ids=["one rule", "models", "on trial", "others", "no one", "far apart"],
)
def test_what_is_no_risk_by_itself(hits):
    assert run(Risk(), hits) == []


def rules(first, count, at=0.0):
    return [hit(f"r{n}", 0.9, at=at) for n in range(first, first + count)]


def test_after_an_alert_it_is_quiet_until_it_cools_or_escalates():
    risk = Risk()
    assert len(run(risk, rules(0, 3))) == 1
    assert run(risk, rules(3, 1, at=1)) == [], "a little more"
    assert len(run(risk, rules(4, 2, at=2))) == 1, "half as much again"
    assert run(risk, rules(0, 2, at=3)) == []
    assert len(run(risk, rules(0, 3, at=2 + COOL_MS / HOUR_MS))) == 1, "a day later"


def test_a_risk_that_grows_within_one_call_says_all_of_it():
    (signal,) = run(Risk(), rules(0, 9))
    said = json.loads(signal["explanation"])
    assert len(signal["events"]) > 1
    assert (signal["severity_id"], signal["score"]) == (5, 1)
    assert len(said["contributions"]) > 3


def test_a_clock_in_the_future_does_not_make_the_rest_old():
    risk = Risk()
    run(risk, [hit("a", 0.9, time=START + 10**12)])
    (signal,) = run(risk, [hit("b", 0.9, at=1), hit("c", 0.9, at=1)])
    assert json.loads(signal["explanation"])["contributions"][-1]["value"] == "a"


#: What a rule is, it is in every hit.
RULES = {"r0": ("rule", ""), "r1": ("rule", PERSIST), "r2": ("rule", LOOK), "r3": ("rule", WRECK),
         "m0": ("model", ""), "m1": ("model", LOOK)}  # fmt: skip
hits_ = st.lists(
    st.tuples(
        st.sampled_from(sorted(RULES)),
        st.floats(0.1, 1),
        st.floats(0, 60),
        st.sampled_from(["ada", "bob"]),
    ).map(lambda each: hit(*each, *RULES[each[0]])),
    max_size=40,
)


@given(hits_, st.integers(0, 13))
def test_batches_and_restarts_make_no_difference(hits, cut):
    """Cut between two records; the same alerts, on the same events, for the same reasons."""

    def said(signals):
        return [(s["entity"], e["uid"], e["score"]) for s in signals for e in s["events"]]

    whole, first, second = Risk(), Risk(), Risk()
    expected = said(run(whole, hits))
    found = said(run(first, hits[: 3 * cut]))
    second.restore(first.snapshot())
    found += said(run(second, hits[3 * cut :], 3 * cut))
    assert sorted(found) == sorted(expected)
    assert second.snapshot() == whole.snapshot()


def test_state_is_bounded_and_what_goes_is_counted():
    risk = Risk(math.nextafter(math.inf, 0), max_entities=2)
    run(risk, [hit("a", entity=f"e{n}") for n in range(5)])
    assert risk.evictions == 3
    run(risk, [hit(f"r{n:03}", 0.5 + n / 1000) for n in range(MAX_PARTS + 10)])
    assert risk.evictions == 3 + 1 + 10
    assert risk.risk("acme", "ada", START) == pytest.approx(
        NO_TACTIC * sum(0.5 + n / 1000 for n in range(10, MAX_PARTS + 10))
    )
    run(risk, [hit("late", at=400)])
    assert risk.evictions == 3 + 1 + 10, "what has faded away is not what there was no room for"


def test_infinity_switches_it_off_and_a_broken_state_is_refused():
    assert run(Risk(math.inf), rules(0, 50)) == []
    with pytest.raises(SchemaError):
        Risk().restore(b"\xc1")
