"""The two ways a stage's output leaves it: produced to Kafka, or written by the sinks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sentinel.kafka import Producer
from streams.runtime.checkpoint import Position
from streams.runtime.ledger import Ledger
from streams.runtime.stage import Output
from streams.sinks.base import Key, Rows, Sink, Written

#: Rows from which on a transaction takes in no more outputs.
MOST_ROWS = 5000


class ProducerOutlet:
    """Produces; the position is saved later, by the checkpoint, once `settle` has returned."""

    together = 1

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def deliver(self, output: Output, position: Callable[..., Position]) -> bool:
        """Hand the records to the producer, which keeps their order."""
        for record in output.records:
            self._producer.send(
                record.topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=record.headers,
            )
        return False

    async def settle(self) -> None:
        """Wait until the broker has acknowledged everything sent so far."""
        await self._producer.flush()


@dataclass(slots=True)
class _Waiting:
    """An output to write, and who waits for it."""

    output: Output
    position: Callable[..., Position]
    written: asyncio.Future[None]
    more: Ledger = field(default_factory=Ledger)

    @property
    def rows(self) -> Rows:
        return self.output.rows or Rows()


class SinkOutlet:
    """Writes rows through every sink; the last one keeps the position in the same transaction.

    What is delivered while a transaction is under way goes into the next one, all together:
    a transaction costs the same for few rows as for many. Sinks are idempotent on ids, so a
    crash after the first and before the last writes the first one's rows again, to no effect.

    Parameters
    ----------
    producer
        For dead letters.
    sinks
        The system of record comes last.
    """

    together = 8

    def __init__(self, producer: Producer, sinks: Sequence[Sink]) -> None:
        self._producer = producer
        self._sinks = sinks
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def deliver(self, output: Output, position: Callable[..., Position]) -> bool:
        """Write the rows and, with them, the position."""
        mine = _Waiting(output, position, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await mine.written
        return True

    async def settle(self) -> None:
        """Nothing is outstanding: each `deliver` is whole."""

    async def _write_all(self) -> None:
        """Write what waits, group by group, until nothing does."""
        while self._waiting:
            group = self._next()
            try:
                await self._write(group)
            except BaseException as error:
                for each in group:
                    if not each.written.done():
                        each.written.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for each in group:
                    each.output.ledger.merge(each.more)
                    if not each.written.done():
                        each.written.set_result(None)

    def _next(self) -> list[_Waiting]:
        """Remove and return what goes into the next transaction."""
        group, rows = list[_Waiting](), 0
        while self._waiting and rows < MOST_ROWS:
            each = self._waiting.pop(0)
            group.append(each)
            rows += len(each.rows.events) + sum(1 + len(a.events) for a in each.rows.alerts)
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        """Write the outputs of a group in one transaction."""
        if any(each.output.records for each in group):
            for each in group:
                await ProducerOutlet(self._producer).deliver(each.output, each.position)
            await self._producer.flush()
        rows = _joined([each.rows for each in group])
        for sink in self._sinks[:-1]:
            await sink.write(rows)

        def positions(written: Written) -> tuple[Position, ...]:
            # Called again where the write is repeated: what it counts must start anew.
            shares = _shares(written, [each.rows for each in group])
            for each, share in zip(group, shares, strict=True):
                each.more = each.output.counts(share) if each.output.counts else Ledger()
            return tuple(each.position(each.more) for each in group)

        await self._sinks[-1].write(rows, positions)


def _joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        [row for part in parts for row in part.events],
        [row for part in parts for row in part.alerts],
        [row for part in parts for row in part.dead_letters],
    )


def _shares(written: Written, parts: Sequence[Rows]) -> list[Written]:
    """Share out what was new among the parts, to each at most as many as it has rows.

    Which of two parts an equal row counts for does not matter: ledgers are added up.
    """
    if len(parts) == 1:
        return [written]
    left = Written(**{name: Counter(getattr(written, name)) for name in Written.__slots__})
    return [
        Written(
            events=_part(left.events, ((row.tenant, row.source) for row in part.events)),
            alerts=_part(left.alerts, ((row.tenant, row.source) for row in part.alerts)),
            amended=_part(left.amended, ((row.tenant, row.source) for row in part.alerts)),
            alert_events=_part(
                left.alert_events,
                ((row.tenant, event.source) for row in part.alerts for event in row.events),
            ),
            dead_letters=_part(
                left.dead_letters, ((row.tenant, row.source) for row in part.dead_letters)
            ),
        )
        for part in parts
    ]


def _part(left: Counter[Key], keys: Iterable[Key]) -> Counter[Key]:
    """Take from `left` at most what `keys` has of each."""
    part = Counter(keys) & left
    left -= part
    return part
