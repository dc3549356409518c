"""An operation that has never followed what this entity did before.

A Markov chain of orders 1 and 2 over the operations of a tenant: after one operation, and after
two in a row, which have followed before? Sequences are those of one entity; the chain is the
tenant's, so that what any colleague does in that order is known. A step never seen is judged
by the Good-Turing estimate of `detectors.online.rarity` for its context: after an operation
that everything follows, one more says little. Decades of the two orders are added with halving
weights. A pause of more than `PAUSE_MS` starts a new sequence.

Order 2 sees a known step in an unknown order (Warrender, Forrest and Pearlmutter 1999,
"Detecting Intrusions Using System Calls", where windows of three suffice for most).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.hashing import GOLDEN, Table, find, hash_column, insert, kernel, mix
from detectors.online.rarity import GROUPS, Rarity, scores
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

#: Time after which what an entity does is a new sequence, ms.
PAUSE_MS = 1_800_000
#: Contexts (one or two operations) and steps after them, of one tenant in one partition.
CONTEXTS, STEPS = 8192, 16_384
COLD_EVENTS = 1000
_START = np.uint64(0x5E0)


@kernel(
    "int64(int64, int64, uint64[::1], uint64[::1], int64[::1], uint64[::1], int32[::1], "
    "int64[::1], int64[::1], int64[::1], uint64[:, ::1], uint64[:, ::1])"
)
def _contexts(
    start: Any,
    clock: Any,
    entity: Any,
    operation: Any,
    time: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    times: Any,
    before: Any,
    out: Any,
) -> Any:
    """Fill the contexts of each row from `start`; return where the table was full, else the end."""
    for i in range(start, len(entity)):
        row = find(keys, slots, entity[i])
        if row < 0:
            if size[0] == len(keys):
                return i
            row = insert(keys, slots, size, entity[i])
            before[row, 0] = before[row, 1] = _START
        elif time[i] - times[row] > PAUSE_MS:
            before[row, 0] = before[row, 1] = _START
        last[row] = clock + i
        times[row] = max(time[i], times[row])
        out[i, 0] = mix(before[row, 0])
        out[i, 1] = mix(before[row, 0] * GOLDEN ^ before[row, 1])
        before[row, 1] = before[row, 0]
        before[row, 0] = operation[i]
    return len(entity)


class ApiSequence(Model):
    """Steps between operations that the tenant has never taken.

    State: at most 900 kB in a snapshot; a full table drops its less recently used half.
    """

    id: ClassVar[str] = "model.api_sequence"
    title: ClassVar[str] = "Operations in an order never seen in this tenant"
    version: ClassVar[int] = 1

    def __init__(self, entities: int = GROUPS) -> None:
        self._entities = Table(entities, {"time": ("<i8", 0), "before": ("<u8", 2)})
        self._rarity = Rarity(1, CONTEXTS, STEPS)
        self._clock = 0
        self._rows = np.empty(0, np.int64)
        self._decades = np.empty((0, 2))
        self._events = np.empty((0, 2), np.int32)
        self._since = np.empty(0, np.int64)

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities, contexts and steps dropped since the start."""
        return self._entities.evictions + self._rarity.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        count = len(rows)
        operation = hash_column(batch.operation, rows)
        time = batch.time[rows].astype(np.int64, copy=False)
        contexts = self._steps(hash_column(batch.entity, rows), operation, time)
        found = self._rarity.learn(
            contexts.reshape(-1), np.repeat(operation, 2)[:, None], np.repeat(time, 2)
        )
        self._rows = rows
        self._decades = found.decades.reshape(count, 2)
        self._events = found.events.reshape(count, 2)
        self._since = found.since[::2]
        return scores(self._decades)

    def _steps(
        self, entity: NDArray[np.uint64], operation: NDArray[np.uint64], time: NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        """Return uint64[n, 2]: the contexts of each row, of one operation and of two."""
        contexts, table, start = np.empty((len(entity), 2), np.uint64), self._entities, 0
        while start < len(entity):
            start = _contexts(
                start,
                self._clock,
                entity,
                operation,
                time,
                table.keys,
                table.slots,
                table.size,
                table.last,
                table.columns["time"],
                table.columns["before"],
                contexts,
            )
            if start < len(entity):
                table.age()
        self._clock += len(entity)
        return contexts

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say after how many operations this one was new, and how often those were seen."""
        at = int(np.searchsorted(self._rows, row))
        decades = self._decades[at]
        total = decades.sum() or 1.0
        orders = ("operation after one", "operation after two")
        new = [int(place) for place in np.argsort(-decades, kind="stable") if decades[place] > 0]
        history = int(self._events[at].max(initial=0))
        return {
            "contributions": [
                {
                    "field": orders[place],
                    "value": batch.operation.at(row),
                    "weight": round(float(decades[place] / total), 4),
                }
                for place in new
            ],
            "baseline": {
                "compared_with": f"what followed {history:,} times after the same operations",
                "events": history,
                "since": int(self._since[at]),
            },
            "cold_start": history < COLD_EVENTS,
            "quiet": "Anyone of the tenant having done these in this order before.",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        values = {
            "entities": self._entities.state(),
            "steps": self._rarity.state(),
            "clock": self._clock,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._entities.load(values["entities"])
        self._rarity.load(values["steps"])
        self._clock = int(values["clock"])
