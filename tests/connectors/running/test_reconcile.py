"""Reconcile: what the source has and Sentinel has not is found, alerted, and read again."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors._running import inputs
from connectors._running.work import Work
from sentinel import topics
from sentinel.cli import app
from sentinel.kafka import create_topics
from sentinel.settings import Settings
from sentinel.testing.okta import OktaDouble
from sentinel.testing.server import ScriptedServer

OLD = datetime(2026, 3, 2, 9, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def place(tmp_path: Path, topic_name: str, stack_settings: Settings, monkeypatch: Any) -> Path:
    """Return a directory that an input of the tenant and name `topic_name` reads."""
    create_topics(stack_settings, ["cloudtrail", "health"])
    logs = tmp_path / "logs"
    logs.mkdir()
    entry = {
        **{"name": topic_name, "source": "cloudtrail", "reader": "files", "tenant": topic_name},
        "settings": {"paths": [str(logs)], "settle_s": 0},
    }
    (tmp_path / "inputs.yml").write_text(yaml.safe_dump([entry]))
    monkeypatch.setenv("SENTINEL_CONNECTORS", str(tmp_path / "inputs.yml"))
    monkeypatch.setenv("SENTINEL_KAFKA", stack_settings.kafka)
    monkeypatch.setenv("SENTINEL_HOME", str(stack_settings.home))
    return logs


def write(place: Path, name: str, *values: int) -> None:
    (place / name).write_text("".join(f'{{"n":{value}}}\n' for value in values))
    os.utime(place / name, (OLD, OLD))


def run(settings: Settings) -> None:
    (target,) = inputs.chosen(settings)
    work = Work(settings, target, once=True)
    work.start()
    work.join(240)
    assert not work.is_alive()
    assert work.failed == ""


@pytest.mark.e2e
def test_a_gap_is_found_alerted_and_fetched(
    place: Path, topic_name: str, arrived: Any, capfdbinary: Any
) -> None:
    settings = Settings()
    mine = lambda m: ("tenant", topic_name.encode()) in (m.headers() or ())  # noqa: E731
    write(place, "a.json", 1, 2)
    write(place, "empty.json")
    run(settings)
    span = ["--from", "2026-03-01", "--to", "2026-03-03"]
    command = ["reconcile", topic_name, *span, "--json"]
    assert app.run(command) == 0
    write(place, "b.json", 3)
    write(place, "c.json", 4, 5)
    capfdbinary.readouterr()
    assert app.run(command) == 1
    found = capfdbinary.readouterr()
    listed = [json.loads(line) for line in found.out.splitlines()]
    assert [Path(row["id"].split(":")[0]).name for row in listed] == ["b.json", "c.json"]
    assert b"4 objects listed, 2 missing" in found.err
    assert app.run([*command, "--fetch"]) == 0
    assert app.run(command) == 0

    there = arrived("raw.cloudtrail", mine)
    assert sorted(json.loads(each.value())["n"] for each in there) == [1, 2, 3, 4, 5]
    said = arrived(topics.raw("health"), mine)
    assert {json.loads(each.value())["kind"] for each in said} == {"gap"}
    assert len({json.loads(each.value())["id"] for each in said}) == 1  # said twice, one finding
    run(settings)  # its position did not move: it reads them too, under the same ids
    there = arrived("raw.cloudtrail", mine)
    assert len({dict(each.headers())["record-id"] for each in there}) == 5


@pytest.mark.e2e
def test_an_event_that_its_api_showed_too_late_is_found_and_fetched(
    tmp_path: Path,
    topic_name: str,
    stack_settings: Settings,
    arrived: Any,
    monkeypatch: Any,
    capfdbinary: Any,
) -> None:
    """Of an API without objects events are compared: each by its id, not their number."""
    create_topics(stack_settings, ["okta", "health"])
    monkeypatch.setenv("SENTINEL_CONNECTORS", str(tmp_path / "inputs.yml"))
    monkeypatch.setenv("SENTINEL_KAFKA", stack_settings.kafka)
    monkeypatch.setenv("SENTINEL_HOME", str(stack_settings.home))
    begin = datetime.now(UTC) - timedelta(hours=3)
    settings = Settings()

    def event(name: str, minutes: int) -> dict[str, str]:
        return {"uuid": name, "published": (begin + timedelta(minutes=minutes)).isoformat()}

    mine = lambda m: ("tenant", topic_name.encode()) in (m.headers() or ())  # noqa: E731
    with ScriptedServer() as server:
        events = [event(f"e{minutes}", minutes) for minutes in range(10, 60, 10)]
        double = OktaDouble(server, events, 2)
        monkeypatch.setenv("OKTA_TOKEN", double.token)
        entry = {
            **{"name": topic_name, "source": "okta", "reader": "system-log", "tenant": topic_name},
            "settings": {"url": server.url, "token": "env:OKTA_TOKEN", "since": begin.isoformat()},
        }
        (tmp_path / "inputs.yml").write_text(yaml.safe_dump([entry]))
        run(settings)
        command = ["reconcile", topic_name, "--from", begin.isoformat(), "--json"]
        assert app.run(command) == 0
        double.events += [event("late", 25), event("later", 31)]
        run(settings)  # too late: its time is not asked for again
        capfdbinary.readouterr()
        assert app.run(command) == 1
        found = capfdbinary.readouterr()
        listed = [json.loads(line)["id"] for line in found.out.splitlines()]
        assert listed == ["okta:late", "okta:later"]
        assert b"7 events listed, 2 missing" in found.err
        assert app.run([*command, "--fetch"]) == 0
        assert app.run(command) == 0
    there = arrived("raw.okta", mine)
    uuids = sorted(json.loads(each.value())["uuid"] for each in there)
    assert uuids == ["e10", "e20", "e30", "e40", "e50", "late", "later"]
    said = [json.loads(each.value()) for each in arrived(topics.raw("health"), mine)]
    assert {each["message"] for each in said} == {f"2 of 7 events of {topic_name} never arrived"}


@pytest.mark.e2e
def test_a_way_in_that_cannot_list_says_so(place: Path, topic_name: str, capfd: Any) -> None:
    file = place.parent / "inputs.yml"
    entry = yaml.safe_load(file.read_text())[0] | {"reader": "tail"}
    entry["settings"] = {"paths": [str(place / "a.log")]}
    file.write_text(yaml.safe_dump([entry]))
    assert app.run(["reconcile", topic_name, "--from", "2026-03-01"]) == 1
    assert "cannot list what it has" in capfd.readouterr().err
