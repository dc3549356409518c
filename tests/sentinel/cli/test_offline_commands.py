"""`match`, `normalize` and `rules` as a person without a broker uses them."""

import gzip
import io
import json
import sys
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from sentinel.cli.app import run

RULE = """
title: A user was created
id: 9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a10
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventSource: iam.amazonaws.com, eventName: createuser}
  condition: selection
level: medium
tags: [attack.persistence, attack.t1136.003]
"""
OTHER = RULE.replace("9f4a", "8f4a").replace("aws, service: cloudtrail", "windows")
BROKEN = RULE.replace("9f4a", "7f4a").replace("eventName:", "eventName|re: '(?=x)', x:")


def event(number: int, name: str = "CreateUser") -> dict[str, object]:
    return {
        "eventVersion": "1.09",
        "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": "2026-03-02T09:15:00Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.10",
        "userAgent": "aws-cli/2",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice"},
        "recipientAccountId": "123456789012",
    }


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def rules(tmp_path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in {"a.yml": RULE, "b.yml": OTHER, "c.yml": BROKEN}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def logs(tmp_path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    whole = {"Records": [event(1), event(2, "ListUsers"), event(3)]}
    (folder / "a.json.gz").write_bytes(gzip.compress(json.dumps(whole).encode()))
    (folder / "b.json").write_text('{"eventName": "CreateUser"\n{"no": "CloudTrail"}\n')
    return folder


def out(capfd: pytest.CaptureFixture[str]) -> tuple[list[dict[str, object]], str]:
    captured = capfd.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_match_prints_what_matches_by_rule_event_and_the_sources_own_id(rules, logs, capfd):
    args = ["match", str(logs), "--source", "cloudtrail", "--rules", str(rules), "--json"]
    assert run(args) == 0
    rows, err = out(capfd)
    assert [row["source_uid"] for row in rows] == [event(1)["eventID"], event(3)["eventID"]]
    assert {row["rule_id"] for row in rows} == {"9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a10"}
    assert all(UUID(str(row["event_uid"])).version == 5 for row in rows)
    assert "3 events read, 1 of 2 rules apply (1 unsupported), 2 matches" in " ".join(err.split())
    assert "2 could not be handled" in err
    assert f"{rules / 'c.yml'}:1: " in err.replace("\n", "")
    assert run(args) == 0
    assert out(capfd)[0] == rows  # the same ids every time


def test_match_any_json_against_every_rule(rules, logs, capfd):
    assert run(["match", str(logs), "--source", "json", "--rules", str(rules), "--json"]) == 0
    rows, err = out(capfd)
    assert len(rows) == 4
    assert [row["source_uid"] for row in rows] == [event(n)["eventID"] for n in (1, 1, 3, 3)]
    assert len({row["event_uid"] for row in rows}) == 2
    assert "2 of 2 rules apply" in " ".join(err.split())
    assert "4 events read" in err


def test_objects_without_an_id_of_their_own_have_no_source_uid(rules, tmp_path, capfd):
    one = {"eventSource": "iam.amazonaws.com", "eventName": "CreateUser"}
    (tmp_path / "x.json").write_text(json.dumps([one, one | {"n": 2}, one]))
    file = str(tmp_path / "x.json")
    assert run(["match", file, "--source", "json", "--rules", str(rules / "a.yml"), "--json"]) == 0
    rows, _ = out(capfd)
    assert [row["source_uid"] for row in rows] == [None] * 3
    first, second, third = (row["event_uid"] for row in rows)
    assert first == third != second  # the id is that of the content


def test_match_for_a_person_names_the_rule(rules, logs, capfd):
    assert run(["match", str(logs), "--source", "cloudtrail", "--rules", str(rules)]) == 0
    assert capfd.readouterr().out.count("A user was created") == 2


def test_match_reads_standard_input(rules, monkeypatch, capfd):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(event(7)).encode())))
    assert run(["match", "-", "--source", "cloudtrail", "--rules", str(rules), "--json"]) == 0
    assert [row["source_uid"] for row in out(capfd)[0]] == [event(7)["eventID"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--source": "cloudtrial"}, "expected --source among"),
        ({"--rules": "nowhere"}, "nowhere"),
        ({"--rules": "empty"}, "found no .yml file with one"),
        ({"--rules": "broken"}, "broken/rule.yml:2: not valid YAML"),
        ({"path": "empty"}, "found none"),
    ],
)
def test_match_fails_with_a_reason(rules, logs, tmp_path, capfd, change, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rule.yml").write_text("title: x\ndetection: ]\n")
    options = {"--source": "cloudtrail", "--rules": str(rules), "path": str(logs)} | {
        key: str(tmp_path / value) if key != "--source" else value for key, value in change.items()
    }
    path = options.pop("path")
    assert run(["match", path, *[part for pair in options.items() for part in pair]]) == 1
    assert message in " ".join(capfd.readouterr().err.split())


def test_normalize_prints_ocsf_and_counts_what_is_no_event(logs, capfd):
    assert run(["normalize", str(logs), "--source", "cloudtrail"]) == 0
    rows, err = out(capfd)
    assert [row["metadata"]["uid"] for row in rows] == [event(n)["eventID"] for n in (1, 2, 3)]
    assert {row["metadata"]["tenant_uid"] for row in rows} == {"default"}
    assert all(isinstance(row["class_uid"], int) for row in rows)
    assert "2 could not be handled" in err


def test_normalize_fails_where_there_is_no_event(tmp_path, capfd):
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert run(["normalize", str(tmp_path / "x.json"), "--source", "cloudtrail"]) == 1
    assert out(capfd)[0] == []


def test_rules_list(rules, capfd):
    assert run(["rules", "list", str(rules), "--json"]) == 0
    rows, _ = out(capfd)
    assert rows[0] == {
        "id": "9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a10",
        "title": "A user was created",
        "severity": "medium",
        "logsource": {"product": "aws", "service": "cloudtrail"},
        "techniques": ["T1136.003"],
        "staged": False,
        "path": str(rules / "a.yml"),
    }
    assert run(["rules", "list"]) == 0


def test_rules_check_names_file_line_and_reason(rules, capfd):
    assert run(["rules", "check", str(rules), "--json"]) == 0
    ((row,), _) = out(capfd)
    assert (row["path"], row["line"]) == (str(rules / "c.yml"), 1)
    assert "(?=" in str(row["reason"])
    assert run(["rules", "check", str(rules)]) == 0
    assert f"{rules / 'c.yml'}:1: " in capfd.readouterr().out
    assert run(["rules", "check"]) == 0


def test_rules_check_says_which_rules_can_never_fire_here(tmp_path, capfd):
    head = {"title": "x", "level": "low"}
    aws = {"product": "aws", "service": "cloudtrail"}
    for name, source, items in [
        ("fires.yml", aws, {"eventName": "A", "requestParameters.any.thing": "b"}),
        ("either.yml", aws, [{"eventName": "A"}, {"EventID": 1}]),
        ("field.yml", aws, {"eventName": "A", "EventID": 1}),
        ("source.yml", {"product": "windows"}, {"EventID": 1}),
    ]:
        detection = {"selection": items, "condition": "selection"}
        rule = head | {"logsource": source, "detection": detection}
        (tmp_path / name).write_text(yaml.safe_dump(rule, sort_keys=False))
    assert run(["rules", "check", str(tmp_path), "--firing", "--json"]) == 0
    rows, said = out(capfd)
    told = {Path(str(row["path"])).name: (row["line"], row["reason"]) for row in rows}
    assert told == {
        "field.yml": (9, "no sample of cloudtrail has EventID"),
        "source.yml": (3, "no source has events of the log source product windows"),
    }
    assert "4 rules run, 0 do not; 2 of them can hardly fire here" in said
    assert run(["rules", "check", str(tmp_path), "--json"]) == 0
    rows, said = out(capfd)
    assert not rows
    assert "--firing" in said


def test_rules_test_finds_missing_and_failing_cases(rules, tmp_path, capfd):
    (rules / "c.yml").unlink()
    cases = tmp_path / "cases"
    cases.mkdir()
    listed = [
        {"name": "created", "match": True, "event": event(1)},
        {"name": "listed", "match": True, "event": event(2, "ListUsers")},
        {"name": "renamed", "match": False, "event": event(3, "UpdateUser")},
        {"name": "refused", "match": False, "event": {"no": "event"}},
    ]
    (cases / "a.yml").write_text(json.dumps(listed))
    assert run(["rules", "test", str(rules), "--cases", str(cases), "--json"]) == 1
    rows, _ = out(capfd)
    problems = {(row["rule"], row["case"]): row["problem"] for row in rows}
    assert problems["a.yml", "created"] == problems["a.yml", "renamed"] == ""
    assert "expected a match" in str(problems["a.yml", "listed"])
    assert "refuses" in str(problems["a.yml", "refused"])
    assert "expected the cases" in str(problems["b.yml", ""])
    assert run(["rules", "test"]) == 0


@pytest.mark.parametrize(
    ("cases", "reason"),
    [
        ([{"name": "a", "match": True, "event": {}}], "nearly"),
        ([{"name": "a", "match": True}, {"name": "b", "match": False}], "`event` or `raw`"),
        ([{"name": "a", "match": "yes", "event": {}}], "list of cases"),
        ({"name": "a"}, "list of cases"),
    ],
)
def test_cases_must_be_whole(rules, tmp_path, capfd, cases, reason):
    (rules / "c.yml").unlink()
    (rules / "b.yml").unlink()
    (tmp_path / "a.yml").write_text(json.dumps(cases))
    assert run(["rules", "test", str(rules), "--cases", str(tmp_path), "--json"]) == 1
    ((row,), _) = out(capfd)
    assert reason in str(row["problem"])
