"""Values an entity shows often, but never together: a usual host doing what only another does.

Pairs of fields per entity, judged by the Good-Turing estimate of `detectors.online.rarity`: an
entity that pairs everything with everything is not surprising. A pair counts only where the
entity has shown each of its values before, because a value never shown is `new_value`'s to
report. Decades of several pairs are added with halving weights, as there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.hashing import GOLDEN, hash_column, kernel
from detectors.online.rarity import GROUPS, VALUES, Rarity, scores
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

#: The fields, and which of them are paired.
FIELDS = ("operation", "src_ip", "user_agent", "region")
PAIRS = ((0, 1), (0, 2), (0, 3))
COUNT = len(FIELDS) + len(PAIRS)
COLD_EVENTS = 1000


@kernel("void(uint64[:, ::1])")
def _pair(values: Any) -> Any:
    """Fill the columns of pairs from those of fields; 0 where a value is missing."""
    for i in range(len(values)):
        for place in range(len(PAIRS)):
            one, other = values[i, PAIRS[place][0]], values[i, PAIRS[place][1]]
            both = one != 0 and other != 0
            values[i, len(FIELDS) + place] = one * GOLDEN ^ other if both else np.uint64(0)


@kernel("void(float64[:, ::1], boolean[:, ::1], float64[:, ::1])")
def _known(decades: Any, fresh: Any, out: Any) -> Any:
    """Fill the decades of pairs, 0 where the entity had not shown each of the values before."""
    for i in range(len(decades)):
        for place in range(len(PAIRS)):
            new = fresh[i, PAIRS[place][0]] or fresh[i, PAIRS[place][1]]
            out[i, place] = 0.0 if new else decades[i, len(FIELDS) + place]


class RareCombination(Model):
    """Pairs of values new to an entity that knows each of them.

    State: at most 830 kB in a snapshot; a full table drops its less recently used half.
    """

    id: ClassVar[str] = "model.rare_combination"
    title: ClassVar[str] = "Usual values in a combination this entity has never shown"
    techniques: ClassVar[tuple[str, ...]] = ("T1078",)
    version: ClassVar[int] = 1

    def __init__(self, entities: int = GROUPS, values: int = VALUES) -> None:
        self._rarity = Rarity(COUNT, entities, values)
        self._rows = np.empty(0, np.int64)
        self._decades = np.empty((0, len(PAIRS)))
        self._events = np.empty(0, np.int32)
        self._since = np.empty(0, np.int64)

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities and values dropped since the start."""
        return self._rarity.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        values = np.empty((len(rows), COUNT), np.uint64)
        for place, name in enumerate(FIELDS):
            values[:, place] = hash_column(getattr(batch, name), rows)
        _pair(values)
        time = batch.time[rows].astype(np.int64, copy=False)
        found = self._rarity.learn(hash_column(batch.entity, rows), values, time)
        self._decades = np.empty((len(rows), len(PAIRS)))
        _known(found.decades, found.fresh, self._decades)
        self._rows, self._events, self._since = rows, found.events[:, 0], found.since
        return scores(self._decades)

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Name the pairs, what they weigh, and how long the entity has been watched."""
        at = int(np.searchsorted(self._rows, row))
        decades = self._decades[at]
        total = decades.sum() or 1.0
        new = [int(place) for place in np.argsort(-decades, kind="stable") if decades[place] > 0]
        names = {place: [FIELDS[field] for field in PAIRS[place]] for place in new}
        history = int(self._events[at])
        return {
            "contributions": [
                {
                    "field": " + ".join(names[place]),
                    "value": " + ".join(getattr(batch, name).at(row) for name in names[place]),
                    "weight": round(float(decades[place] / total), 4),
                }
                for place in new
            ],
            "baseline": {
                "compared_with": f"{history:,} earlier events of {batch.entity.at(row)}",
                "events": history,
                "since": int(self._since[at]),
            },
            "cold_start": history < COLD_EVENTS,
            "quiet": "Having seen the entity combine these before, or often combine anew.",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return pack(self.id, self.version, self._rarity.state())

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        self._rarity.load(unpack(self.id, self.version, state))
