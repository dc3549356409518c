"""A value this entity has never shown: new address, client, region, service or operation.

How surprising that is depends on the entity. The Good-Turing estimate (Good 1953, "The
population frequencies of species") of the probability that the next value is a new one is
``n1 / N``: values seen exactly once over events seen. With add-one smoothing::

    p = (n1 + 1) / (N + 1)      per entity and field; the anomaly is decades, log10(1 / p)

Someone whose address changes every day has a high `n1`: a new address says little. A
service that used one client for a thousand events and now shows another stands out.

**Fields together.** New values come together (a new network brings a new client), so they are
not independent: the decades are added with halving weights, largest first. One field alone
counts 3 decades at most, so a single new value never is critical. The sum over 5 is the score.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.hashing import GOLDEN, Table, find, hash_column, insert, kernel, mix
from detectors.score import DECADES
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

FIELDS = ("operation", "service", "src_ip", "user_agent", "region")
COUNT = len(FIELDS)

#: Events with the field that an entity needs before a new value says anything.
MIN_EVENTS = 30
#: Events below which alerts say `cold_start`: 1 in 1,000 cannot be told yet.
COLD_EVENTS = 1000
#: Most decades that one field counts.
FIELD_DECADES = 3.0
#: Entities and values of one tenant in one partition; 64 B and 20 B each in a snapshot.
ENTITIES = 2048
VALUES = 32_768


@kernel("float64(float64[::1])")
def _combine(decades: Any) -> Any:
    """Add the decades of the fields, largest first, with weights 1, 1/2, 1/4 and so on."""
    total, weight = 0.0, 1.0
    rest = decades.copy()
    for _ in range(COUNT):
        best = np.argmax(rest)
        if rest[best] <= 0:
            break
        total += weight * rest[best]
        weight /= 2
        rest[best] = 0
    return min(total / DECADES, 1.0)


@kernel("int64(uint64, int64, uint64[::1], int32[::1], int64[::1], int64[::1])")
def _entity(entity: Any, now: Any, keys: Any, slots: Any, size: Any, last: Any) -> Any:
    """Return the row of an entity, made if it is new; -1 where the table is full."""
    row = find(keys, slots, entity)
    if row < 0:
        if size[0] == len(keys):
            return row
        row = insert(keys, slots, size, entity)
    last[row] = now
    return row


@kernel(
    "boolean(uint64, int64, int32, uint64[::1], int32[::1], int64[::1], int64[::1], "
    "int32[::1], int32[:, ::1])"
)
def _value(
    key: Any,
    now: Any,
    place: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    places: Any,
    singles: Any,
) -> Any:
    """Note one value of a field; keep `singles`, its values seen once. Return if it is new.

    `last` is odd for a value seen once: one cache line instead of two.
    """
    row = find(keys, slots, key)
    new = row < 0
    if new:
        row = insert(keys, slots, size, key)
        places[row] = place
        singles[place // COUNT, place % COUNT] += 1
    elif last[row] & 1:
        singles[place // COUNT, place % COUNT] -= 1
    last[row] = 2 * now + new
    return new


@kernel(
    "int64(int64, int64, uint64[::1], uint64[:, ::1], int64[::1], "
    "uint64[::1], int32[::1], int64[::1], int64[::1], int64[::1], int32[:, ::1], int32[:, ::1], "
    "uint64[::1], int32[::1], int64[::1], int64[::1], int32[::1], "
    "float64[:, ::1], int32[:, ::1], int64[::1], float64[::1])"
)
def _score_learn(
    start: Any,
    clock: Any,
    entity: Any,
    values: Any,
    time: Any,
    e_keys: Any,
    e_slots: Any,
    e_size: Any,
    e_last: Any,
    e_since: Any,
    e_events: Any,
    e_singles: Any,
    v_keys: Any,
    v_slots: Any,
    v_size: Any,
    v_last: Any,
    v_places: Any,
    decades: Any,
    events: Any,
    since: Any,
    scores: Any,
) -> Any:
    """Score and learn rows from `start`; return the row at which a table was full."""
    for i in range(start, len(entity)):
        if v_size[0] + COUNT > len(v_keys):
            return i
        row = _entity(entity[i], clock + i, e_keys, e_slots, e_size, e_last)
        if row < 0:
            return i
        if e_since[row] == 0:
            e_since[row] = time[i]
        since[i] = e_since[row]
        fresh = False
        for f in range(COUNT):
            seen, singles = e_events[row, f], e_singles[row, f]
            events[i, f] = seen
            if values[i, f] == 0:
                continue
            key = mix(mix(entity[i] + np.uint64(f) * GOLDEN) ^ values[i, f])
            place = np.int32(row * COUNT + f)
            new = _value(
                key,
                clock + i,
                place,
                v_keys,
                v_slots,
                v_size,
                v_last,
                v_places,
                e_singles,
            )
            e_events[row, f] = seen + 1
            if new and seen >= MIN_EVENTS:
                fresh = True
                decades[i, f] = min(np.log10((seen + 1) / (singles + 1)), FIELD_DECADES)
        if fresh:
            scores[i] = _combine(decades[i])
    return len(entity)


class NewValue(Model):
    """First-seen values per entity, weighed by how often that entity shows new ones.

    State: at most 790 kB in a snapshot; a full table drops its less recently used half.
    """

    id: ClassVar[str] = "model.new_value"
    title: ClassVar[str] = "Values this entity has never shown before"
    techniques: ClassVar[tuple[str, ...]] = ("T1078",)
    version: ClassVar[int] = 1

    def __init__(self, entities: int = ENTITIES, values: int = VALUES) -> None:
        self._entities = Table(
            entities, {"since": ("<i8", 0), "events": ("<i4", COUNT), "singles": ("<i4", COUNT)}
        )
        self._values = Table(values, {"places": ("<i4", 0)})
        self._clock = 0
        self._rows = np.empty(0, np.int64)
        self._decades = np.empty((0, COUNT))
        self._events = np.empty((0, COUNT), np.int32)
        self._since = np.empty(0, np.int64)

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities and values dropped since the start."""
        return self._entities.evictions + self._values.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        count = len(rows)
        entity = hash_column(batch.entity, rows)
        values = np.stack([hash_column(getattr(batch, name), rows) for name in FIELDS], axis=1)
        values = np.ascontiguousarray(values)
        time = batch.time[rows].astype(np.int64, copy=False)
        self._rows, self._decades = rows, np.zeros((count, COUNT))
        self._events, self._since = np.zeros((count, COUNT), np.int32), np.zeros(count, np.int64)
        scores = np.zeros(count)
        start = self._learn(0, entity, values, time, scores)
        while start < count:
            self._age()
            start = self._learn(start, entity, values, time, scores)
        self._clock += count
        return scores

    def _learn(
        self,
        start: int,
        entity: NDArray[np.uint64],
        values: NDArray[np.uint64],
        time: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> int:
        """Run the kernel from row `start`; return where a table was full, else the end."""
        e, v = self._entities, self._values
        stopped: int = _score_learn(
            start,
            self._clock,
            entity,
            values,
            time,
            e.keys,
            e.slots,
            e.size,
            e.last,
            e.columns["since"],
            e.columns["events"],
            e.columns["singles"],
            v.keys,
            v.slots,
            v.size,
            v.last,
            v.columns["places"],
            self._decades,
            self._events,
            self._since,
            scores,
        )
        return stopped

    def _age(self) -> None:
        """Make room in the table that is full, keeping counts per entity exact."""
        places, last = self._values.columns["places"], self._values.last
        if len(self._values) + COUNT > self._values.capacity:
            before = places[last % 2 == 1]
            self._values.age()
            singles = self._entities.columns["singles"].reshape(-1)
            np.subtract.at(singles, before, 1)
            np.add.at(singles, places[last % 2 == 1], 1)
            return
        moved = np.full(self._entities.capacity, -1, np.int64)
        kept = self._entities.age()
        moved[kept] = np.arange(len(kept))
        entity, field = np.divmod(places[: len(self._values)], COUNT)
        alive = np.flatnonzero(moved[entity] >= 0)
        renamed = (moved[entity] * COUNT + field)[alive]
        self._values.keep(alive)
        places[: len(alive)] = renamed

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Name the new values, what they weigh, and how long the entity has been watched."""
        at = int(np.searchsorted(self._rows, row))
        decades = self._decades[at]
        total = decades.sum() or 1.0
        new = [place for place in np.argsort(-decades, kind="stable") if decades[place] > 0]
        names = [FIELDS[place] for place in new]
        history = int(self._events[at].max(initial=0))
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
                "since": int(self._since[at]),
                "rarity": {name: round(float(decades[FIELDS.index(name)]), 2) for name in names},
            },
            "cold_start": history < COLD_EVENTS,
            "quiet": f"Having seen this {' and '.join(names) or 'value'} of the entity before.",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        values = {
            "entities": self._entities.state(),
            "values": self._values.state(),
            "clock": self._clock,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._entities.load(values["entities"])
        self._values.load(values["values"])
        self._clock = int(values["clock"])
