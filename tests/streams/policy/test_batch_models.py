"""A batch model that was promoted scores what arrives from then on, until it is rolled back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectors.cloudtrail import CloudTrail
from detectors.batch_models.live import Live, read
from detectors.batch_models.store import SETTLE_MS, Store
from detectors.batch_models.train import points_of, train
from detectors.sigma import RuleSet
from detectors.suppress.policy import Policy, Suppression
from detectors.suppress.scope import Scope
from schemas.batch import EventBatch
from sentinel.cli import _stored
from sentinel.sample.hour import simulate
from sentinel.settings import Settings
from streams.policy.batch_models import Shelves
from streams.policy.suppressions import Board
from streams.rehearsal.backtest import run
from streams.rehearsal.pipeline import Message

KIND = "isolation_forest"


@pytest.fixture(scope="module")
def raws() -> list[bytes]:
    return [event.raw for event in simulate(seed=5) if event.source == "cloudtrail"]


@pytest.fixture(scope="module")
def usual(raws: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> list[EventBatch]:
    path = tmp_path_factory.mktemp("logs") / "events.jsonl"
    path.write_bytes(b"\n".join(raws))
    return [batch for _, batch in _stored.batches("cloudtrail", "default", [str(path)])]


@pytest.fixture
def home(tmp_path: Path, usual: list[EventBatch]) -> Path:
    """Return a SENTINEL_HOME in which a version of the forest was trained and promoted."""
    store = Store(tmp_path / "models", "default", "cloudtrail")
    store.add(train(points_of(usual)))
    store.promote(KIND, 1)
    return tmp_path


def steps(home: Path) -> list[dict[str, Any]]:
    path = home / "models/default/cloudtrail" / KIND / "history.json"
    found: list[dict[str, Any]] = json.loads(path.read_bytes())
    return found


def alerts(home: Path, raws: list[bytes], arrived: int, *rows: Suppression) -> list[dict[str, Any]]:
    """Return what the promoted model says of events that arrive at a time."""
    messages = [
        Message("raw.cloudtrail", 0, raw, tenant, arrived)
        for raw in raws
        for tenant in ("default", "other")
    ]
    settings = Settings(home=home, partitions=1, model_threshold=0.5)
    board = Board(Policy(rows))
    outcome = run(messages, RuleSet(), {"cloudtrail": CloudTrail}, settings, board)
    found = [a for a in outcome.alerts.values() if a["rule_id"] == f"model.batch.{KIND}"]
    assert {alert["tenant"] for alert in found} <= {"default"}
    return found


def test_a_promoted_version_scores_what_arrives_once_every_worker_has_it(home, raws) -> None:
    (step,) = steps(home)
    assert alerts(home, raws, step["since"] - 1) == []
    (first, *_) = alerts(home, raws, step["since"])
    assert first["kind"] == "model"
    assert first["score"] >= 0.5
    why = first["explanation"]
    assert "version 1" in json.dumps(why)
    assert why["contributions"][0]["weight"] > 0
    scope = Scope(rules=("model.batch.*",))
    off = Suppression(tenant="default", id="t", kind="tuning", scope=scope, disabled=True,
                      starts=0, expires=1 << 50)  # fmt: skip
    assert alerts(home, raws, step["since"], off) == []


def test_each_event_is_scored_by_the_version_that_was_live_when_it_came(home, usual) -> None:
    store = Store(home / "models", "default", "cloudtrail")
    store.add(train(points_of(usual), seed=7))
    store.promote(KIND, 2)
    assert store.rollback(KIND) == 1
    one, two, three = (step["since"] for step in steps(home))
    (live,) = read(home / "models", 0)["default", "cloudtrail"]
    arrived = np.array([one - 1, one, two, three, three + 9])
    assert live.versions(np.array([one - 1, three])).tolist() == [0, 1]
    assert set(live.versions(arrived).tolist()) <= {0, 1, 2}
    made = Live(KIND, [(10, 1), (20, 2), (30, 1)], live.models)
    assert made.versions(np.array([9, 10, 20, 29, 30, 99])).tolist() == [0, 1, 2, 2, 1, 1]
    points = points_of(usual).x[:50]
    versions = np.array([0, 1, 2] * 16 + [1, 2])
    found = made.anomaly(points, versions)
    for version in (1, 2):
        alone = made.models[version].score(points[versions == version]).anomaly
        np.testing.assert_array_equal(found[versions == version], alone)
    assert not found[versions == 0].any()
    assert steps(home)[0]["since"] + SETTLE_MS > 0


def test_a_worker_takes_changes_and_keeps_what_it_has_where_a_file_is_damaged(home) -> None:
    shelves = Shelves(home / "models")
    assert shelves.look()
    assert not shelves.look(), "nothing new"
    before = shelves.models
    assert list(before) == [("default", "cloudtrail")]
    history = home / "models/default/cloudtrail" / KIND / "history.json"
    history.write_text("[{")
    assert not shelves.look()
    assert shelves.models is before
