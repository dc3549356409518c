"""Robust random cut forest: how much would the model of the latest events lose by this one.

The trees are in `detectors.online.cut_forest`. Not run by default: an event costs some 20 µs,
ten times the isolation forest's, which does better on labelled data in file order. Named in
``SENTINEL_MODELS`` it runs, for streams of few events that drift fast: it forgets all but the
latest 256.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.cut_forest import CutTrees
from detectors.online.features import COUNT, Features, contributions, explained
from detectors.online.places import Locate, nowhere
from detectors.online.tail import Tail
from detectors.score import DECADES
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

#: Trees; the paper has 100 of 256 points.
TREES = 6
COLD = 250


class RandomCutForest(Model):
    """Collusive displacement among the latest 256 events of the tenant.

    State: at most 830 kB in a snapshot (6 trees of 512 nodes of 19 features, 2,048 entities).
    """

    id: ClassVar[str] = "model.random_cut_forest"
    title: ClassVar[str] = "Event that stands apart from the tenant's latest ones"
    default: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def __init__(self, seed: int = 42, locate: Locate = nowhere) -> None:
        self._features = Features(locate=locate)
        self._trees = CutTrees(COUNT, TREES, seed=seed)
        self._tail = Tail()
        self._since = 0
        self._rows = np.empty(0, np.int64)
        self._points = np.empty((0, COUNT), np.float32)
        self._kept = np.empty(0, np.int64)
        self._apart = np.empty((0, COUNT), np.float32)

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities dropped since the start."""
        return self._features.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        if not self._since and len(rows):
            self._since = int(batch.time[rows[0]])
        self._rows = rows
        self._points = self._features.matrix(batch, rows)
        raw, self._apart = self._trees.score_learn(self._points)
        decades, self._kept = self._tail.decades(raw / (1.0 + raw))
        anomaly = np.minimum(decades / DECADES, 1.0)
        anomaly[self._kept < COLD] = 0.0
        return anomaly

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say in which features the event lies apart from where the latest ones lie."""
        at = int(np.searchsorted(self._rows, row))
        parts = contributions(batch, row, self._points[at], self._apart[at])
        return explained(
            parts, score, int(self._kept[at]), self._since,
            f"the tenant's latest {self._trees.size} events here",
            "A few events like it among the latest.",
        )  # fmt: skip

    def snapshot(self) -> bytes:
        """Return the whole state."""
        values = {
            "trees": self._trees.arrays,
            "tail": self._tail.arrays,
            "features": self._features.state(),
            "since": self._since,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._trees.load(values["trees"])
        self._tail.load(values["tail"])
        self._features.load(values["features"])
        self._since = int(values["since"])
