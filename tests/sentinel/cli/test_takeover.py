"""Batch models that earlier versions kept in SENTINEL_HOME score on, from PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from detectors.batch_models import kinds
from detectors.batch_models.history import Step
from detectors.online.features import COUNT
from sentinel import batch_models
from sentinel import postgres as database
from sentinel.cli._changes.models import Models
from sentinel.cli._changes.takeover import take_over
from sentinel.cli.app import run

X = np.random.default_rng(3).uniform(0, 1, (60, COUNT)).astype(np.float32)
STEPS = [{"version": 1, "since": 10}, {"version": 2, "since": 20}, {"rollback": True, "since": 30}]


class Shape:
    """A class of then, by its name."""


def pickled(monkeypatch: pytest.MonkeyPatch, kind: str, known: np.ndarray, **made: Any) -> bytes:
    """Return what an earlier version pickled."""
    names = {
        "isolation_forest": "_Forest",
        "one_class_svm": "_Svm",
        "autoencoder": "_Autoencoder",
    }
    with monkeypatch.context() as patch:
        objects = []
        for name in ("Trained", names[kind]):
            cls = type(name, (Shape,), {"__module__": kinds.__name__})
            patch.setattr(kinds, name, cls, raising=False)
            objects.append(cls())
        model, estimator = objects
        vars(estimator).update(made)
        vars(model).update(kind=kind, contamination=0.1, _estimator=estimator, _known=known,
                           _usual=np.median(X, axis=0))  # fmt: skip
        return pickle.dumps(model)


def estimators() -> dict[str, dict[str, Any]]:
    scaler = StandardScaler().fit(X)
    scaled = scaler.transform(X)
    return {
        "isolation_forest": {"_fitted": IsolationForest(random_state=1).fit(X)},
        "one_class_svm": {"_fitted": make_pipeline(StandardScaler(), OneClassSVM(nu=0.1)).fit(X)},
        "autoencoder": {
            "_scaler": scaler,
            "_fitted": MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(scaled, scaled),
        },
    }


def keep(home: Path, tenant: str, kind: str, *models: bytes) -> Path:
    """Lay versions down as earlier versions of Sentinel did."""
    folder = home / "models" / tenant / "cloudtrail" / kind
    for number, data in enumerate(models, 1):
        place = folder / f"{number:04d}"
        place.mkdir(parents=True)
        (place / "model.pkl").write_bytes(data)
        about = {"kind": kind, "events": 60, "version": number}
        (place / "about.json").write_text(json.dumps(about))
    (folder / "history.json").write_text(json.dumps(STEPS[: 3 if len(models) > 1 else 1]))
    return folder


async def steps_of(dsn: str, tenant: str) -> list[Step]:
    pool = await database.open_pool(dsn, database.WORKER, tenant="*", size=1)
    async with pool, pool.acquire() as connection:
        return [Step(*row[3:]) for row in await batch_models.steps(connection, tenant)]


def test_what_was_in_the_home_scores_as_it_did(postgres, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path))
    monkeypatch.setenv("SENTINEL_POSTGRES", postgres)
    tenants = {kind: f"t-{uuid4().hex}" for kind in kinds.KINDS}
    for kind, made in estimators().items():
        data = pickled(monkeypatch, kind, np.arange(60.0), **made)
        keep(tmp_path, tenants[kind], kind, *[data] * (2 if kind == "isolation_forest" else 1))
    assert run(["migrate"]) == 0
    assert "took over 2 versions of" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
    assert (tmp_path / "models-taken-over").is_dir()
    for kind, tenant in tenants.items():
        model = Models(tenant, "cloudtrail").live(kind)
        assert model is not None
        assert model.kind == kind
        assert len(model) == 60
    forest = Models(tenants["isolation_forest"], "cloudtrail").live("isolation_forest")
    theirs = estimators()["isolation_forest"]["_fitted"]
    odd = 60 - np.searchsorted(np.arange(60.0), -theirs.score_samples(X), "left")
    tail = np.minimum(-np.log10((odd + 1) / 61) / 5, 1.0)
    assert forest is not None
    np.testing.assert_allclose(forest.score(X).anomaly, np.maximum(tail, 0.0))
    assert asyncio.run(steps_of(postgres, tenants["isolation_forest"])) == [
        Step(1, 10),
        Step(2, 20),
        Step(None, 30),
    ]


def test_what_cannot_be_taken_over_is_said_and_runs_nothing(
    postgres, tmp_path, monkeypatch
) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    bad, good = f"a-{uuid4().hex}", f"b-{uuid4().hex}"
    keep(tmp_path, bad, "isolation_forest", pickle.dumps(Evil()))
    made = estimators()["isolation_forest"]
    data = pickled(monkeypatch, "isolation_forest", np.arange(60.0), **made)
    keep(tmp_path, good, "isolation_forest", data)
    said: list[str] = []
    for _ in range(2):
        take_over(tmp_path, postgres, said.append)
    assert not (tmp_path / "ran").exists()
    first, second, third = said
    assert bad in first
    assert "were not taken over" in first
    assert (
        second == f"took over 1 versions of {good}/cloudtrail/isolation_forest from SENTINEL_HOME"
    )
    assert third == first, "what is there is not taken over again"
    assert (tmp_path / "models").is_dir()
