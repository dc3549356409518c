"""Each online model by itself, all default ones judged together, and what entities take."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

import connectors
from bench._with.context import Context
from bench._with.events import batches
from bench.measure import Meter, Row
from connectors.base import Connector
from detectors.detect import MAX_TENANTS, warm
from detectors.online.features import ENTITIES as KEPT
from detectors.online.hashing import hash_column
from detectors.score import multipliers
from detectors.scoring.choose import all_models, online_models
from detectors.scoring.ensemble import Ensemble
from detectors.sigma import RuleSet
from schemas.batch import EventBatch, Strings
from sentinel.registry import discover
from streams.normalizer import Normalizer, Units

BATCH: Final = 5000
#: Of which memory is stated.
ENTITIES: Final = 100_000


def run(context: Context) -> Iterator[Row]:
    """Score the sample with every model, then with all default ones together."""
    warm()
    parts = [(raws, _normalised(raws)) for raws in batches(context.sample.raws, BATCH)]
    for model in all_models():
        one = model()
        yield _measure(model.id, parts, one.score_learn, default=model.default)
    group = Ensemble([make() for make in online_models()])

    def together(batch: EventBatch, rows: Any) -> None:
        anomaly = np.stack([model.score_learn(batch, rows) for model in group.models])
        entity, times = hash_column(batch.entity, rows), batch.time[rows]
        group.judge(anomaly, multipliers(batch, rows), entity, times)

    yield _entities(parts[0][1])
    yield _measure("models together", parts, together, default=True) | _memory(group)


def _normalised(raws: list[bytes]) -> EventBatch:
    connector = discover(connectors, Connector)["cloudtrail"]()  # type: ignore[type-abstract]
    normalizer = Normalizer("cloudtrail", connector, RuleSet.load([]), 1)
    count, now = len(raws), int(time.time() * 1000)
    numbers = list(range(count))
    units = Units(raws, ["default"] * count, numbers, numbers, [now] * count)
    ((_, batch),), _ = normalizer.normalize(units, ("raw.cloudtrail", 0), 0, count)
    return batch


def _measure(name: str, parts: list[tuple[list[bytes], EventBatch]], call: Any, **more: Any) -> Row:
    """Run every batch, the first quarter to warm up."""
    meter, cold = Meter(), max(len(parts) // 4, 1)
    for number, (raws, batch) in enumerate(parts):
        if number == cold:
            meter.begin()
        meter.yardstick(raws)
        call(batch, np.arange(len(batch)))
        meter.note(len(batch) if number >= cold else 0)
    return meter.row(name, **more)


def _memory(group: Ensemble) -> dict[str, Any]:
    """Return what the state takes after the events of the sample."""
    state = sum(len(model.snapshot()) for model in group.models)
    return {"state_mb": round(state / 1e6, 2), "bounded_at_mb": 5.0}


def _entities(batch: EventBatch) -> Row:
    """Return what `ENTITIES` entities take: of one tenant, and spread so that each is kept.

    A tenant's tables have their full size from the start and never another: entities beyond
    `detectors.online.features.ENTITIES` push out the ones least recently seen, and are counted.
    The detector keeps the models of `detectors.detect.MAX_TENANTS` tenants at most, so the
    bound of one partition is that many times ``mb_per_tenant``.
    """
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    group = Ensemble([make() for make in online_models()])
    rows, size = np.arange(len(batch)), len(batch)
    for first in range(0, ENTITIES, size):
        names = Strings.of([f"user-{number}" for number in range(first, first + size)])
        for model in group.models:
            model.score_learn(replace(batch, entity=names), rows)
    gc.collect()
    taken = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    tenants = -(-ENTITIES // KEPT)
    return {
        "name": "models memory",
        "entities": ENTITIES,
        "mb_per_tenant": round(taken, 2),
        "snapshot_mb": round(sum(len(model.snapshot()) for model in group.models) / 1e6, 2),
        "evictions": sum(model.evictions for model in group.models),
        "tenants_to_keep_all": tenants,
        "mb_to_keep_all": round(taken * tenants, 1),
        "bounded_at_mb": round(taken * MAX_TENANTS, 1),
    }
