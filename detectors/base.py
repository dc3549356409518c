"""What an online model is: the contract that every file in ``models/`` fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import EventBatch


class Model(ABC):
    """One online model for one tenant in one partition: scores, then learns, in event order.

    Contract-tested over all models: the same seed and events give the same scores,
    whatever the batch boundaries; `restore(snapshot())` continues bit for bit;
    events with empty fields are scored; state stays below its stated bound and
    every eviction is counted in `evictions`.
    """

    #: Stable id: the ``rule_id`` of its alerts, e.g. ``model.half_space_trees``.
    id: ClassVar[str]
    #: One line for an analyst.
    title: ClassVar[str]
    #: ATT&CK technique ids that such an anomaly points at; may be empty.
    techniques: ClassVar[tuple[str, ...]] = ()
    #: Whether it runs where ``SENTINEL_MODELS`` names none.
    default: ClassVar[bool] = True
    #: State dropped because a bound was reached, since the start.
    evictions: int = 0

    @abstractmethod
    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows` (ascending) of `batch`, learning from each after its score.

        Where it raises it has not changed any state: the caller then asks again, event by
        event, and leaves out those that raise.

        Returns
        -------
        float64[len(rows)]
            Calibrated anomaly, 0 (usual) to 1; 0 while the model is still cold.
        """

    @abstractmethod
    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say why the event at `row` got `score`; called right after its `score_learn`.

        Keys: ``contributions`` (list of ``{field, value, weight}``, largest first),
        ``baseline`` (what it was compared with, and since when), ``cold_start``
        (bool), ``quiet`` (what would have kept it quiet).
        """

    def reopen(self) -> None:  # noqa: B027 - most models forget by themselves
        """Learn faster from here on: the stream has changed. Must follow from the state alone."""

    @abstractmethod
    def snapshot(self) -> bytes:
        """Return the whole state, for `restore`."""

    @abstractmethod
    def restore(self, state: bytes) -> None:
        """Take up the state that `snapshot` returned; raise SchemaError on another version."""
