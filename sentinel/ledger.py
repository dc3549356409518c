"""The ledger added up: what went in equals what came out, per stage, tenant and source.

Within a stage, ``in`` equals the sum of its outcomes; between stages, what one put
out the next took in, once it has drained. ``balance`` is the sum of all differences,
so anything but 0 is a bug. The counting itself is in ``streams/runtime/ledger.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sentinel import topics

#: For each stage: the count of what it took, and the outcomes that must add up to it.
OUTCOMES: dict[str, tuple[str, ...]] = {
    "neural": ("out", "dead_lettered"),
    "stimulate": ("out", "duplicate", "dead_lettered"),
    "normalize": ("out", "dead_lettered", "folded", "pending"),
    "detect": ("out", "duplicate", "dead_lettered"),
    "correlate": ("out", "duplicate", "dead_lettered"),
    "persist": ("out", "duplicate", "dead_lettered"),
    "persist_alerts": ("out", "duplicate", "dead_lettered"),
    "deliver": ("out", "suppressed", "dead_lettered"),
    "dead_letter": ("out", "duplicate"),
}
#: (writer, its counts, reader, the reader's): both must add up to the same. What events
#: contribute to correlations (``contributed``) is ``joined`` there or ``late``, and
#: ``raised`` are events of the alerts that come of it.
EDGES: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...]], ...] = (
    ("normalize", ("out",), "detect", ("in",)),
    ("normalize", ("out",), "persist", ("in",)),
    ("detect", ("signalled",), "correlate", ("in",)),
    ("detect", ("contributed",), "correlate", ("joined", "late")),
    ("correlate", ("out", "raised"), "persist_alerts", ("in",)),
    ("*", ("dead_lettered",), "dead_letter", ("in",)),
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
    "contributed",
    "joined",
    "raised",
)
#: Stages in the order of the flow, each after all whose output it reads.
ORDER = ("stimulate", "neural", "normalize", "detect", "correlate", "persist", "dead_letter")

Key = tuple[str, str, str]


class State(Protocol):
    """A topic as the broker has it: first and next offset of each partition."""

    @property
    def name(self) -> str:
        """Name of the topic."""

    @property
    def start(self) -> Sequence[int]:
        """First offset kept, by partition."""

    @property
    def end(self) -> Sequence[int]:
        """Offset of the next record, by partition."""


class Lag(NamedTuple):
    """What a stage has not handled of one partition."""

    stage: str
    topic: str
    partition: int
    records: int


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


def lags(states: Iterable[State], offsets: Mapping[tuple[str, str, int], int]) -> list[Lag]:
    """Return the lag of every stage on every partition it reads, zero included.

    Parameters
    ----------
    states
        The topics as the broker has them, asked before the checkpoints were read: then a
        lag of zero is a fact.
    offsets
        Next offset by (stage, topic, partition), from the checkpoints.
    """
    found = []
    for state in states:
        row = topics.BY_NAME.get(state.name) or topics.BY_NAME["raw.*"]
        if row.compact:  # a table that is looked up, not a stream that is worked off
            continue
        for stage in row.readers:
            for partition, (start, end) in enumerate(zip(state.start, state.end, strict=True)):
                done = max(offsets.get((stage, state.name, partition), 0), start)
                found.append(Lag(stage, state.name, partition, max(0, end - done)))
    return found


def draining(behind: Iterable[Lag]) -> frozenset[str]:
    """Return the stages that may still get records: those with a lag and all after them."""
    busy = {lag.stage for lag in behind if lag.records}
    found: set[str] = set()
    for place, stage in enumerate(ORDER):
        if stage in busy:
            found |= set(ORDER[place:])
    if "persist" in found:
        found.add("persist_alerts")
    return frozenset(found)


def add_up(ledgers: Iterable[Iterable[Mapping[str, Any]]], draining: frozenset[str]) -> Report:
    """Add up the ledgers of all partitions.

    Parameters
    ----------
    ledgers
        Rows of every checkpoint: ``stage``, ``tenant``, ``source`` and counts, whose names
        are among `COLUMNS`; what else a row has is left out.
    draining
        Stages that have not reached the end of their topics: what is missing from
        their ``in`` is in flight, not lost. More than was put out is always wrong.
    """
    table = _table(ledgers)
    balance = 0
    for (stage, _, _), row in table.items():
        row["difference"] = row.get("in", 0) - sum(row.get(name, 0) for name in OUTCOMES[stage])
        balance += abs(row["difference"])
    in_flight = 0
    for edge in EDGES:
        for missing in _edge(table, *edge):
            if missing > 0 and edge[2] in draining:
                in_flight += missing
            else:
                balance += abs(missing)
    return Report(balance, sorted(table.values(), key=_order), in_flight)


def _table(ledgers: Iterable[Iterable[Mapping[str, Any]]]) -> dict[Key, dict[str, Any]]:
    """Return one row for each stage, tenant and source, without counts of zero."""
    total: dict[Key, dict[str, int]] = {}
    for rows in ledgers:
        for row in rows:
            key = (row["stage"], row["tenant"], row["source"])
            counts = total.setdefault(key, dict.fromkeys(COLUMNS, 0))
            for name in counts:
                counts[name] += row.get(name, 0)
    return {
        (stage, tenant, source): {"stage": stage, "tenant": tenant, "source": source}
        | {name: count for name, count in counts.items() if count}
        for (stage, tenant, source), counts in total.items()
    }


def _edge(
    table: Mapping[Key, Mapping[str, Any]],
    writer: str,
    sent: tuple[str, ...],
    reader: str,
    taken: tuple[str, ...],
) -> list[int]:
    """Return, per tenant and source, what `reader` has not taken of what `writer` put out."""
    missing: dict[tuple[str, str], int] = defaultdict(int)
    for (stage, tenant, source), row in table.items():
        if stage == writer or (writer == "*" and stage != reader):
            missing[tenant, source] += sum(row.get(name, 0) for name in sent)
        if stage == reader:
            missing[tenant, source] -= sum(row.get(name, 0) for name in taken)
    return list(missing.values())


def _order(row: Mapping[str, Any]) -> tuple[int, str, str]:
    """Sort rows in the order of the flow."""
    return list(OUTCOMES).index(row["stage"]), row["tenant"], row["source"]
