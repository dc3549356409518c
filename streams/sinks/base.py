"""What a sink is, and the rows it takes. To add a sink, add a file with one subclass here.

Rows are plain tuples whose fields are the columns of the PostgreSQL tables of the same
name. Times are milliseconds since the epoch, UTC. JSON is passed as text, already
encoded: no sink looks into it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sentinel.settings import Settings
from streams.runtime.checkpoint import Position

#: Tenant and source, what the ledger counts by.
Key = tuple[str, str]


class EventRow(NamedTuple):
    """One event; `uid` is 16 bytes, `raw` the event as the source wrote it.

    `ocsf` is its OCSF JSON where a sink cannot make it from `raw`, which is rare.
    """

    tenant: str
    uid: bytes
    time: int
    arrived: int
    source: str
    class_uid: int
    activity_id: int
    status_id: int
    severity_id: int
    entity: str
    operation: str
    service: str
    src_ip: str
    raw: bytes
    ocsf: str | bytes | None = None


class AlertEventRow(NamedTuple):
    """One event that an alert stands on, kept as long as the alert; `raw` as it came."""

    uid: bytes
    time: int
    arrived: int
    score: float
    source: str
    ocsf: str | bytes
    raw: bytes


class AlertRow(NamedTuple):
    """One alert, or an amendment of it with a higher `count`.

    `id` is a UUID as text, `explanation` JSON, `events` those that are new with this
    amendment (events that are there already are left as they are). `status` is ``new``,
    ``suppressed`` (by `suppression`) or ``staged``, and a stored alert of another status than
    new takes it from its next amendment: what was suppressed opens again.
    """

    tenant: str
    id: str
    kind: str
    rule_id: str
    title: str
    source: str
    severity_id: int
    score: float
    techniques: Sequence[str]
    entity: str
    explanation: str | bytes
    count: int  # type: ignore[assignment]  # hides tuple.count, which no one calls
    first_seen: int
    last_seen: int
    events: Sequence[AlertEventRow]
    status: str = "new"
    suppression: str = ""


class DeadLetterRow(NamedTuple):
    """One dead letter: its position in the dead-letter topic, where it came from, and why.

    `origin_index` is the place of the unit within its message; `time` when that message
    arrived; `size` the whole length in bytes; of `value` the first 4 KiB are kept.
    """

    topic: str
    partition: int
    offset: int
    origin_topic: str
    origin_partition: int
    origin_offset: int
    origin_index: int
    stage: str
    reason: str
    detail: str
    tenant: str
    source: str
    time: int
    size: int
    value: bytes


@dataclass(slots=True)
class Rows:
    """What one write carries; any of the lists may be empty."""

    events: Sequence[EventRow] = ()
    alerts: Sequence[AlertRow] = ()
    dead_letters: Sequence[DeadLetterRow] = ()


@dataclass(slots=True)
class Written:
    """How many rows were new, by tenant and source; the others were there already.

    Attributes
    ----------
    events, dead_letters
        Rows added.
    alerts
        Alerts created.
    amended
        Alerts that were there with a lower count.
    alert_events
        Evidence added.
    """

    events: Counter[Key] = field(default_factory=Counter)
    alerts: Counter[Key] = field(default_factory=Counter)
    amended: Counter[Key] = field(default_factory=Counter)
    alert_events: Counter[Key] = field(default_factory=Counter)
    dead_letters: Counter[Key] = field(default_factory=Counter)


#: Positions to save with the rows: known before, or made from what turned out to be new
#: (a ledger that counts duplicates). The function may be called more than once.
Positions = Sequence[Position] | Callable[[Written], Sequence[Position]]


class Sink(ABC):
    """A place where records leave Kafka.

    Delivery: a batch that was written twice is there once, whatever fails in between.
    Rows have deterministic ids, and a row that is there already is not added, so callers
    repeat a batch freely. A sink that keeps checkpoints itself (``transactional``) saves
    the positions together with the rows or not at all; with any other sink the caller
    saves them after `write` has returned. `write` returns only when the rows are safe and
    waits as long as the store is away; it never drops a row in silence.

    Contract-tested over all sinks: the same batch twice is once.
    """

    #: Whether `write` saves the positions in the same transaction as the rows.
    transactional: bool = False

    @abstractmethod
    def __init__(self, settings: Settings) -> None:
        """Take the address from `settings` (filled in where the store is an embedded one)."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, waiting until the store is there."""

    @abstractmethod
    async def write(self, rows: Rows, positions: Positions = ()) -> Written:
        """Write a batch; safe to repeat, safe to call concurrently for different partitions.

        Raises
        ------
        FencedError
            A position belongs to another worker now; nothing was written.
        """

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""
