"""Incidents are the components of what shares a link in time; limits keep them apart."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.incidents.grouping import (
    DAY_MS,
    RISK,
    Incident,
    Known,
    Limits,
    Member,
    Near,
    assign,
    incident_id,
)
from detectors.incidents.links import EVENTS, MOST, links
from detectors.incidents.tactics import TACTICS, tactics_of

FREE = Limits(hub=10**6, alerts=10**6, span_ms=10**15)


def member(ident, *found, at=0, severity=3, title="T", **changes):
    return Member(
        id=str(ident), title=title, severity_id=severity, score=severity / 10,
        techniques=("T1078",), entity="ada", source="cloudtrail",
        first_seen=at, last_seen=at, links=frozenset(found),
    )._replace(**changes)  # fmt: skip


class Store:
    """What PostgreSQL keeps, as plain dictionaries."""

    def __init__(self, limits=FREE):
        self.limits = limits
        self.incidents: dict[str, Incident] = {}
        self.of: dict[str, str] = {}
        self.members: dict[str, Member] = {}
        self.merged: dict[str, str] = {}

    def write(self, *members):
        near = defaultdict(list)
        for each in self.members.values():
            for link in each.links:
                place = Near(each.id, self.of[each.id], each.first_seen, each.last_seen)
                near[link].append(place)
        own = {m.id: self.of[m.id] for m in members if m.id in self.of}
        made = assign("acme", members, Known(near, self.incidents, own), self.limits)
        for gone, into in made.merged.items():
            self.incidents.pop(gone, None)
            self.merged[gone] = into
            self.of = {a: into if i == gone else i for a, i in self.of.items()}
        self.incidents |= made.incidents
        self.of |= made.alerts
        self.members |= {each.id: each for each in members}
        return made

    def groups(self):
        found = defaultdict(set)
        for alert, ident in self.of.items():
            found[ident].add(alert)
        assert {i: len(a) for i, a in found.items()} == {
            i: each.alerts for i, each in self.incidents.items()
        }
        return {frozenset(each) for each in found.values()}


def components(members, window):
    """The reference: connected components, by brute force."""
    group = {each.id: {each.id} for each in members}
    for one in members:
        for other in members:
            near = max(one.first_seen - other.last_seen, other.first_seen - one.last_seen)
            if one.links & other.links and near <= window:
                whole = group[one.id] | group[other.id]
                for ident in whole:
                    group[ident] = whole
    return {frozenset(each) for each in group.values()}


alerts = st.lists(
    st.tuples(st.sets(st.sampled_from("abcdef"), max_size=3), st.integers(0, 6 * DAY_MS)),
    max_size=14,
).map(lambda rows: [member(n, *found, at=at) for n, (found, at) in enumerate(rows)])


@given(alerts, st.randoms(use_true_random=False), st.data())
def test_any_order_and_any_batches_give_the_components(members, random, data):
    shuffled = members[:]
    random.shuffle(shuffled)
    store = Store()
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        store.write(*shuffled[:size])
        shuffled = shuffled[size:]
    assert store.groups() == components(members, DAY_MS)
    if members:
        store.write(*members)
        assert store.groups() == components(members, DAY_MS), "the same alerts again"


@given(alerts, st.integers(1, 4), st.integers(1, 5))
def test_limits_hold_and_the_same_order_gives_the_same(members, hub, most):
    limits = Limits(hub=hub, alerts=most, span_ms=2 * DAY_MS)
    stores = [Store(limits), Store(limits)]
    for store in stores:
        for each in members:
            store.write(each)
    assert stores[0].of == stores[1].of
    for incident in stores[0].incidents.values():
        assert incident.alerts <= most
        assert incident.last_seen - incident.first_seen <= 2 * DAY_MS
    stores[0].groups()


def test_what_everyone_shares_links_no_one():
    store = Store(Limits(hub=3))
    for number in range(3):
        store.write(member(number, "ip:scanner"))
    assert len(store.groups()) == 1
    for number in range(3, 9):
        made = store.write(member(number, "ip:scanner", f"entity:{number}"))
    assert made.hubs == {"ip:scanner"}
    assert sorted(map(len, store.groups())) == [1, 1, 1, 1, 1, 4]


def test_an_alert_connects_two_incidents_and_the_older_one_stays():
    store = Store()
    store.write(member("x", "a", at=5, severity=4, title="Key created"))
    store.write(member("y", "b", at=3, techniques=("T1110",), entity="bob"))
    store.write(member("z", "a", "b", at=7, severity=4, title="Later"))
    (found,) = store.incidents.values()
    assert found.id == incident_id("acme", "y")
    assert store.merged == {incident_id("acme", "x"): found.id}
    assert (found.alerts, found.severity_id, found.title) == (3, 4, "Key created")
    assert (found.first_seen, found.last_seen) == (3, 7)
    assert found.entities == ["ada", "bob"]
    assert found.tactics[0] == "initial-access"
    assert "credential-access" in found.tactics


def test_a_risk_gives_its_severity_and_its_title_only_for_want_of_another():
    store = Store()
    store.write(member("x", "a", severity=5, title=RISK))
    assert store.incidents[incident_id("acme", "x")].title == RISK
    store.write(member("y", "a", severity=3, title="Key created", at=9))
    (found,) = store.incidents.values()
    assert (found.title, found.severity_id, found.lead_seen) == ("Key created", 5, 9)


def test_an_alert_that_grows_changes_its_incident_and_is_not_counted_again():
    store = Store()
    store.write(member("x", "a"))
    store.write(member("x", "a", severity=5, last_seen=50))
    (found,) = store.incidents.values()
    assert (found.alerts, found.severity_id, found.last_seen) == (1, 5, 50)
    store.write(member("y", "c"))
    store.write(member("x", "c"))
    assert store.groups() == {frozenset("xy")}, "a link that it got later"


@pytest.mark.parametrize("event", [b"", "{", '{"src_endpoint": 5}', '{"resources": [{"uid": 5}]}'])
def test_events_that_say_nothing_link_nothing(event):
    assert links("ada", [event]) == {"entity:ada"}


def test_links_are_the_entity_addresses_and_resources():
    event = {"src_endpoint": {"ip": "2001:DB8::1"}, "resources": [{"uid": "arn:x"}, {"uid": "-"}]}
    assert links("198.51.100.4", [json.dumps(event)]) == {
        "ip:198.51.100.4", "ip:2001:db8::1", "resource:arn:x",
    }  # fmt: skip
    assert links("", ['{"src_endpoint": {"ip": "127.0.0.1"}}']) == frozenset()
    many = [json.dumps({"resources": [{"uid": str(n)}]}) for n in range(2 * EVENTS)]
    assert len(links("ada", many)) == MOST


@given(st.text(), st.lists(st.binary(max_size=30) | st.text(max_size=30), max_size=4))
def test_any_text_gives_links_of_bounded_length(entity, events):
    assert all(len(link) <= 512 for link in links(entity, events))


def test_tactics_come_in_the_order_of_an_attack():
    found = tactics_of(["T1486", "T1110.001", "T9999", "t1595"])
    assert found == ("reconnaissance", "credential-access", "impact")
    assert len(TACTICS) == 14
