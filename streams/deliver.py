"""Deliver: alerts reach those who subscribed to them, through an outbox in PostgreSQL.

A consumer group of its own on ``alerts``, so that no receiver ever holds up detection or the
stores. The stage only writes down who is to be told what, once, with its offset in the same
transaction; `streams.deliveries.sender` does the telling. What is suppressed, or of a rule on
trial, is told to nobody.
"""

from __future__ import annotations

from typing import Final

from schemas import avro
from sentinel.errors import RecordError, SchemaError
from sentinel.kafka import Producer
from sentinel.settings import Settings
from streams.deliveries.outbox import Notice
from streams.deliveries.outlet import Notices
from streams.deliveries.payload import of_alert
from streams.deliveries.service import Deliveries
from streams.normalize import DEFAULT_TENANT
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outlet, Output, Stage, Task
from streams.transport import RecordBatch

#: Statuses of records that nobody is told of (schemas/alert.avsc).
UNTOLD: Final = frozenset({"suppressed", "staged"})


class DeliverTask(Task):
    """One ``alerts`` partition; what is new and what is an amendment its records say."""

    def process(self, batch: RecordBatch) -> Output:
        """Return the alerts that are to be told of."""
        output = Notices()
        for offset, value, written in zip(
            batch.offsets, batch.values, batch.timestamps, strict=True
        ):
            try:
                record = avro.decode("alert", value or b"")
                data = of_alert(record)
            except (SchemaError, ValueError) as error:
                self._refuse(output, batch, offset, value or b"", error)
                continue
            told = data["status"] not in UNTOLD
            counts = {"in": 1, "out" if told else "suppressed": 1}
            self.ledger.add("deliver", data["tenant"], data["source"], counts)
            if told:
                created = data["count"] <= max(len(record["events"]), 1)
                output.notices.append(Notice(data, created, written))
        return output

    def _refuse(
        self, output: Output, batch: RecordBatch, offset: int, value: bytes, error: Exception
    ) -> None:
        """Make a dead letter of a record that is no alert."""
        self.ledger.add("deliver", DEFAULT_TENANT, "", {"in": 1, "dead_lettered": 1})
        telemetry.dead_lettered("deliver", "", "schema")
        origin = Origin(batch.topic, batch.partition, offset)
        reason = RecordError("schema", str(error))
        refused = letter("deliver", value, DEFAULT_TENANT, "", origin, reason)
        output.records.append(refused.outgoing())


class DeliverStage(Stage):
    """Reads ``alerts``, writes to the outbox and ``dead_letter``."""

    name = "deliver"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def open(self) -> None:
        """Connect to PostgreSQL, waiting until it is there."""
        self._deliveries = await Deliveries.open(self._settings)

    async def close(self) -> None:
        """Disconnect."""
        await self._deliveries.close()

    async def beside(self) -> None:
        """Send what is due, for ever."""
        await self._deliveries.run()

    def outlet(self, producer: Producer) -> Outlet:
        """Return the way into the outbox; dead letters leave by `producer`."""
        return self._deliveries.outlet(producer)

    def topics(self) -> list[str]:
        """Return the topic of alerts."""
        return ["alerts"]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of an alerts partition."""
        return DeliverTask()
