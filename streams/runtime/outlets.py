"""The two ways a stage's output leaves it: produced to Kafka, or written by the sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sentinel.kafka import Producer
from streams.runtime.checkpoint import Position
from streams.runtime.ledger import Ledger
from streams.runtime.stage import Output
from streams.sinks.base import Rows, Sink, Written


class ProducerOutlet:
    """Produces; the position is saved later, by the checkpoint, once `settle` has returned."""

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


class SinkOutlet:
    """Writes rows through every sink; the last one keeps the position in the same transaction.

    Sinks are idempotent on ids, so a crash after the first and before the last
    writes the first one's rows again, to no effect.

    Parameters
    ----------
    producer
        For dead letters.
    sinks
        The system of record comes last.
    """

    def __init__(self, producer: Producer, sinks: Sequence[Sink]) -> None:
        self._producer = producer
        self._sinks = sinks

    async def deliver(self, output: Output, position: Callable[..., Position]) -> bool:
        """Write the rows and, with them, the position."""
        if output.records:
            await ProducerOutlet(self._producer).deliver(output, position)
            await self._producer.flush()
        rows = output.rows or Rows()
        for sink in self._sinks[:-1]:
            await sink.write(rows)
        more = Ledger()

        def positions(written: Written) -> tuple[Position, ...]:
            # Called again where the write is repeated: what it counts must start anew.
            nonlocal more
            more = output.counts(written) if output.counts else Ledger()
            return (position(more),)

        await self._sinks[-1].write(rows, positions)
        output.ledger.merge(more)
        return True

    async def settle(self) -> None:
        """Nothing is outstanding: each `deliver` is whole."""
