"""Each online model by itself, and all default ones judged together, on CloudTrail events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

import connectors
from bench._with.context import Context
from bench._with.events import batches
from bench.measure import Meter, Row
from connectors.base import Connector
from detectors.detect import warm
from detectors.online.hashing import hash_column
from detectors.score import multipliers
from detectors.scoring.choose import all_models, online_models
from detectors.scoring.ensemble import Ensemble
from detectors.sigma import RuleSet
from schemas.batch import EventBatch
from sentinel.registry import discover
from streams.normalizer import Normalizer, Units

BATCH: Final = 5000


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
    """Return what the state takes once as many entities were seen as a tenant may have."""
    state = sum(len(model.snapshot()) for model in group.models)
    return {"state_mb": round(state / 1e6, 2), "bounded_at_mb": 5.0}
