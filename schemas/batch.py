"""`EventBatch`: the columns of ``event_batch.avsc`` as numpy arrays and string columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from schemas import avro
from schemas.joins import Joins
from schemas.strings import Strings

__all__ = ["STRING_COLUMNS", "EventBatch", "Hit", "Joins", "RuleRef", "Strings"]

_INT64 = ("time", "arrived", "origin", "raw_end")
_INT32 = ("class_uid", "activity_id", "status_id", "severity_id")
_SAME = ("source", "origin_topic", "origin_partition")
STRING_COLUMNS = ("tenant", "entity", "operation", "service", "src_ip", "user_agent", "region")


class RuleRef(NamedTuple):
    """What travels with a hit about its rule; `severity_id` is OCSF's (1 to 5).

    A `staged` rule is on trial: what it finds is kept, but notifies no one.
    """

    id: str
    title: str
    severity_id: int
    techniques: tuple[str, ...]
    staged: bool = False


class Hit(NamedTuple):
    """Rule `rule` (index in `EventBatch.rules`) matched event `event` (row); JSON `explanation`."""

    event: int
    rule: int
    explanation: str


@dataclass(slots=True, kw_only=True)
class EventBatch:
    """Events of one source from one raw partition, column by column; see ``event_batch.avsc``.

    `uid` is ``uint8[count, 16]``; integer columns are ``int64`` or ``int32`` of length
    `count`; times are milliseconds since the epoch, UTC. `raw` may also be a list, one item
    for each event, so that they are copied but once. `weight` is ``float32``, 0 to 1: how bad
    indicators say the source address or the actor is; None where they say nothing.
    """

    source: str
    origin_topic: str
    origin_partition: int
    origin_first: int
    origin_last: int
    uid: NDArray[np.uint8]
    time: NDArray[np.int64]
    arrived: NDArray[np.int64]
    origin: NDArray[np.int64]
    class_uid: NDArray[np.int32]
    activity_id: NDArray[np.int32]
    status_id: NDArray[np.int32]
    severity_id: NDArray[np.int32]
    tenant: Strings
    entity: Strings
    operation: Strings
    service: Strings
    src_ip: Strings
    user_agent: Strings
    region: Strings
    raw: bytes | memoryview | list[bytes]
    raw_end: NDArray[np.int64]
    rules: list[RuleRef] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    joins: Joins | None = None
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.time)

    def raw_of(self, row: int) -> bytes:
        """Return the event `row` as the source wrote it."""
        if isinstance(self.raw, list):
            return self.raw[row]
        start = int(self.raw_end[row - 1]) if row else 0
        return bytes(self.raw[start : int(self.raw_end[row])])

    def uid_of(self, row: int) -> bytes:
        """Return the 16 bytes of the event id of `row`."""
        return bytes(self.uid[row])

    def encode(self) -> bytes:
        """Return the batch as Avro."""
        record: dict[str, Any] = {
            "source": self.source,
            "origin_topic": self.origin_topic,
            "origin_partition": self.origin_partition,
            "origin_first": self.origin_first,
            "origin_last": self.origin_last,
            "count": len(self),
            "uid": self.uid.tobytes(),
            "raw": self.raw,
            "rules": [rule._asdict() for rule in self.rules],
            "hits": [hit._asdict() for hit in self.hits],
            "joins": None if self.joins is None else self.joins.record(),
            "weight": b"" if self.weight is None else self.weight.astype("<f4").tobytes(),
        }
        for name in _INT64:
            record[name] = np.asarray(getattr(self, name), dtype="<i8").tobytes()
        for name in _INT32:
            record[name] = np.asarray(getattr(self, name), dtype="<i4").tobytes()
        for name in STRING_COLUMNS:
            record[name] = getattr(self, name).record()
        return avro.encode("event_batch", record)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; raise `sentinel.errors.SchemaError` where it is not that."""
        record = avro.decode("event_batch", data, views=True)
        del record["count"]
        record["uid"] = np.frombuffer(record["uid"], dtype=np.uint8).reshape(-1, 16)
        for name in _INT64:
            record[name] = np.frombuffer(record[name], dtype="<i8")
        for name in _INT32:
            record[name] = np.frombuffer(record[name], dtype="<i4")
        for name in STRING_COLUMNS:
            record[name] = Strings.read(record[name])
        record["rules"] = [
            RuleRef(r["id"], r["title"], r["severity_id"], tuple(r["techniques"]), r["staged"])
            for r in record["rules"]
        ]
        record["hits"] = [Hit(h["event"], h["rule"], h["explanation"]) for h in record["hits"]]
        if record["joins"] is not None:
            record["joins"] = Joins.read(record["joins"])
        weight = np.frombuffer(record["weight"], dtype="<f4")
        record["weight"] = weight if len(weight) else None
        return cls(**record)

    def split(
        self, order: NDArray[np.int64], sizes: Sequence[int], origin_first: int, origin_last: int
    ) -> list[Self]:
        """Return events, hits included, as batches of their own, of so many events each.

        Parameters
        ----------
        order
            The rows wanted, one batch behind the other, each in ascending order.
        sizes
            Events in each batch.
        """
        ends = np.cumsum(sizes)
        arrays = {name: getattr(self, name)[order] for name in ("uid", *_INT64[:3], *_INT32)}
        strings = {name: getattr(self, name).split(order, ends) for name in STRING_COLUMNS}
        raws = self.raws(order)
        raw_ends = np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)))
        hits = self._split_hits(order, ends)
        weight = None if self.weight is None else self.weight[order]
        joins = [None] * len(sizes) if self.joins is None else self.joins.split(order, ends)
        same = {name: getattr(self, name) for name in _SAME}
        found = []
        for part, (size, end) in enumerate(zip(sizes, ends.tolist(), strict=True)):
            start = end - size
            changed: dict[str, Any] = {name: each[start:end] for name, each in arrays.items()}
            changed |= {name: each[part] for name, each in strings.items()}
            changed["raw"] = raws[start:end]
            changed["raw_end"] = raw_ends[start:end] - (raw_ends[start - 1] if start else 0)
            changed["rules"], changed["hits"] = hits[part]
            changed["joins"] = joins[part]
            changed["weight"] = None if weight is None else weight[start:end]
            changed |= {"origin_first": origin_first, "origin_last": origin_last}
            found.append(type(self)(**same, **changed))
        return found

    def raws(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Return the events at `rows` as the source wrote them."""
        if isinstance(self.raw, list):
            return list(map(self.raw.__getitem__, rows.tolist()))
        return [self.raw_of(row) for row in rows.tolist()]

    def _split_hits(
        self, order: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> list[tuple[list[RuleRef], list[Hit]]]:
        """Return rules and hits of each part."""
        found: list[tuple[list[RuleRef], list[Hit]]] = [([], []) for _ in ends]
        if not self.hits:
            return found
        places = np.full(len(self), -1, np.int64)
        places[order] = np.arange(len(order))
        renamed: list[dict[int, int]] = [{} for _ in ends]
        events = places[[hit.event for hit in self.hits]]
        parts = np.searchsorted(ends, events, side="right")
        starts = np.concatenate(([0], ends[:-1]))
        for hit, part, place in zip(self.hits, parts.tolist(), events.tolist(), strict=True):
            if place < 0:
                continue
            rules, hits = found[part]
            names = renamed[part]
            if hit.rule not in names:
                names[hit.rule] = len(rules)
                rules.append(self.rules[hit.rule])
            hits.append(Hit(place - int(starts[part]), names[hit.rule], hit.explanation))
        return found
