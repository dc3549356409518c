"""Correlations over batches in memory: for case files, ``sentinel match`` and backtests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from detectors.correlation.fold import WINDOW_MS
from detectors.correlation.joins import Joiner
from detectors.correlation.plan import Plan
from detectors.online.joins import Gathered, Lanes
from schemas.batch import EventBatch


class Offline:
    """The engine, fed with batches as normalize makes them, and the alerts so far.

    Parameters
    ----------
    plan
        What runs.
    fold_ms
        See `detectors.correlation.joins.Joiner`.
    """

    def __init__(self, plan: Plan, fold_ms: int = WINDOW_MS) -> None:
        self._joiner = Joiner(plan, fold_ms)
        self._lanes = Lanes()
        self._offset = -1
        self.alerts: dict[str, dict[str, Any]] = {}

    def add(self, batch: EventBatch) -> None:
        """Take a batch; events of all batches together are in the order in which they came."""
        self._offset += 1
        gathered, rows = Gathered(), np.arange(len(batch), dtype=np.int64)
        gathered.add(batch, self._offset, rows, self._lanes.before(batch))
        self._lanes.advance(batch, rows)
        arrivals = gathered.arrivals()
        if arrivals is not None:
            self._merge(self._joiner.process([(0, self._offset, arrivals)]).alerts)

    def close(self) -> list[dict[str, Any]]:
        """Judge what still waits for later events; return all alerts, each once and whole."""
        self._merge(self._joiner.close().alerts)
        return list(self.alerts.values())

    def _merge(self, alerts: Iterable[dict[str, Any]]) -> None:
        for alert in alerts:
            known = self.alerts.get(alert["id"])
            events = known["events"] if known else []
            self.alerts[alert["id"]] = alert | {"events": events + alert["events"]}


def correlate(
    plan: Plan, batches: Iterable[EventBatch], fold_ms: int = WINDOW_MS
) -> list[dict[str, Any]]:
    """Return the alerts that correlations raise over some batches: records of ``alert.avsc``."""
    offline = Offline(plan, fold_ms)
    for batch in batches:
        offline.add(batch)
    return offline.close()
