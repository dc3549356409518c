"""A batch model that was promoted scores what arrives from then on, until it is rolled back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from connectors.cloudtrail import CloudTrail
from detectors.batch_models.history import Step
from detectors.batch_models.live import Live, needed, shelf
from detectors.batch_models.train import Version, points_of, train
from detectors.sigma import RuleSet
from detectors.suppress.policy import Policy, Suppression
from detectors.suppress.scope import Scope
from schemas.batch import EventBatch
from sentinel import batch_models
from sentinel import postgres as database
from sentinel.cli import _stored
from sentinel.cli.app import run as sentinel
from sentinel.errors import SettingsError
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from streams.detect import DetectStage
from streams.policy.batch_models import Shelves
from streams.policy.suppressions import Board
from streams.rehearsal.backtest import run
from streams.rehearsal.pipeline import Message

KIND = "isolation_forest"
TABLES = ("batch_models", "batch_model_steps")


@pytest.fixture(scope="module")
def raws() -> list[bytes]:
    return [event.raw for event in simulate(seed=5) if event.source == "cloudtrail"]


@pytest.fixture(scope="module")
def log(raws: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "events.jsonl"
    path.write_bytes(b"\n".join(raws))
    return path


@pytest.fixture(scope="module")
def usual(log: Path) -> list[EventBatch]:
    return [batch for _, batch in _stored.batches("cloudtrail", "default", [str(log)])]


@pytest.fixture(scope="module")
def version(usual: list[EventBatch]) -> Version:
    return train(points_of(usual))


@pytest.fixture
async def trainer(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection that may add models."""
    pool = await database.open_pool(postgres, database.TRAINER, tenant="*", size=1)
    async with pool, pool.acquire() as connection:
        yield connection


def alerts(
    shelves: Shelves, tenant: str, raws: list[bytes], arrived: int, *rows: Suppression
) -> list[dict[str, Any]]:
    """Return what the promoted model says of events that arrive at a time."""
    messages = [
        Message("raw.cloudtrail", 0, raw, whose, arrived)
        for raw in raws
        for whose in (tenant, "other")
    ]
    settings = Settings(partitions=1, model_threshold=0.5)
    board = Board(Policy(rows))
    outcome = run(messages, RuleSet(), {"cloudtrail": CloudTrail}, settings, board, shelves)
    found = [a for a in outcome.alerts.values() if a["rule_id"] == f"model.batch.{KIND}"]
    assert {alert["tenant"] for alert in found} <= {tenant}
    return found


def test_a_worker_with_another_home_scores_with_what_was_promoted(
    postgres, tenant, raws, log, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("SENTINEL_POSTGRES", postgres)
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path / "where-it-is-trained"))
    mine = ("--source", "cloudtrail", "--tenant", tenant)
    assert sentinel(["models", "train", str(log), *mine]) == 0
    assert sentinel(["models", "promote", "1", *mine, "--reason", "a test"]) == 0
    shelves = Shelves()
    elsewhere = Settings(home=tmp_path / "another-machine", postgres=postgres)

    async def start() -> None:
        stage = DetectStage(elsewhere, 1, shelves=shelves)
        await stage.open()
        beside = asyncio.create_task(stage.beside())
        await asyncio.sleep(0)
        beside.cancel()

    asyncio.run(start())
    (live,) = shelves.models[tenant, "cloudtrail"]
    since, number = live.spans[0]
    assert number == 1
    assert alerts(shelves, tenant, raws, since - 1) == [], "not every worker may have it yet"
    (first, *_) = alerts(shelves, tenant, raws, since)
    assert first["kind"] == "model"
    assert first["score"] >= 0.5
    why = first["explanation"]
    assert "version 1" in json.dumps(why)
    assert why["contributions"][0]["weight"] > 0
    scope = Scope(rules=("model.batch.*",))
    off = Suppression(tenant=tenant, id="t", kind="tuning", scope=scope, disabled=True,
                      starts=0, expires=1 << 50)  # fmt: skip
    assert alerts(shelves, tenant, raws, since, off) == []


def test_each_event_is_scored_by_the_version_that_was_live_when_it_came(usual, version) -> None:
    which = ("default", "cloudtrail", KIND)
    steps = {which: [Step(1, 10), Step(2, 20), Step(None, 30)]}
    other = train(points_of(usual), seed=7)
    assert needed(steps, 0) == {(which, 1), (which, 2)}
    assert needed(steps, 31) == {(which, 1)}
    models = {(which, 1): version.model, (which, 2): other.model}
    (made,) = shelf(steps, models, 0)["default", "cloudtrail"]
    assert made.versions(np.array([9, 10, 20, 29, 30, 99])).tolist() == [0, 1, 2, 2, 1, 1]
    points = points_of(usual).x[:50]
    versions = np.array([0, 1, 2] * 16 + [1, 2])
    found = made.anomaly(points, versions)
    for number in (1, 2):
        alone = made.models[number].score(points[versions == number]).anomaly
        np.testing.assert_array_equal(found[versions == number], alone)
    assert not found[versions == 0].any()
    assert shelf(steps, {}, 0) == {}
    assert isinstance(made, Live)


async def test_a_worker_reads_changes_once_and_leaves_out_what_is_no_model(
    trainer, worker, tenant, version
) -> None:
    about, data = version.about, version.model.dump()
    shelves = Shelves()
    for source, stored in (("cloudtrail", data), ("okta", data[:-9]), ("github", b"")):
        await batch_models.add(trainer, tenant, source, about, stored)
        await batch_models.step(trainer, tenant, source, KIND, 1)
    assert await shelves.look(worker, tenant)
    assert not await shelves.look(worker, tenant), "nothing new"
    assert list(shelves.models) == [(tenant, "cloudtrail")]
    (before,) = shelves.models[tenant, "cloudtrail"]
    assert await batch_models.add(trainer, tenant, "cloudtrail", about, data) == 2
    await batch_models.step(trainer, tenant, "cloudtrail", KIND, 2)
    assert await shelves.look(worker, tenant)
    (after,) = shelves.models[tenant, "cloudtrail"]
    assert sorted(after.models) == [1, 2]
    assert after.models[1] is before.models[1], "a version is read once"


async def test_only_who_trains_may_write_and_a_tenant_sees_its_own(
    postgres, trainer, worker, tenant, version
) -> None:
    about, data = version.about, version.model.dump()
    await batch_models.add(trainer, tenant, "cloudtrail", about, data)
    await batch_models.step(trainer, tenant, "cloudtrail", KIND, 1)
    for connection in (worker, trainer):
        for table in TABLES:
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET source = 'x'"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(change)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await batch_models.add(worker, tenant, "cloudtrail", about, data)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await batch_models.step(worker, tenant, "cloudtrail", KIND, 1)
    api = await database.open_pool(postgres, database.API, tenant="*", size=1)
    async with api:
        for table in TABLES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await api.fetch(f"SELECT * FROM {table}")
    for whose, count in ((tenant, 1), ("someone-else", 0)):
        await worker.execute("SELECT set_config('sentinel.tenant', $1, false)", whose)
        for table in TABLES:
            rows = await worker.fetch(f"SELECT FROM {table} WHERE tenant = $1", tenant)
            assert len(rows) == count


async def test_bytes_that_are_not_those_that_were_stored_are_refused(
    trainer, tenant, version
) -> None:
    add = batch_models.SQL["add"]
    about = json.dumps(version.about)
    with pytest.raises(asyncpg.CheckViolationError):
        await trainer.execute(add, tenant, "s", KIND, about, b"other", "0" * 64)
    most = batch_models.MAX_BYTES
    with pytest.raises(SettingsError, match="at most 33,554,432 bytes"):
        await batch_models.add(trainer, tenant, "s", version.about, bytes(most + 1))
