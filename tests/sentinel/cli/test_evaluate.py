"""`evaluate` as a person types it, on small data of every layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sentinel.cli._evaluation.quiet import measured
from sentinel.cli.app import run
from sentinel.sample.hour import simulate
from streams.rehearsal.backtest import Outcome

RULE = """
title: A trail was stopped
id: 9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a10
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: StopIt}
  condition: selection
level: high
"""


def event(number: int, name: str, user: str = "alice") -> dict[str, object]:
    return {
        "eventVersion": "1.09",
        "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": f"2026-03-02T09:{number // 60 % 60:02}:{number % 60:02}Z",
        "eventSource": "example.amazonaws.com",
        "eventName": name,
        "eventCategory": "Management",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.10",
        "userAgent": "aws-cli/2",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::123456789012:user/{user}"},
        "recipientAccountId": "123456789012",
    }


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yml").write_text(RULE)
    return folder


def report(capsys, *args) -> dict:
    assert run(["evaluate", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_nab(tmp_path, capsys) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(1)
    windows = {}
    for name in ("a.csv", "b.csv"):
        values = rng.normal(10, 1, 1200)
        values[1000] += 60
        times = np.datetime64("2026-01-05T00:00:00") + np.arange(1200) * np.timedelta64(300, "s")
        stamps = [str(time).replace("T", " ") for time in times]
        rows = [f"{time},{value}" for time, value in zip(stamps, values, strict=True)]
        (tmp_path / "data" / name).write_text("\n".join(["timestamp,value", *rows]))
        windows[name] = [[stamps[995], stamps[1010]]]
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(windows))
    found = report(capsys, "nab", tmp_path)
    assert (found["series"], found["windows"]) == (2, 2)
    standard = found["profiles"]["standard"]
    assert standard["score"] > 80
    assert standard["split"]["score"] > 80
    assert run(["evaluate", "nab", str(tmp_path)]) == 0
    assert "2 series, 2 windows" in capsys.readouterr().out


def test_anomaly(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (800, 4)), np.zeros(800)
    y[::50] = 1
    x[::50] += 9
    np.savez(tmp_path / "1_small.npz", X=x, y=y)
    found = report(capsys, "anomaly", tmp_path, "--seeds", "2")["sets"]["small"]
    assert found["rows"] == 800
    assert found["ensemble"]["auroc"] > 0.9
    assert run(["evaluate", "anomaly", str(tmp_path), "--seeds", "1"]) == 0
    assert "scikit-learn" in capsys.readouterr().out


def test_attacks_by_file_and_by_entity(tmp_path, rules, capsys) -> None:
    logs, past = tmp_path / "logs", tmp_path / "past.json"
    logs.mkdir()
    (logs / "technique.stop.json").write_text(json.dumps([event(900, "StopIt")]))
    (logs / "technique.look.json").write_text(json.dumps([event(901, "Look")]))
    past.write_text(json.dumps([event(n, "Look") for n in range(200)]))
    found = report(capsys, "attacks", logs, "--rules", rules, "--background", past)
    by_name = {row["technique"]: row for row in found["techniques"]}
    (rule,) = by_name["technique.stop"]["rules"]
    assert by_name["technique.stop"]["titles"][rule] == "A trail was stopped"
    assert by_name["technique.look"]["rules"] == []
    assert by_name["technique.look"]["reason"].startswith("no rule for, and nothing unusual in")
    assert found["summary"]["of those found"] == 1
    mixed = [event(n, "Look") for n in range(200)] + [event(300, "StopIt", "mallory")]
    (tmp_path / "mixed.json").write_text(json.dumps(mixed))
    who = "arn:aws:iam::123456789012:user/mallory"
    args = ("--rules", rules, "--attacker", who)
    summary = report(capsys, "attacks", tmp_path / "mixed.json", *args)["summary"]
    assert summary["attacker events"] == summary["attacker events alerted on"] == 1
    assert summary["rank of the first attacker event"] == 1
    args = ("--attacker", "nobody")
    assert run(["evaluate", "attacks", str(tmp_path / "mixed.json"), *args]) == 1
    assert "expected events of nobody, found only" in capsys.readouterr().err


CORRELATION = """
title: Look
id: 9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a11
name: looked
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: Look}
  condition: selection
level: informational
---
title: Looked often
id: 9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a12
correlation:
  type: event_count
  rules: [looked]
  group-by: [userIdentity.arn]
  timespan: 10m
  condition: {gte: 5}
level: high
"""


def test_correlations_see_attack_logs(tmp_path, rules, capsys) -> None:
    (rules / "often.yml").write_text(CORRELATION)
    for name, times in (("often", 6), ("seldom", 3)):
        events = [event(900 + n, "Look") for n in range(times)]
        (tmp_path / f"{name}.json").write_text(json.dumps(events))
    logs = [tmp_path / "often.json", tmp_path / "seldom.json"]
    found = report(capsys, "attacks", *logs, "--rules", rules)
    by_name = {row["technique"]: row["rules"] for row in found["techniques"]}
    assert by_name == {"often": ["9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a12"], "seldom": []}


def test_host_traces_are_attack_logs_too(tmp_path, capsys) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    records = [item for item in simulate(seed=5) if item.source == "auditd"]
    for name, bad in (("attack.log", True), ("quiet.log", False)):
        raws = [item.raw for item in records if item.label.attack is bad]
        (folder / name).write_bytes(b"\n".join(raws[:400]) + b"\n")
    found = report(capsys, "attacks", folder, "--source", "auditd")
    by_name = {row["technique"].partition(".")[0]: row for row in found["techniques"]}
    assert by_name["attack"]["rules"]
    assert by_name["attack"]["management_events"] == by_name["attack"]["events"] > 0


def test_quiet_days_are_counted(tmp_path, rules, capsys, monkeypatch) -> None:
    """The figure that decides whether people go on reading: alerts a day where nothing is wrong."""
    monkeypatch.setenv("COLUMNS", "200")
    args = ("--days", "1", "--a-day", "600", "--seeds", "1")
    (found,) = report(capsys, "quiet", *args)["runs"]
    assert found["seed"] == 1001
    assert 500 < found["events"] < 700
    assert found["alerts_a_day"] is None, "all of it is learning time"
    assert found["by"] == {"correlation: Code of a Function Replaced by a User": found["alerts"]}
    assert found["alerts"] <= 4, "one for each of those who replace code again and again"
    monkeypatch.setenv("SENTINEL_RULES", str(rules))
    log = tmp_path / "day.json"
    log.write_text(json.dumps([event(n, "Look") for n in range(60)] + [event(60, "StopIt")]))
    assert run(["evaluate", "quiet", str(log)]) == 0
    assert "rule: A trail was stopped" in capsys.readouterr().out
    assert run(["evaluate", "quiet", "--source", "okta"]) == 1
    assert "among cloudtrail, auditd to simulate, found 'okta'" in capsys.readouterr().err


def test_alerts_while_learning_are_apart() -> None:
    day = 86_400_000
    alerts = {
        str(at): {"first_seen": at * day // 2, "kind": "rule", "title": "A"} for at in range(8)
    }
    found = measured(Outcome(alerts, 20_000, 0, 0, 4 * day, 1.0))
    assert (found["learning_days"], found["alerts_a_day_learning"]) == (2, 2)
    assert (found["alerts_a_day"], found["most_on_a_day"], found["by"]) == (2, 2, {"rule: A": 4})
    assert found["alerts_in_5000_events"] == 2


def test_sigma_regression(tmp_path, rules, capsys) -> None:
    for name, operation in (("good", "StopIt"), ("bad", "Look")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "info.yml").write_text(
            "rule_metadata:\n  - id: 9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a10\n"
        )
        (folder / "event.json").write_text(json.dumps(event(1, operation)))
    found = report(capsys, "sigma", tmp_path / "data", "--rules", rules)
    assert found["summary"] == {
        "tests": 2,
        "passed": 1,
        "failed": 1,
        "without events in JSON": 0,
        "of rules that are not loaded": 0,
    }
    assert found["failures"][0]["test"].endswith("bad")
    assert "matched nothing" in found["failures"][0]["reason"]


WINDOWS = """
title: {title}
id: {id}
logsource: {{product: windows}}
detection:
  selection: {selection}
  condition: selection
level: high
"""


def windows_event(number: int | dict[str, object], **parts: object) -> str:
    system = {
        "Provider": {"#attributes": {"Name": "Example-Provider"}},
        "EventID": number,
        "Channel": "Example",
        "Security": None,
    }
    space = {"#attributes": {"xmlns": "http://schemas.example.com/event"}}
    return json.dumps({"Event": {**space, "System": system, **parts}}, indent=2)


def test_windows_events_have_the_fields_of_rules_and_are_counted(tmp_path, capsys) -> None:
    tests = {
        "sysmon": (
            "{EventID: 1, CommandLine|contains: whoami}",
            windows_event(1, EventData={"CommandLine": "whoami /all"}),
        ),
        "security": (
            "{Image|endswith: cmd.exe, ParentImage|endswith: winword.exe}",
            windows_event(4688, EventData={"NewProcessName": "C:/cmd.exe",
                                           "ParentProcessName": "C:/winword.exe"}),
        ),
        "cleared": (
            "{Provider_Name: Example-Provider, SubjectUserName: admin}",
            windows_event(1102, UserData={"LogFileCleared": {"SubjectUserName": "admin"}}),
        ),
        "classic": (
            "{EventID: 600, Data|contains: Set-MpPreference}",
            windows_event({"#attributes": {"Qualifiers": 0}, "#text": 600},
                          EventData={"Data": {"#text": ["a", "x Set-MpPreference 1"]}}),
        ),
        "named": (
            "{TargetName: x}",
            windows_event(9, EventData={"Data": [
                {"#attributes": {"Name": "TargetName"}, "#text": "x"}]}),
        ),
    }  # fmt: skip
    (tmp_path / "rules").mkdir()
    for place, (name, (selection, event_)) in enumerate(tests.items()):
        ident = f"11111111-2222-4333-8444-{place:012}"
        rule = WINDOWS.format(title=name, id=ident, selection=selection)
        (tmp_path / "rules" / f"{name}.yml").write_text(rule)
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        wanted = 3 if name == "named" else 2
        (folder / "info.yml").write_text(
            f"rule_metadata: [{{id: {ident}}}]\n"
            f"regression_tests_info: [{{type: evtx, match_count: {wanted}, path: x.evtx}}]\n"
        )
        (folder / f"{ident}.json").write_text(f"{event_}\n{event_}\n")  # one after the other
    (tmp_path / "data/other").mkdir()
    (tmp_path / "data/other/info.yml").write_text("rule_metadata: [{id: elsewhere}]")
    (tmp_path / "data/other/event.json").write_text(windows_event(1))
    found = report(capsys, "sigma", tmp_path / "data", "--rules", tmp_path / "rules")
    summary = found["summary"]
    assert (summary["passed"], summary["of rules that are not loaded"]) == (4, 1)
    (failure,) = found["failures"]
    assert failure["reason"] == "expected 3 matches, found 2"


def test_missing_data_is_said(capsys) -> None:
    assert run(["evaluate", "anomaly", "nowhere"]) == 1
    assert "expected data at nowhere" in capsys.readouterr().err
