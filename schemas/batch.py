"""`EventBatch`: the columns of ``event_batch.avsc`` as numpy arrays and string columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from schemas import avro

_INT64 = ("time", "arrived", "origin", "raw_end")
_INT32 = ("class_uid", "activity_id", "status_id", "severity_id")
STRING_COLUMNS = ("tenant", "entity", "operation", "service", "src_ip", "user_agent", "region")


class Strings(NamedTuple):
    """A dictionary-encoded string column.

    Attributes
    ----------
    values
        Distinct strings, first seen first.
    index
        int32[count], the place of each event's string in `values`.
    """

    values: list[str]
    index: NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.index, which no one calls

    @classmethod
    def of(cls, column: Sequence[str]) -> Self:
        """Encode one string per event."""
        values = list(dict.fromkeys(column))
        places = dict(zip(values, range(len(values)), strict=True))
        index = np.fromiter(map(places.__getitem__, column), np.int32, len(column))
        return cls(values, index)

    def at(self, row: int) -> str:
        """Return the string of event `row`."""
        return self.values[int(self.index[row])]


class RuleRef(NamedTuple):
    """What travels with a hit about its rule; `severity_id` is OCSF's (1 to 5)."""

    id: str
    title: str
    severity_id: int
    techniques: tuple[str, ...]


class Hit(NamedTuple):
    """Rule `rule` (index in `EventBatch.rules`) matched event `event` (row); JSON `explanation`."""

    event: int
    rule: int
    explanation: str


@dataclass(slots=True, kw_only=True)
class EventBatch:
    """Events of one source from one raw partition, column by column; see ``event_batch.avsc``.

    `uid` is ``uint8[count, 16]``; integer columns are ``int64`` or ``int32`` of length
    `count`; times are milliseconds since the epoch, UTC.
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
    raw: bytes
    raw_end: NDArray[np.int64]
    rules: list[RuleRef] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.time)

    def raw_of(self, row: int) -> bytes:
        """Return the event `row` as the source wrote it."""
        start = int(self.raw_end[row - 1]) if row else 0
        return self.raw[start : int(self.raw_end[row])]

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
        }
        for name in _INT64:
            record[name] = np.asarray(getattr(self, name), dtype="<i8").tobytes()
        for name in _INT32:
            record[name] = np.asarray(getattr(self, name), dtype="<i4").tobytes()
        for name in STRING_COLUMNS:
            column: Strings = getattr(self, name)
            index = np.asarray(column.index, dtype="<i4").tobytes()
            record[name] = {"values": column.values, "index": index}
        return avro.encode("event_batch", record)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; raise `sentinel.errors.SchemaError` where it is not that."""
        record = avro.decode("event_batch", data)
        del record["count"]
        record["uid"] = np.frombuffer(record["uid"], dtype=np.uint8).reshape(-1, 16)
        for name in _INT64:
            record[name] = np.frombuffer(record[name], dtype="<i8")
        for name in _INT32:
            record[name] = np.frombuffer(record[name], dtype="<i4")
        for name in STRING_COLUMNS:
            column = record[name]
            record[name] = Strings(column["values"], np.frombuffer(column["index"], dtype="<i4"))
        record["rules"] = [
            RuleRef(r["id"], r["title"], r["severity_id"], tuple(r["techniques"]))
            for r in record["rules"]
        ]
        record["hits"] = [Hit(h["event"], h["rule"], h["explanation"]) for h in record["hits"]]
        return cls(**record)

    def take(
        self,
        rows: NDArray[np.int64],
        origin_first: int,
        origin_last: int,
        raws: Sequence[bytes] | None = None,
    ) -> Self:
        """Return the events at `rows` (ascending) as a batch of their own, hits included.

        `raws` are all events one by one, for whoever still has them: then `raw` is not read.
        """
        changed: dict[str, Any] = {}
        for name in ("uid", *_INT64[:3], *_INT32):
            changed[name] = getattr(self, name)[rows]
        for name in STRING_COLUMNS:
            changed[name] = _take_strings(getattr(self, name), rows)
        ends = self.raw_end[rows]
        starts = np.where(rows > 0, self.raw_end[rows - 1], 0)
        if raws is None:
            raw = self.raw
            spans = zip(starts.tolist(), ends.tolist(), strict=True)
            raws = [raw[start:end] for start, end in spans]
        else:
            raws = [raws[row] for row in rows.tolist()]
        changed["raw"] = b"".join(raws)
        changed["raw_end"] = np.cumsum(ends - starts)
        place = dict(zip(rows.tolist(), range(len(rows)), strict=True)) if self.hits else {}
        kept = [hit for hit in self.hits if hit.event in place]
        used = sorted({hit.rule for hit in kept})
        changed["rules"] = [self.rules[old] for old in used]
        renamed = {old: new for new, old in enumerate(used)}
        changed["hits"] = [
            Hit(place[hit.event], renamed[hit.rule], hit.explanation) for hit in kept
        ]
        same = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in changed}
        return type(self)(
            **same | changed | {"origin_first": origin_first, "origin_last": origin_last}
        )


def _take_strings(column: Strings, rows: NDArray[np.int64]) -> Strings:
    """Select rows of a string column and drop the values no longer used."""
    index = column.index[rows]
    used = np.flatnonzero(np.bincount(index, minlength=1))
    if len(used) == len(column.values):
        return Strings(column.values, index)
    renamed = np.zeros(len(column.values), np.int32)
    renamed[used] = np.arange(len(used), dtype=np.int32)
    return Strings([column.values[place] for place in used.tolist()], renamed[index])
