"""What events contribute to correlations, as columns: ``Joins`` of the Avro schemas.

A *contribution* is one match of one rule that a correlation names, with the group that it
belongs to there and the value that is counted or added up. Groups and values are texts; the
values of a group have `SEPARATOR` between them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from schemas.strings import Strings
from sentinel.errors import SchemaError

#: Between the values of a group: a control character that field values are cleared of.
SEPARATOR = "\x1f"

_SIGNAL_INT64 = ("time", "arrived", "origin", "watermark", "raw_end")
_SIGNAL_STRINGS = ("group", "value", "tenant", "source", "entity")


class Member(NamedTuple):
    """A rule in one correlation of a tree; see `detectors.correlation.plan.Step`."""

    root: str
    node: str
    rule: str
    key: tuple[int, ...] = ()


class Joins(NamedTuple):
    """Contributions of the events of one `schemas.batch.EventBatch`.

    Attributes
    ----------
    members
        Distinct contributors.
    member, event
        int32[n]: index in `members`, and row in the batch, ascending.
    group, value
        Of each contribution.
    """

    members: list[Member]
    member: NDArray[np.int32]
    event: NDArray[np.int32]
    group: Strings
    value: Strings

    def record(self) -> dict[str, Any]:
        """Return it as Avro has it."""
        return {
            "members": [each._asdict() | {"key": list(each.key)} for each in self.members],
            "member": np.asarray(self.member, dtype="<i4").tobytes(),
            "event": np.asarray(self.event, dtype="<i4").tobytes(),
            "group": self.group.record(),
            "value": self.value.record(),
        }

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """Return what `record` made."""
        return cls(
            [Member(m["root"], m["node"], m["rule"], tuple(m["key"])) for m in record["members"]],
            np.frombuffer(record["member"], dtype="<i4"),
            np.frombuffer(record["event"], dtype="<i4"),
            Strings.read(record["group"]),
            Strings.read(record["value"]),
        )

    def split(self, order: NDArray[np.int64], ends: NDArray[np.int64]) -> list[Joins | None]:
        """Return those of the rows `order`, cut up at `ends`; None for a part without any."""
        width = 1 + int(max(self.event.max(), order.max(initial=0)))
        places = np.full(width, -1, np.int64)
        places[order] = np.arange(len(order))
        where = places[self.event]
        parts = np.where(where < 0, -1, np.searchsorted(ends, where, side="right"))
        starts = np.concatenate(([0], ends[:-1]))
        found: list[Joins | None] = []
        for part in range(len(ends)):
            rows = np.flatnonzero(parts == part)
            if not len(rows):
                found.append(None)
                continue
            rows = rows[np.argsort(where[rows], kind="stable")]
            used, member = np.unique(self.member[rows], return_inverse=True)
            found.append(
                Joins(
                    [self.members[at] for at in used.tolist()],
                    member.astype(np.int32),
                    (where[rows] - starts[part]).astype(np.int32),
                    self.group.take(rows),
                    self.value.take(rows),
                )
            )
        return found


class Arrivals(NamedTuple):
    """Contributions as they come to one ``signals`` partition, with their events.

    Attributes
    ----------
    members
        Distinct contributors.
    member, event
        int32[n] per contribution: index in `members`, and in the columns of events.
    group, value
        Per contribution.
    uid
        ``uint8[events, 16]``.
    time, arrived, origin, watermark, raw_end
        int64[events], see ``signal_batch.avsc``.
    tenant, source, entity
        Per event.
    raw
        Raw events, end to end.
    """

    members: list[Member]
    member: NDArray[np.int32]
    event: NDArray[np.int32]
    group: Strings
    value: Strings
    uid: NDArray[np.uint8]
    time: NDArray[np.int64]
    arrived: NDArray[np.int64]
    origin: NDArray[np.int64]
    watermark: NDArray[np.int64]
    tenant: Strings
    source: Strings
    entity: Strings
    raw: bytes
    raw_end: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of contributions."""
        return len(self.member)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many contributions each tenant and source has."""
        width = len(self.source.values)
        pairs = self.tenant.index[self.event] * width + self.source.index[self.event]
        found = zip(*np.unique(pairs, return_counts=True), strict=True)
        return {
            (self.tenant.values[int(pair) // width], self.source.values[int(pair) % width]): int(n)
            for pair, n in found
        }

    def raw_of(self, event: int) -> bytes:
        """Return an event as the source wrote it; empty where it did not fit."""
        start = int(self.raw_end[event - 1]) if event else 0
        return bytes(self.raw[start : int(self.raw_end[event])])

    def record(self) -> dict[str, Any]:
        """Return it as Avro has it."""
        made: dict[str, Any] = {
            "members": [{"root": m.root, "node": m.node, "rule": m.rule} for m in self.members],
            "uid": self.uid.tobytes(),
            "raw": self.raw,
        }
        for name in ("member", "event"):
            made[name] = np.asarray(getattr(self, name), dtype="<i4").tobytes()
        for name in _SIGNAL_INT64:
            made[name] = np.asarray(getattr(self, name), dtype="<i8").tobytes()
        for name in _SIGNAL_STRINGS:
            made[name] = getattr(self, name).record()
        return made

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """Return what `record` made; raise `SchemaError` where columns do not fit together."""
        made = dict(record)
        try:
            made["members"] = [Member(m["root"], m["node"], m["rule"]) for m in record["members"]]
            made["uid"] = np.frombuffer(record["uid"], np.uint8).reshape(-1, 16)
            for name in ("member", "event"):
                made[name] = np.frombuffer(record[name], dtype="<i4")
            for name in _SIGNAL_INT64:
                made[name] = np.frombuffer(record[name], dtype="<i8")
            for name in _SIGNAL_STRINGS:
                made[name] = Strings.read(record[name])
        except ValueError as error:
            raise SchemaError(f"expected whole columns of contributions: {error}") from error
        found = cls(**made)
        found.check()
        return found

    def check(self) -> None:
        """Raise `SchemaError` where the columns do not fit together."""
        events = len(self.uid)
        lengths = {len(getattr(self, name)) for name in _SIGNAL_INT64}
        lengths |= {len(getattr(self, name).index) for name in _SIGNAL_STRINGS[2:]}
        rows = {len(self.member), len(self.event), len(self.group.index), len(self.value.index)}
        inside = [(self.event, events), (self.member, len(self.members))]
        inside += [
            (getattr(self, name).index, len(getattr(self, name).values)) for name in _SIGNAL_STRINGS
        ]
        if (
            lengths != {events}
            or len(rows) != 1
            or any(len(index) and not 0 <= index.min() <= index.max() < n for index, n in inside)
        ):
            raise SchemaError("expected columns of contributions of one length, found others")
