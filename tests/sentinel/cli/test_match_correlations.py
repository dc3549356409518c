"""`match` raises what correlations make of a file, and leaves out what stands only for them."""

from __future__ import annotations

import json

from sentinel.cli.app import run

RULES = """
title: A user was created
name: created
id: 9f4a6c1e-2a06-4f0c-8a44-1b7a0e6f3a10
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: CreateUser}
  condition: selection
---
title: Many users were created
id: 5b1c1a54-0b6e-4a5e-9c2e-6a1f4a8d2c11
correlation:
  type: value_count
  rules: [created]
  group-by: [userIdentity.arn]
  timespan: 5m
  condition: {field: requestParameters.userName, gte: 3}
level: high
"""


def event(number: int) -> dict[str, object]:
    return {
        "eventVersion": "1.09",
        "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": f"2026-03-02T09:{number:02}:00Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.10",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice"},
        "requestParameters": {"userName": f"user{number}"},
    }


def test_a_correlation_is_told_with_the_events_behind_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "home"))
    (tmp_path / "rules.yml").write_text(RULES)
    logs = tmp_path / "trail.json"
    logs.write_text("\n".join(json.dumps(event(number)) for number in (1, 2, 3, 30)))
    args = ["match", str(logs), "--source", "cloudtrail", "--rules", str(tmp_path / "rules.yml")]
    assert run([*args, "--json"]) == 0
    told = capsys.readouterr()
    (row,) = [json.loads(line) for line in told.out.splitlines()]
    assert row["rule_id"] == "5b1c1a54-0b6e-4a5e-9c2e-6a1f4a8d2c11"
    assert (row["count"], len(row["events"])) == (3, 3)
    assert "3 different values of requestParameters.userName within 5m" in row["what"]
    assert "1 alert(s) of 1 correlations" in told.err
    assert run(args) == 0
    assert capsys.readouterr().out.startswith("Many users were created for userIdentity.arn")
