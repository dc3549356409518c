"""The sample hour is reproducible, ordered, labelled, and what real readers can read."""

import json
from collections import Counter

import pytest

from sentinel.sample.hour import simulate


@pytest.fixture(scope="module")
def events():
    return list(simulate(seed=3, minutes=60))


def test_same_seed_gives_the_same_bytes(events):
    """A figure measured on the sample can be measured again."""
    assert list(simulate(seed=3, minutes=60)) == events
    assert list(simulate(seed=4, minutes=60)) != events


def test_without_attacks_all_is_ordinary_and_pace_says_how_much(events):
    """What alerts are counted on as false must be the same company, unattacked."""
    quiet = list(simulate(seed=3, minutes=60, attacks=False))
    assert [event.raw for event in quiet if event.source == "cloudtrail"] == [
        event.raw for event in events if event.source == "cloudtrail" and not event.label.attack
    ]
    assert not any(event.label.attack for event in quiet)
    slow = [e for e in simulate(3, minutes=60, pace=0.1, attacks=False) if e.source == "cloudtrail"]
    assert 120 < len(slow) < 330


def test_events_come_in_order_of_time_and_stay_inside_the_hour(events):
    times = [event.time for event in events]
    assert times == sorted(times)
    assert times[-1] - times[0] < 3700


def test_both_stories_run_through_all_their_steps(events):
    """An analyst who follows the labels sees each attack from entry to end."""
    steps = Counter((e.label.story, e.label.step) for e in events if e.label.attack)
    assert {step for story, step in steps if story == "stolen-key"} == {
        "stolen key", "enumeration", "privilege escalation", "persistence",
        "defence evasion", "exfiltration",
    }  # fmt: skip
    assert {"web shell", "download", "privilege escalation", "log wiping"} <= {
        step for story, step in steps if story == "web-shell"
    }


def test_attacks_are_rare_and_hide_among_the_victims_own_events(events):
    attacks = [event for event in events if event.label.attack]
    assert 0 < len(attacks) / len(events) < 0.05
    calls = [json.loads(e.raw) for e in events if e.source == "cloudtrail" and not e.label.attack]
    assert any(call["userIdentity"].get("userName") == "kim" for call in calls)


def test_ids_are_unique_and_those_of_the_source(events):
    assert len({(event.source, event.uid) for event in events}) == len(events)
    for event in events:
        if event.source == "cloudtrail":
            assert json.loads(event.raw)["eventID"] == event.uid
        else:
            node, stamp = event.uid.split(":", 1)
            assert all(
                line.startswith(f"node={node} type=".encode())
                and f"audit({stamp}):".encode() in line
                for line in event.raw.splitlines()
            )


def test_no_real_address_or_account_is_in_it(events):
    """Only documentation ranges (RFC 5737, AWS's example accounts) and private ones."""
    for event in events:
        if event.source == "cloudtrail":
            call = json.loads(event.raw)
            assert call["recipientAccountId"] == "111122223333"
            assert call["sourceIPAddress"].startswith(
                ("192.0.2.", "198.51.100.", "203.0.113.", "10.")
            )
