"""The ledger: what went in equals what came out, per stage, tenant and source, to the record.

Each stage keeps its counts with its partition's state and offset, so they move
together through crashes and replays: a record is counted exactly once. Replays
after an upstream crash are recognised by origin and not counted at all.

Within a stage, ``in`` equals the sum of its outcomes; between stages, what one put
out the next took in, once it has drained. ``balance`` is the sum of all differences,
so anything but 0 is a bug.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from streams import telemetry

#: For each stage: the count of what it took, and the outcomes that must add up to it.
OUTCOMES: dict[str, tuple[str, ...]] = {
    "normalize": ("out", "dead_lettered", "folded", "pending"),
    "detect": ("out", "duplicate", "dead_lettered"),
    "correlate": ("out", "duplicate", "dead_lettered"),
    "persist": ("out", "duplicate", "dead_lettered"),
    "persist_alerts": ("out", "duplicate", "dead_lettered"),
    "dead_letter": ("out", "duplicate"),
}
#: (writer, its count, reader): the reader's ``in`` must equal the writer's count.
EDGES: tuple[tuple[str, str, str], ...] = (
    ("normalize", "out", "detect"),
    ("normalize", "out", "persist"),
    ("detect", "signalled", "correlate"),
    ("correlate", "out", "persist_alerts"),
    ("*", "dead_lettered", "dead_letter"),
)
COLUMNS = (
    "in",
    "out",
    "duplicate",
    "late",
    "dead_lettered",
    "suppressed",
    "folded",
    "pending",
    "signalled",
)

Key = tuple[str, str, str]
Counts = dict[str, int]


class Ledger:
    """Counts of one stage on one partition, by (stage, tenant, source)."""

    def __init__(self) -> None:
        self._counts: dict[Key, Counts] = {}

    def add(self, stage: str, tenant: str, source: str, counts: dict[str, int]) -> None:
        """Add `counts`, whose names are among `COLUMNS`, and show them as metrics."""
        self._add((stage, tenant, source), counts)
        telemetry.counted(stage, tenant, source, counts)

    def merge(self, other: Ledger) -> None:
        """Add all counts of `other`, which were shown already."""
        for key, counts in other._counts.items():
            self._add(key, counts)

    def _add(self, key: Key, counts: Mapping[str, int]) -> None:
        row = self._counts.setdefault(key, dict.fromkeys(COLUMNS, 0))
        for name, count in counts.items():
            row[name] += count

    def dump(self) -> list[dict[str, Any]]:
        """Return the rows, for the checkpoint."""
        return [
            {"stage": stage, "tenant": tenant, "source": source}
            | {name: count for name, count in row.items() if count}
            for (stage, tenant, source), row in self._counts.items()
        ]

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take up what `dump` returned."""
        for row in rows:
            counts = {name: row[name] for name in COLUMNS if name in row}
            self._add((row["stage"], row["tenant"], row["source"]), counts)


class Report(NamedTuple):
    """The ledger added up.

    Attributes
    ----------
    balance
        Sum of the absolute differences; 0 unless something is lost or doubled.
    rows
        One per stage, tenant and source, with its counts and its own difference.
    in_flight
        Records put out by a stage that the next has not reached yet.
    """

    balance: int
    rows: list[dict[str, Any]]
    in_flight: int


def add_up(ledgers: Iterable[Iterable[Mapping[str, Any]]], draining: frozenset[str]) -> Report:
    """Add up the ledgers of all partitions.

    Parameters
    ----------
    ledgers
        `Ledger.dump` of every checkpoint.
    draining
        Stages that have not reached the end of their topics: what is missing from
        their ``in`` is in flight, not lost. More than was put out is always wrong.
    """
    total = Ledger()
    for rows in ledgers:
        total.load(rows)
    table = {(r["stage"], r["tenant"], r["source"]): r for r in total.dump()}
    balance = 0
    for (stage, _, _), row in table.items():
        row["difference"] = row.get("in", 0) - sum(row.get(name, 0) for name in OUTCOMES[stage])
        balance += abs(row["difference"])
    in_flight = 0
    for writer, count, reader in EDGES:
        for missing in _edge(table, writer, count, reader):
            if missing > 0 and reader in draining:
                in_flight += missing
            else:
                balance += abs(missing)
    return Report(balance, sorted(table.values(), key=_order), in_flight)


def _edge(
    table: Mapping[Key, Mapping[str, Any]], writer: str, count: str, reader: str
) -> list[int]:
    """Return, per tenant and source, what `reader` has not taken of what `writer` put out."""
    missing: dict[tuple[str, str], int] = defaultdict(int)
    for (stage, tenant, source), row in table.items():
        if stage == writer or (writer == "*" and stage != reader):
            missing[tenant, source] += row.get(count, 0)
        if stage == reader:
            missing[tenant, source] -= row.get("in", 0)
    return list(missing.values())


def _order(row: Mapping[str, Any]) -> tuple[int, str, str]:
    """Sort rows in the order of the flow."""
    return list(OUTCOMES).index(row["stage"]), row["tenant"], row["source"]
