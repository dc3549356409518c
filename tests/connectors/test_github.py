"""GitHub's audit log: classes, git events, streams, times, and outside events."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors._github.classes import classify
from connectors.github import GitHub
from schemas.ocsf import API_ACTIVITY, AUTHENTICATION, OTHER, validate
from sentinel.errors import MappingError, RecordError
from sentinel.settings import Settings

CONNECTOR = GitHub()
EVENTS = Path(Settings().data) / "panther" / "github_rules.jsonl"


def event(**changes: Any) -> dict[str, Any]:
    """Return a small event; a change to ``...`` deletes the field."""
    made = {
        "@timestamp": 1772442000123,
        "_document_id": "doc1",
        "action": "repo.create",
        "actor": "ada",
        "actor_ip": "198.51.100.7",
        "org": "example",
        "repo": "example/shop",
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def mapped(**changes: Any) -> dict[str, Any]:
    """Return the OCSF event of `event`, checked against the schema."""
    found = CONNECTOR.to_ocsf(json.dumps(event(**changes)).encode())
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("action", "operation", "expected"),
    [
        ("never.heard_of", "remove", (API_ACTIVITY, 4)),
        ("never.heard_of", "", (API_ACTIVITY, OTHER)),
        ("never.disabled_for_new_repos", "", (API_ACTIVITY, 3)),
        ("never.destroy", "", (API_ACTIVITY, 4)),
        ("never.signed", "authentication", (AUTHENTICATION, 1)),
    ],
)
def test_an_action_that_is_not_listed_has_a_class_too(action, operation, expected):
    assert classify(action, operation) == expected


def test_the_time_is_that_of_the_first_field_that_has_one():
    assert mapped(created_at=1)["time"] == 1772442000123
    late = {"@timestamp": ..., "created_at": "2026-03-02 09:00:00.5"}
    assert mapped(**late)["time"] == 1772442000500


def test_who_pushes_with_a_deploy_key_is_not_made_up():
    found = mapped(action="git.push", actor=..., repository="example/shop", repo=...)
    assert found["actor"] == {"app_name": "unknown"}
    assert found["resources"][0] == {"name": "example/shop", "type": "repository"}


def test_a_stream_is_cut_into_its_lines():
    lines = b"".join(json.dumps(event(_document_id=str(n))).encode() + b"\n" for n in range(3))
    assert [json.loads(unit)["_document_id"] for unit in CONNECTOR.split(lines)] == ["0", "1", "2"]


def test_a_webhook_is_refused_as_it_names_no_time():
    with pytest.raises(MappingError, match="@timestamp"):
        mapped(**{"@timestamp": ..., "action": "opened", "pull_request": {"id": 1}})


def test_panthers_audit_events_map_and_validate():
    """Not ours: their rule tests leave out the time of many events, which are then refused."""
    if not EVENTS.exists():
        pytest.skip(f"no {EVENTS}: set SENTINEL_DATA to the folder with real logs")
    rows = [json.loads(line) for line in EVENTS.read_text().splitlines()]
    audit = [row["event"] for row in rows if row["logtypes"] == ["GitHub.Audit"]]
    refused = []
    for found in audit:
        try:
            assert validate(CONNECTOR.to_ocsf(json.dumps(found).encode())) == []
        except RecordError as error:
            refused.append(error.reason)
    assert len(audit) == 101
    # Four have a time that somebody made unreadable (00:00:00000000).
    assert Counter(refused) == {"missing_field": 27, "timestamp": 4}
