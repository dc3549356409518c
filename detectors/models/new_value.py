"""A value this entity has never shown: new address, client, region, service or operation.

How surprising that is depends on the entity, by the Good-Turing estimate of
`detectors.online.rarity`. Someone whose address changes every day has many values seen once: a
new address says little. A service that used one client for a thousand events and now shows
another stands out.

**Fields together.** New values come together (a new network brings a new client), so they are
not independent: the decades are added with halving weights, largest first. One field alone
counts 3 decades at most, so a single new value never is critical. The sum over 5 is the score.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.hashing import hash_column
from detectors.online.rarity import GROUPS, MIN_EVENTS, VALUES, Rarity, scores
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

__all__ = ["FIELDS", "MIN_EVENTS", "NewValue"]

FIELDS = ("operation", "service", "src_ip", "user_agent", "region")
COUNT = len(FIELDS)

#: Events below which alerts say `cold_start`: 1 in 1,000 cannot be told yet.
COLD_EVENTS = 1000


class NewValue(Model):
    """First-seen values per entity, weighed by how often that entity shows new ones.

    State: at most 790 kB in a snapshot; a full table drops its less recently used half.
    """

    id: ClassVar[str] = "model.new_value"
    title: ClassVar[str] = "Values this entity has never shown before"
    techniques: ClassVar[tuple[str, ...]] = ("T1078",)
    version: ClassVar[int] = 1

    def __init__(self, entities: int = GROUPS, values: int = VALUES) -> None:
        self._rarity = Rarity(COUNT, entities, values)
        self._rows = np.empty(0, np.int64)
        self._found = self._rarity.learn(
            np.empty(0, np.uint64), np.empty((0, COUNT), np.uint64), self._rows
        )

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities and values dropped since the start."""
        return self._rarity.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        entity = hash_column(batch.entity, rows)
        values = np.empty((len(rows), COUNT), np.uint64)
        for place, name in enumerate(FIELDS):
            values[:, place] = hash_column(getattr(batch, name), rows)
        time = batch.time[rows].astype(np.int64, copy=False)
        self._rows, self._found = rows, self._rarity.learn(entity, values, time)
        return scores(self._found.decades)

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Name the new values, what they weigh, and how long the entity has been watched."""
        at = int(np.searchsorted(self._rows, row))
        decades = self._found.decades[at]
        total = decades.sum() or 1.0
        new = [place for place in np.argsort(-decades, kind="stable") if decades[place] > 0]
        names = [FIELDS[place] for place in new]
        history = int(self._found.events[at].max(initial=0))
        return {
            "contributions": [
                {
                    "field": FIELDS[place],
                    "value": getattr(batch, FIELDS[place]).at(row),
                    "weight": round(float(decades[place] / total), 4),
                }
                for place in new
            ],
            "baseline": {
                "compared_with": f"{history:,} earlier events of {batch.entity.at(row)}",
                "events": history,
                "since": int(self._found.since[at]),
                "rarity": {
                    name: f"about 1 in {round(10 ** float(decades[FIELDS.index(name)])):,}"
                    for name in names
                },
            },
            "cold_start": history < COLD_EVENTS,
            "quiet": f"Having seen this {' and '.join(names) or 'value'} of the entity before.",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return pack(self.id, self.version, self._rarity.state())

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        self._rarity.load(unpack(self.id, self.version, state))
