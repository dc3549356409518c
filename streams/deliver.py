"""Deliver: alerts and neural events reach subscribers, through an outbox in PostgreSQL.

A consumer group of its own, so that no receiver ever holds up detection or the
stores. The stage only writes down who is to be told what, once, with its offset in the same
transaction; `streams.deliveries.sender` does the telling. What is suppressed, or of a rule on
trial, is told to nobody.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from schemas import avro
from sentinel import topics
from sentinel.errors import RecordError, SchemaError
from sentinel.kafka import Producer
from sentinel.settings import Settings
from streams.deliveries.outbox import Notice
from streams.deliveries.outlet import Notices
from streams.deliveries.payload import of_alert, of_neural
from streams.deliveries.service import Deliveries
from streams.normalize import DEFAULT_TENANT, TENANT_HEADER
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outlet, Output, Stage, Task
from streams.transport import RecordBatch

#: Statuses of records that nobody is told of (schemas/alert.avsc).
UNTOLD: Final = frozenset({"suppressed", "staged"})


class DeliverTask(Task, ABC):
    """One partition of what subscribers may be told of."""

    def process(self, batch: RecordBatch) -> Output:
        """Return what is to be told; what cannot be read becomes a dead letter."""
        output = Notices()
        for place, value in enumerate(batch.values):
            try:
                notice = self.notice(batch, place, value or b"")
            except (SchemaError, ValueError) as error:
                self._refuse(output, batch, batch.offsets[place], value or b"", error)
                continue
            told = notice.data["status"] not in UNTOLD
            counts = {"in": 1, "out" if told else "suppressed": 1}
            self.ledger.add("deliver", notice.data["tenant"], notice.data["source"], counts)
            if told:
                output.notices.append(notice)
        return output

    @abstractmethod
    def notice(self, batch: RecordBatch, place: int, value: bytes) -> Notice:
        """Return what the record at `place` tells; raise SchemaError or ValueError."""

    def _refuse(
        self, output: Output, batch: RecordBatch, offset: int, value: bytes, error: Exception
    ) -> None:
        """Make a dead letter of a record that cannot be read."""
        self.ledger.add("deliver", DEFAULT_TENANT, "", {"in": 1, "dead_lettered": 1})
        telemetry.dead_lettered("deliver", "", "schema")
        origin = Origin(batch.topic, batch.partition, offset)
        reason = RecordError("schema", str(error))
        refused = letter("deliver", value, DEFAULT_TENANT, "", origin, reason)
        output.records.append(refused.outgoing())


class AlertsTask(DeliverTask):
    """``alerts``: what is new and what is an amendment its records say."""

    def notice(self, batch: RecordBatch, place: int, value: bytes) -> Notice:
        """Return what an alert tells."""
        record = avro.decode("alert", value)
        data = of_alert(record)
        created = record["reopened"] or data["count"] <= max(len(record["events"]), 1)
        return Notice(data, created, batch.timestamps[place])


class NeuralTask(DeliverTask):
    """``neural.events``: told to those who ask for them by kind."""

    def notice(self, batch: RecordBatch, place: int, value: bytes) -> Notice:
        """Return what a neural event tells."""
        headers = dict(batch.headers[place] or ())
        tenant = headers.get(TENANT_HEADER, b"").decode("utf-8", "replace") or DEFAULT_TENANT
        return Notice(of_neural(value, tenant), True, batch.timestamps[place])


class DeliverStage(Stage):
    """Reads ``alerts`` and ``neural.events``, writes to the outbox and ``dead_letter``."""

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
        """Return the topics of alerts and of neural events."""
        return ["alerts", topics.NEURAL_EVENTS]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a partition of either."""
        return AlertsTask() if topic != topics.NEURAL_EVENTS else NeuralTask()
