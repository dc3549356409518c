"""Counting for the ledger: each record that a stage takes, and what became of it.

Each stage keeps its counts with its partition's state and offset, so they move
together through crashes and replays: a record is counted exactly once. Replays
after an upstream crash are recognised by origin and not counted at all. `sentinel.ledger`
adds the counts of all stages up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sentinel.ledger import COLUMNS, Key
from streams.runtime import telemetry

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
