"""Rules on look-ups in `rules test`, `rules check`, `backtest`: what is known is given, or said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentinel.cli._rules.cases import run_cases
from sentinel.cli.app import run

RULE = """
title: Key made from an address on a feed
id: 77777777-7777-4777-8777-777777777777
logsource: {product: aws, service: cloudtrail}
detection:
  call: {eventName: CreateAccessKey, intel.src.FIELD|gte: 60}
  condition: call
level: high
"""


def event(ip: str) -> dict[str, Any]:
    return {
        "eventVersion": "1.09",
        "eventID": "00000000-0000-4000-8000-000000000001",
        "eventTime": "2026-03-02T09:15:00Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "CreateAccessKey",
        "awsRegion": "us-east-1",
        "sourceIPAddress": ip,
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice"},
    }


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "made.yml").write_text(RULE.replace("FIELD", "confidence"))
    return folder


def test_a_case_says_what_is_known(rules: Path, tmp_path: Path) -> None:
    listed = [
        ("known", True, {"203.0.113.10": {"confidence": 90}}, ""),
        ("by its network", True, {"203.0.113.0/24": {"confidence": 90}}, ""),
        ("not sure", False, {"203.0.113.10": {"confidence": 30}}, ""),
        ("not known", False, {}, ""),
        ("forgotten", True, {}, "expected a match, found none"),
        ("too much", False, {"203.0.113.10": {"confidence": 60}}, "expected no match, found one"),
    ]
    (tmp_path / "made.yml").write_text(
        yaml.safe_dump(
            [
                {"name": name, "match": match, "known": known, "event": event("203.0.113.10")}
                for name, match, known, _ in listed
            ]
        )
    )
    found = {each.case: each.problem for each in run_cases(rules, tmp_path)}
    assert found == {name: problem for name, _, _, problem in listed}


def test_a_case_with_a_misspelled_look_up_is_told(rules: Path, tmp_path: Path) -> None:
    case = {"name": "x", "match": True, "event": {}, "known": {"203.0.113.10": {"score": 1}}}
    (tmp_path / "made.yml").write_text(yaml.safe_dump([case]))
    ((_, _, problem),) = run_cases(rules, tmp_path)
    assert "unknown field `score`" in problem


def test_check_tells_a_field_that_no_look_up_has_and_that_none_are_set(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (rules / "odd.yml").write_text(RULE.replace("FIELD", "confidents").replace("7777", "8777"))
    assert run(["rules", "check", str(rules), "--firing", "--json"]) == 0
    captured = capfd.readouterr()
    (row,) = map(json.loads, captured.out.splitlines())
    assert row["reason"] == "no sample of cloudtrail has intel.src.confidents"
    assert "2 ask look-ups, and SENTINEL_INTEL names none" in " ".join(captured.err.split())
    monkeypatch.setenv("SENTINEL_INTEL", str(tmp_path))
    assert run(["rules", "check", str(rules)]) == 0
    assert "ask look-ups" not in capfd.readouterr().err


def test_a_backtest_takes_what_is_known_now_and_says_so(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (tmp_path / "trail.json").write_text(json.dumps(event("203.0.113.10")))
    asked = ["backtest", str(tmp_path / "trail.json"), "--source", "cloudtrail"]
    asked += ["--rules", str(rules), "--json"]
    assert run(asked) == 0
    captured = capfd.readouterr()
    assert "77777777" not in captured.out
    assert "1 rules ask look-ups, and SENTINEL_INTEL names none" in " ".join(captured.err.split())

    feeds = tmp_path / "intel" / "feeds"
    feeds.mkdir(parents=True)
    (feeds / "bad.csv").write_text("indicator,type,confidence\n203.0.113.10,ip,90\n")
    monkeypatch.setenv("SENTINEL_INTEL", str(tmp_path / "intel"))
    assert run(asked) == 0
    captured = capfd.readouterr()
    (alert,) = [json.loads(line) for line in captured.out.splitlines() if "77777777" in line]
    assert alert["entity"] == event("")["userIdentity"]["arn"]
    assert "has now counts, not what was known then" in " ".join(captured.err.split())


def test_the_status_says_how_old_a_database_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    geo = tmp_path / "intel" / "geo"
    geo.mkdir(parents=True)
    name = "GeoLite2-ASN-Test.mmdb"
    (geo / name).symlink_to(data / "threatintel" / "maxmind" / "test-data" / name)
    monkeypatch.setenv("SENTINEL_INTEL", str(tmp_path / "intel"))
    assert run(["intel", "status", "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (row,) = [row for row in rows if row["what"] == "database GeoLite2-ASN"]
    made = datetime.fromtimestamp(row["count"], UTC).date().isoformat()
    assert row["made"] == made
    assert run(["intel", "status"]) == 0
    assert made in capfd.readouterr().out
