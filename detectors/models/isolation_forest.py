"""Isolation forest: how few random cuts set this event apart from a sample of the past.

The trees, and how they are renewed while events come, are in `detectors.online.isolation`;
what an event is to them, in `detectors.online.features`. Of all forests here it does best on
labelled data in file order (`sentinel evaluate anomaly`), which is why it is the one that
runs by default.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.features import COUNT, Features, contributions, explained
from detectors.online.isolation import RESERVOIR, SAMPLE, IsolationTrees
from detectors.online.places import Locate, nowhere
from detectors.score import DECADES
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

#: Scores needed before the first that counts: what is rare among fewer is not.
COLD = 250


class IsolationForest(Model):
    """Online isolation forest over what an event is, when it came and how its entity behaves.

    State: at most 560 kB in a snapshot (28 trees of 511 nodes, 1,024 points of 19 features,
    2,048 entities).
    """

    id: ClassVar[str] = "model.isolation_forest"
    title: ClassVar[str] = "Event set apart from the tenant's past by few features"
    version: ClassVar[int] = 1

    def __init__(self, seed: int = 42, locate: Locate = nowhere) -> None:
        self._features = Features(locate=locate)
        self._trees = IsolationTrees(COUNT, seed=seed)
        self._since = 0
        self._rows = np.empty(0, np.int64)
        self._points = np.empty((0, COUNT), np.float32)
        self._scored = self._trees.score_learn(self._points)

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities dropped since the start."""
        return self._features.evictions

    @property
    def points(self) -> NDArray[np.float32]:
        """float32[n, features]: the events of the latest call as points, for batch models."""
        return self._points

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        if not self._since and len(rows):
            self._since = int(batch.time[rows[0]])
        self._rows = rows
        self._points = self._features.matrix(batch, rows)
        self._scored = self._trees.score_learn(self._points)
        anomaly = np.minimum(self._scored.decades / DECADES, 1.0)
        anomaly[self._scored.kept < COLD] = 0.0
        return anomaly

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say which features set the event apart, by how much their cuts thinned the sample."""
        at = int(np.searchsorted(self._rows, row))
        parts = contributions(batch, row, self._points[at], self._scored.weights[at])
        return explained(
            parts, score, int(self._scored.kept[at]), self._since,
            f"samples of {SAMPLE} out of {RESERVOIR:,} of the tenant's events",
            "More events like it: once they are in the sample, cuts no longer part them.",
        )  # fmt: skip

    def reopen(self) -> None:
        """Sample the stream anew: it has changed."""
        self._trees.reopen()

    def snapshot(self) -> bytes:
        """Return the whole state."""
        values = {
            "trees": self._trees.arrays,
            "features": self._features.state(),
            "since": self._since,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._trees.load(values["trees"])
        self._features.load(values["features"])
        self._since = int(values["since"])
