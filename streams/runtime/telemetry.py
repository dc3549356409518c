"""What every stage reports about a batch, in the metrics of `sentinel.metrics`.

One observation a batch, not an event: a histogram costs as much as scoring an event.
Latencies are those of the oldest event of the batch, so they err on the slow side.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from sentinel import metrics

#: Ledger counts that are metrics as well.
COUNTERS = {"in": metrics.RECEIVED, "out": metrics.EMITTED, "duplicate": metrics.DUPLICATE,
            "late": metrics.LATE}  # fmt: skip


def counted(stage: str, tenant: str, source: str, counts: dict[str, int]) -> None:
    """Show what was added to the ledger."""
    label = metrics.tenant_label(tenant)
    for name, counter in COUNTERS.items():
        if count := counts.get(name, 0):
            counter.labels(stage, source, label).inc(max(count, 0))


def batch(stage: str, size: int, seconds: float) -> None:
    """Note that `stage` handled `size` records in `seconds`."""
    metrics.BATCH_SIZE.labels(stage).observe(size)
    metrics.BATCH_SECONDS.labels(stage).observe(seconds)


def latency(stage: str, source: str, arrived_ms: int, event_ms: int) -> None:
    """Note how long ago the oldest event of a batch arrived and happened, ms since the epoch."""
    now = time.time()
    metrics.ARRIVAL_LATENCY.labels(stage, source).observe(max(0.0, now - arrived_ms / 1000))
    metrics.EVENT_LATENCY.labels(stage, source).observe(max(0.0, now - event_ms / 1000))


def evicted(stage: str, before: dict[str, int], now: dict[str, int]) -> None:
    """Note what state was dropped at its bound since `before`."""
    for what, count in now.items():
        if (more := count - before.get(what, 0)) > 0:
            metrics.EVICTIONS.labels(stage, what).inc(more)


def lag(stage: str, behind: Iterable[tuple[tuple[str, int], int]]) -> None:
    """Show how many records of each partition are not yet processed."""
    for (topic, partition), records in behind:
        metrics.LAG.labels(stage, topic, partition).set(records)


def dead_lettered(stage: str, source: str, reason: str) -> None:
    """Note a dead letter."""
    metrics.DEAD_LETTERED.labels(stage, source, reason).inc()


def failed(stage: str, source: str, reason: str) -> None:
    """Note something a stage could not do but for which no record was lost."""
    metrics.ERRORS.labels(stage, source, reason).inc()
