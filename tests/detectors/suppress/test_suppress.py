"""What keeps alerts quiet: whom it is about, when it holds, and what a budget lets through."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.suppress.draft import draft, read, weekly
from detectors.suppress.gate import HOUR_MS, Gate, share
from detectors.suppress.policy import Policy, Suppression
from detectors.suppress.scope import Scope
from sentinel.errors import SchemaError, SettingsError

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)  # a Sunday
DAY = 24 * HOUR_MS


def row(**changes):
    given_ = {"tenant": "acme", "id": "s1", "kind": "suppression", "scope": Scope(),
              "starts": NOON, "expires": NOON + DAY}  # fmt: skip
    return Suppression(**given_ | changes)


def alert(ident="a1", arrived=NOON, time=None, **changes):
    event = {"uid": bytes(16), "time": arrived if time is None else time, "arrived": arrived}
    return {
        "tenant": "acme", "id": ident, "kind": "rule", "rule_id": "r1", "title": "R",
        "source": "cloudtrail", "entity": "alice", "techniques": ["T1078.004"],
        "severity_id": 4, "first_seen": event["time"], "last_seen": event["time"],
        "events": [event], "status": "new", "count": 1,
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        (Scope(), True),
        (Scope(rules=("r1",)), True),
        (Scope(rules=("r2", "r?")), True),
        (Scope(rules=("r2",)), False),
        (Scope(sources=("cloud*",)), True),
        (Scope(entities=("ALICE",)), True),
        (Scope(entities=("*bob*",)), False),
        (Scope(techniques=("T1078",)), True),
        (Scope(techniques=("T1078.004",)), True),
        (Scope(techniques=("T1078.001",)), False),
        (Scope(kinds=("model", "rule")), True),
        (Scope(rules=("r1",), kinds=("model",)), False),
        (Scope(rules=("r1",), entities=("alice",), techniques=("T1078",)), True),
    ],
)
def test_a_scope_is_any_of_each_list_and_all_lists(scope, holds):
    assert scope.holds(alert()) is holds


@pytest.mark.parametrize(
    ("entity", "holds"),
    [("192.0.2.7", True), ("198.51.100.1", False), ("192.0.2.0/24", False), ("host", False)],
)
def test_a_network_holds_for_addresses_in_it(entity, holds):
    assert Scope(entities=("192.0.2.0/24",)).holds(alert(entity=entity)) is holds


def test_a_suppression_goes_by_arrival_and_a_window_by_when_it_happened():
    old = NOON - 30 * DAY
    quiet = Policy([row()])
    assert quiet.suppressed(alert(), NOON, [old]) == "s1"
    assert quiet.suppressed(alert(), NOON - 1, [NOON]) == ""
    assert quiet.suppressed(alert(), NOON + DAY, [NOON]) == ""
    window = Policy([row(kind="maintenance")])
    assert window.suppressed(alert(), NOON + 9 * DAY, [NOON, NOON + 5]) == "s1"
    assert window.suppressed(alert(), NOON, [old]) == ""
    assert window.suppressed(alert(), NOON, [NOON, old]) == "", "one event outside: it shows"


def test_what_was_removed_still_holds_for_what_came_before():
    policy = Policy([row(removed=NOON + 10)])
    assert policy.suppressed(alert(), NOON + 9, [NOON]) == "s1"
    assert policy.suppressed(alert(), NOON + 10, [NOON]) == ""


def test_tenants_have_their_own_and_those_of_all():
    policy = Policy([row(id="b", scope=Scope(rules=("r1",))), row(id="a", tenant="*")])
    assert policy.suppressed(alert(), NOON, [NOON]) == "a", "the lowest id, whatever the order"
    assert policy.suppressed(alert(tenant="other"), NOON, [NOON]) == "a"
    assert Policy([row()]).suppressed(alert(tenant="other"), NOON, [NOON]) == ""


def test_hours_of_the_week_go_over_midnight_and_with_summer_time():
    night = weekly("sun 23:00-01:00")
    assert night.covers(NOON + 11 * HOUR_MS)
    assert night.covers(NOON + 12 * HOUR_MS)
    assert not night.covers(NOON)
    assert not night.covers(NOON + 13 * HOUR_MS)
    vienna = weekly("mon 02:00-04:00 Europe/Vienna")
    winter = int(datetime(2026, 3, 23, 1, 30, tzinfo=UTC).timestamp() * 1000)
    summer = int(datetime(2026, 3, 30, 0, 30, tzinfo=UTC).timestamp() * 1000)
    assert vienna.covers(winter)
    assert vienna.covers(summer)
    assert not weekly("mon 02:00-04:00").covers(summer)
    assert not night.covers(1 << 62)


@pytest.mark.parametrize("text", ["", "sunday", "sun 25:00-26:00", "sun 01:00-02:00 Mars/Base"])
def test_what_are_no_hours_of_the_week_is_said(text):
    with pytest.raises(SettingsError, match="expected"):
        weekly(text)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("suppression", {"owner": " "}, "owner"),
        ("suppression", {"reason": ""}, "reason"),
        ("suppression", {"expires": NOON}, "after the start"),
        ("suppression", {"expires": NOON + 400 * DAY}, "366 days"),
        ("suppression", {"scope": Scope()}, "to name a rule"),
        ("suppression", {"scope": Scope(kinds=("rules",))}, "kinds among"),
        ("suppression", {"scope": Scope(rules=("",))}, "rules of 1 to"),
        ("suppression", {"per_hour": 3}, "of a budget"),
        ("budget", {}, "of a budget"),
        ("suppression", {"hours": "sun 01:00-02:00"}, "maintenance window"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(kind, changes, said):
    asked = {"scope": Scope(rules=("r1",)), "tenant": "acme", "owner": "ada", "reason": "known",
             "expires": NOON + DAY, "now": NOON}  # fmt: skip
    with pytest.raises(SettingsError, match=said):
        draft(kind, **asked | changes)


def test_a_draft_is_read_back_as_what_was_asked_for():
    made = draft("maintenance", Scope(techniques=("t1078",)), tenant="acme", owner="ada",
                 reason="patch day", starts=NOON, expires=NOON + DAY, now=NOON,
                 hours="tue,sat 01:00-02:00")  # fmt: skip
    found = read(json.loads(json.dumps(made)) | {"id": "x", "removed": None})
    assert found.scope == Scope(techniques=("T1078",))
    assert found.weekly is not None
    assert found.weekly.days == (1, 5)
    with pytest.raises(SettingsError, match="suppression x"):
        read(made | {"id": "x", "scope": {"colour": ["red"]}})


def run(gate, policy, alerts):
    return [(each["id"], each["status"]) for each in gate.process(alerts, policy)]


def budget(**changes):
    return Policy([row(kind="budget", per_hour=2, **changes)])


def test_a_budget_cuts_and_says_so_once():
    gate, policy = Gate(), budget()
    first = list(gate.process([alert(f"a{n}") for n in range(5)], policy))
    by_status = [(each["status"], each["kind"]) for each in first]
    assert by_status == [
        ("new", "rule"), ("new", "rule"), ("suppressed", "rule"), ("new", "budget"),
        ("suppressed", "rule"), ("suppressed", "rule"),
    ]  # fmt: skip
    notice = first[3]
    assert notice["rule_id"] == "sentinel.budget"
    assert "2 per hour" in notice["title"]
    assert notice["events"] == [], "the ledger counts each event once"
    assert json.loads(notice["explanation"])["matched"][1]["value"] == "a2"
    assert first[2]["suppression"] == "s1"
    assert run(gate, policy, [alert("a0")]) == [("a0", "new")], "an amendment costs nothing"
    assert run(gate, policy, [alert("a9")]) == [("a9", "suppressed")], "said once an hour"
    later = NOON + HOUR_MS
    assert run(gate, policy, [alert("a3", later)]) == [("a3", "new")], "a repeat with room opens"


def test_a_budget_that_names_rules_is_each_rules_own():
    gate, policy = Gate(), budget(scope=Scope(rules=("*",)))
    alerts = [alert(f"{rule}{n}", rule_id=rule) for n in range(3) for rule in ("r1", "r2")]
    cut = [ident for ident, status in run(gate, policy, alerts) if status == "suppressed"]
    assert cut == ["r12", "r22"]


def test_suppressed_and_staged_alerts_use_no_budget():
    policy = Policy([
        row(kind="budget", per_hour=1), row(id="s2", scope=Scope(entities=("bob",)))
    ])  # fmt: skip
    alerts = [alert("a", entity="bob"), alert("b", status="staged"), alert("c"), alert("d")]
    assert [status for _, status in run(Gate(), policy, alerts)] == [
        "suppressed", "staged", "new", "suppressed", "new",
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=60),
    st.integers(0, 60),
    st.integers(1, 4),
)
def test_a_restored_gate_goes_on_as_if_it_had_never_stopped(given_, cut, limit):
    policy = Policy([row(kind="budget", per_hour=limit, per_day=3 * limit)])
    alerts = [alert(f"a{n}", NOON + hour * HOUR_MS // 4) for n, hour in given_]
    whole, first, second = Gate(), Gate(), Gate()
    expected = [dict(each) for each in whole.process([dict(a) for a in alerts], policy)]
    found = [dict(each) for each in first.process([dict(a) for a in alerts[:cut]], policy)]
    second.restore(first.snapshot())
    found += [dict(each) for each in second.process([dict(a) for a in alerts[cut:]], policy)]
    assert found == expected
    opened: dict[int, set[str]] = {}
    seen: set[str] = set()
    for each in expected:
        if each["kind"] == "rule" and each["status"] == "new" and each["id"] not in seen:
            seen.add(each["id"])
            opened.setdefault(each["events"][0]["arrived"] // HOUR_MS, set()).add(each["id"])
    assert all(len(ids) <= limit for ids in opened.values())


def test_what_opens_after_it_was_quiet_is_news_once():
    gate, policy = Gate(), Policy([row(expires=NOON + 10)])

    def news(arrived, count, **changes):
        (found,) = gate.process([alert("a", arrived, count=count, **changes)], policy)
        return found["status"], found.get("reopened", False)

    assert news(NOON, 1) == ("suppressed", False)
    assert news(NOON + 1, 2) == ("suppressed", False)
    assert news(NOON + 10, 3) == ("new", True)
    assert news(NOON + 11, 4) == ("new", False)
    assert news(NOON + 9, 5) == ("suppressed", False), "a late one: it stays open"
    assert news(NOON + 12, 6) == ("new", False)
    assert news(NOON + 13, 7, status="staged") == ("staged", False)


@pytest.mark.parametrize("partitions", [1, 4, 16])
def test_a_budget_holds_over_all_partitions_that_know_of_one_another(partitions):
    policy = Policy([row(kind="budget", per_hour=20)])
    gates = [Gate(partitions) for _ in range(partitions)]
    opened, notices = 0, set()
    for number in range(400):
        place = number * 7 % partitions
        found = run(gates[place], policy, [alert(f"a{number}")])
        opened += found[0][1] == "new"
        notices |= {ident for ident, _ in found[1:]}
        if number % 100 == 50:  # a restart changes nothing
            state = gates[place].snapshot()
            gates[place] = Gate(partitions)
            gates[place].restore(state)
        settle(gates)
    assert opened == 20
    assert len(notices) == 1, "all partitions say the same thing, by one id"


def settle(gates):
    """Let gates know of one another, as `streams.policy.budgets` does."""
    told = [gate.counted() for gate in gates]
    total = sum(map(Counter, told), Counter())
    for gate, own in zip(gates, told, strict=True):
        gate.settle(own, {key: count - own.get(key, 0) for key, count in total.items()})


def test_a_flood_within_one_settlement_gets_through_no_more_than_the_shares():
    policy = Policy([row(kind="budget", per_hour=20)])
    gates = [Gate(16) for _ in range(16)]
    floods = [
        [status for _, status in run(gate, policy, [alert(f"{n}-{m}") for n in range(99)])]
        for m, gate in enumerate(gates)
    ]
    opened = [found.count("new") - 1 for found in floods]  # each says that it cut
    assert opened == [share(20, 16)] * 16
    settle(gates)
    assert all(run(gate, policy, [alert(f"late{n}")])[0][1] == "suppressed"
               for n, gate in enumerate(gates))  # fmt: skip


def test_a_state_that_is_none_is_refused():
    with pytest.raises(SchemaError):
        Gate().restore(b"\xc1")


def test_parts_of_a_limit_leave_room_for_chance():
    assert share(7, 1) == 7
    for limit in (1, 10, 1000):
        for partitions in (2, 8, 64):
            assert limit / partitions <= share(limit, partitions) <= limit
