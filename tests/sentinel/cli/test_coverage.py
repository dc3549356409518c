"""`sentinel normalize --coverage`: what a mapping uses, what it leaves, what never came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentinel.cli import app

EVENT = {"time": "2026-03-02T09:15:00Z", "message": "m", "rare": 1, "deep": {"x": 1, "y": None}}


def rows(capfdbinary: pytest.CaptureFixture[bytes]) -> dict[str, dict[str, object]]:
    found = map(json.loads, capfdbinary.readouterr().out.splitlines())
    return {row["field"]: row for row in found}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    others = [EVENT, {"time": EVENT["time"], "text": "t", "level": "warn"}]
    path.write_text("".join(json.dumps(event) + "\n" for event in others))
    return path


def test_fields_are_mapped_left_over_or_never_there(
    log: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    command = ["normalize", str(log), "--source", "generic", "--coverage", "--json"]
    assert app.run(command) == 0
    found = rows(capfdbinary)
    assert found["time"] == {
        "field": "time", "state": "mapped", "seen": 2, "mapped": 2, "unmapped": 0,
    }  # fmt: skip
    assert found["rare"] == {
        "field": "rare", "state": "unmapped", "seen": 1, "mapped": 0, "unmapped": 1,
    }  # fmt: skip
    assert found["deep.x"]["state"] == "unmapped"
    assert "deep.y" not in found
    assert found["user_agent"]["state"] == "unseen"


def test_a_table_for_people(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert app.run(["normalize", str(log), "--source", "generic", "--coverage"]) == 0
    told = capfd.readouterr()
    assert "Fields of 2 events" in told.out
    assert "unmapped" in told.err


def test_a_source_of_lines_has_no_fields_to_list(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.log"
    log.write_text("type=USER_LOGIN msg=audit(1772442900.123:7): pid=1 uid=0 res=success\n")
    assert app.run(["normalize", str(log), "--source", "auditd", "--coverage"]) == 1
    assert "expected events that are JSON objects" in capfd.readouterr().err
