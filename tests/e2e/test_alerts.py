"""A log pushed to a topic becomes an alert that can be queried, once, with its reason."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from sentinel.sample.hour import simulate

pytestmark = pytest.mark.e2e

FIELDS = {
    "id", "time", "tenant", "source", "severity", "score", "rule_id", "title", "techniques",
    "entity", "event_uids", "explanation", "status", "count",
}  # fmt: skip
OWN_RULES = Path(__file__).resolve().parents[2] / "detectors" / "rules"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample hour as files, with its labels."""
    folder = tmp_path_factory.mktemp("sample")
    events = list(simulate(seed=11))
    for source, name in (("cloudtrail", "cloudtrail.jsonl"), ("auditd", "auditd.log")):
        lines = [event.raw for event in events if event.source == source]
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return folder, events


def rule_matches(platform, tenant):
    """Every (rule, event) of this tenant's alerts of rules that see one event."""
    return {
        (alert["rule_id"], uid)
        for alert in platform.json("alerts", "--tenant", tenant)
        if alert["explanation"]["kind"] == "rule"
        for uid in alert["event_uids"]
    }


def expected_matches(platform, source, paths, tenant):
    """What `sentinel match` finds in the same files: the pure functions, no broker.

    Event ids depend on the tenant, so matches are compared by the source's own id.
    """
    rows = platform.json("match", *map(str, paths), "--source", source, "--rules", str(OWN_RULES))
    return {(row["rule_id"], row["source_uid"]) for row in rows if "alert_id" not in row}


def by_source_uid(platform, tenant, pairs):
    """Replace event ids by the source's own, which the stored evidence states."""
    own = {}
    for event in platform.json("events", "--tenant", tenant):
        own[event["uid"]] = event["ocsf"]["metadata"]["uid"]
    return {(rule, own[uid]) for rule, uid in pairs}


def test_both_attacks_of_the_sample_are_alerted_on(platform, tenant, pushed, sample):
    """An analyst sees both stories, with technique, entity and the reason in words."""
    folder, events = sample
    pushed("cloudtrail", folder / "cloudtrail.jsonl")
    pushed("auditd", folder / "auditd.log")
    alerts = platform.json("alerts", "--tenant", tenant)
    assert alerts
    for alert in alerts:
        assert set(alert) >= FIELDS
        assert alert["explanation"]["what"]
        assert alert["count"] == len(alert["event_uids"])
    steps = defaultdict(set)
    labels = {event.uid: event.label for event in events}
    for _, uid in by_source_uid(platform, tenant, rule_matches(platform, tenant)):
        steps[labels[uid].story].add(labels[uid].step)
    assert {"privilege escalation", "persistence", "defence evasion"} <= steps["stolen-key"]
    assert {"web shell", "log wiping"} <= steps["web-shell"]
    assert platform.balance() == 0


def test_alerts_are_those_of_the_pure_functions(platform, tenant, pushed, sample):
    """The pipeline adds and loses nothing against a plain run over the same file."""
    folder, _ = sample
    pushed("cloudtrail", folder / "cloudtrail.jsonl")
    found = by_source_uid(platform, tenant, rule_matches(platform, tenant))
    expected = expected_matches(platform, "cloudtrail", [folder / "cloudtrail.jsonl"], tenant)
    assert found == expected
    assert expected


def test_the_same_log_twice_is_stored_and_alerted_on_once(platform, tenant, pushed, sample):
    """Sources deliver duplicates: they are counted, neither stored nor scored again."""
    folder, events = sample
    total = sum(event.source == "cloudtrail" for event in events)
    pushed("cloudtrail", folder / "cloudtrail.jsonl")
    first = platform.json("alerts", "--tenant", tenant)
    pushed("cloudtrail", folder / "cloudtrail.jsonl")
    again = platform.json("alerts", "--tenant", tenant)
    assert {a["id"]: a["count"] for a in again} == {a["id"]: a["count"] for a in first}
    assert len(platform.json("events", "--tenant", tenant)) == total
    assert platform.counts("detect", tenant)["duplicate"] == total
    assert platform.balance() == 0


def test_alert_shows_the_whole_alert(platform, tenant, pushed, sample):
    """`sentinel alert ID` has every event of the alert."""
    folder, _ = sample
    pushed("cloudtrail", folder / "cloudtrail.jsonl")
    listed = max(platform.json("alerts", "--tenant", tenant), key=lambda alert: alert["count"])
    shown = platform.json("alert", listed["id"])[0]
    assert set(shown) >= FIELDS
    assert len(set(shown["event_uids"])) == shown["count"] == listed["count"]


def test_tenants_do_not_see_each_other(platform, tenant, pushed, sample):
    folder, _ = sample
    pushed("auditd", folder / "auditd.log")
    assert not platform.json("alerts", "--tenant", f"{tenant}-other")
    assert {a["tenant"] for a in platform.json("alerts", "--tenant", tenant)} == {tenant}


@pytest.mark.parametrize(
    ("folder", "source"),
    [("cloudtrail_stratus", "cloudtrail"), ("cloudtrail_invictus", "cloudtrail")],
)
def test_real_logs_give_the_alerts_of_the_pure_functions(
    platform, tenant, pushed, data, folder, source
):
    """On real attacks too: nothing lost, nothing doubled, nothing dead."""
    pushed(source, data / folder)
    found = by_source_uid(platform, tenant, rule_matches(platform, tenant))
    assert found == expected_matches(platform, source, [data / folder], tenant)
    counts = platform.counts("normalize", tenant)
    assert counts["in"] == counts["out"]
    assert platform.balance() == 0


def test_real_audit_logs_leave_only_what_is_no_record(platform, tenant, pushed, data):
    """Nothing that is a well-formed audit record becomes a dead letter."""
    pushed("auditd", data / "auditd")
    letters = [
        letter for letter in platform.json("dead-letters", "list") if letter["tenant"] == tenant
    ]
    assert [letter["value"] for letter in letters] == ["type=UNKNOWN[1329] msg=?"]
    assert platform.counts("detect", tenant)["out"] > 0
    assert platform.balance() == 0


def test_what_people_already_have_is_accepted(platform, tenant, pushed, sample):
    """One JSON event, a Records envelope and JSON lines give the same events."""
    folder, _ = sample
    lines = (folder / "cloudtrail.jsonl").read_bytes().splitlines()[:6]
    envelope = b'{"Records":[' + b",".join(lines[:4]) + b"]}"
    assert pushed("cloudtrail", "-", stdin=envelope)["pushed"] == 4
    assert pushed("cloudtrail", "-", stdin=b"\n".join(lines[4:]))["pushed"] == 2
    stored = platform.json("events", "--tenant", tenant)
    assert len(stored) == 6
    own = {event["ocsf"]["metadata"]["uid"] for event in stored}
    assert own == {json.loads(line)["eventID"] for line in lines}
