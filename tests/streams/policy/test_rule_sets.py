"""Rules that change while a worker runs: taken whole, between batches, and only once at rest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from connectors._sources import sources
from detectors.sigma import RuleSet
from schemas.batch import EventBatch
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.normalize import NormalizeStage
from streams.policy import rule_sets
from streams.policy.rule_sets import RuleWatch, load_rules, version

RULE = """\
title: {title}
id: {id}
logsource: {{product: aws, service: cloudtrail}}
detection: {{s: {{eventName: {name}}}, condition: s}}
level: high
{more}"""
IDS = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(4)]


def write(folder: Path, number: int, name: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"r{number}.yml"
    path.write_text(RULE.format(title=f"R{number}", id=IDS[number], name=name, more=more))
    return path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose home has imported rules, and no others."""
    monkeypatch.setattr(rule_sets, "own_rules", lambda: tmp_path / "own")
    (tmp_path / "own").mkdir()
    return Settings(home=tmp_path)


def event(name: str) -> bytes:
    found: dict[str, Any] = {
        "eventVersion": "1.08", "eventTime": "2026-01-05T08:00:00Z", "eventName": name,
        "eventSource": "iam.amazonaws.com", "awsRegion": "eu-west-1", "eventID": name,
        "sourceIPAddress": "203.0.113.7", "eventType": "AwsApiCall",
        "userIdentity": {"type": "IAMUser", "userName": "ada", "accountId": "123456789012",
                         "arn": "arn:aws:iam::123456789012:user/ada"},
    }  # fmt: skip
    return json.dumps(found).encode()


def matched(task: Any, records: Any, *names: str) -> list[tuple[str, bool]]:
    """Return the rules that events match, and whether they are on trial."""
    output = task.process(records([event(name) for name in names]))
    batches = [EventBatch.decode(each.value) for each in output.records if each.topic == "events"]
    assert sum(map(len, batches)) == len(names)
    return sorted((b.rules[h.rule].id, b.rules[h.rule].staged) for b in batches for h in b.hits)


async def test_a_running_stage_takes_new_changed_and_removed_rules(
    settings: Settings, records: Any
) -> None:
    folder = settings.imported_rules
    only = {"cloudtrail": sources(settings)["cloudtrail"]}
    stage = NormalizeStage(settings, only, load_rules(settings), 1)
    task = stage.task("raw.cloudtrail", 0)
    watch = RuleWatch(settings, stage.prepare)
    assert matched(task, records, "CreateUser") == []
    assert not await watch.look()
    first = write(folder, 0, "CreateUser")
    assert not await watch.look(), "it may still be being written"
    assert matched(task, records, "CreateUser") == []
    assert await watch.look()
    assert not await watch.look()
    assert matched(task, records, "CreateUser", "DeleteUser") == [(IDS[0], False)]
    write(folder, 1, "DeleteUser", "sentinel: staging\n")
    first.write_text(first.read_text().replace("CreateUser", "CreateRole"))
    assert await watch.look(now=True)
    assert matched(task, records, "CreateUser", "CreateRole", "DeleteUser") == [
        (IDS[0], False), (IDS[1], True),
    ]  # fmt: skip
    first.unlink()
    (folder / "bad.yml").write_text("title: [")
    assert not await watch.look()
    assert await watch.look()
    assert matched(task, records, "CreateRole", "DeleteUser") == [(IDS[1], True)]
    assert watch.swaps == 3


async def test_a_set_that_cannot_be_loaded_leaves_the_one_before(
    settings: Settings, tmp_path: Path
) -> None:
    taken: list[RuleSet] = []
    more = tmp_path / "more"
    write(more, 0, "CreateUser")
    watch = RuleWatch(
        settings.model_copy(update={"rules": str(more)}), lambda rules: lambda: taken.append(rules)
    )
    (more / "r0.yml").unlink()
    more.rmdir()
    assert not await watch.look(now=True)
    assert taken == []
    write(more, 0, "CreateUser")
    assert await watch.look(now=True)
    assert [rule.id for rule in taken[0].rules] == [IDS[0]]


async def test_a_signal_asks_for_a_look_at_once(settings: Settings) -> None:
    taken = asyncio.Event()
    watch = RuleWatch(settings, lambda rules: taken.set, poll_s=3600)
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.wait_for(taken.wait(), 120)
    running.cancel()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


CORRELATION = """\
title: Many
id: 00000000-0000-4000-8000-00000000000a
correlation: {{type: event_count, rules: [{rule}], group-by: [{by}], timespan: 1h,
  condition: {{gte: {count}}}}}
level: high
"""


async def test_correlations_that_stay_keep_their_windows(
    settings: Settings, tmp_path: Path
) -> None:
    """The task is given a new engine, which takes up what the one before it knew."""
    folder = settings.imported_rules
    write(folder, 0, "CreateUser")
    text = CORRELATION.format(rule=IDS[0], by="userIdentity.arn", count=3)
    (folder / "many.yml").write_text(text)
    rules = load_rules(settings)
    assert rules.plan.trees
    stage = CorrelateStage(settings, 1, plan=rules.plan)
    task = stage.task("signals", 0)
    before = task.snapshot()
    stage.prepare(load_rules(settings))()
    assert task.snapshot() == before
    (folder / "many.yml").unlink()
    stage.prepare(load_rules(settings))()
    assert stage.task("signals", 0).snapshot() == task.snapshot()


def test_only_rule_files_count_and_a_missing_folder_has_none(tmp_path: Path) -> None:
    assert version([tmp_path / "none"]) == frozenset()
    write(tmp_path / "a" / "b", 0, "X")
    (tmp_path / "notes.txt").write_text("x")
    assert len(version([tmp_path])) == 1
