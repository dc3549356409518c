"""Correlate: signals, keyed by rule and group, fold into alerts with a count of repeats."""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.correlation import Correlator
from detectors.suppress.gate import Gate
from schemas import avro
from sentinel.errors import RecordError, SchemaError
from sentinel.settings import Settings
from streams.normalize import DEFAULT_TENANT
from streams.normalizer import partition_of
from streams.policy.suppressions import Board, Reader
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch


class CorrelateTask(Task):
    """One signals partition and the alerts that may still grow in it."""

    def __init__(self, correlator: Correlator, partitions: int, board: Board, gate: Gate) -> None:
        super().__init__()
        self._correlator = correlator
        self._partitions = partitions
        self._board = board
        self._gate = gate

    def process(self, batch: RecordBatch) -> Output:
        """Fold the signals of a poll; return new and amended alerts."""
        good: list[dict[str, Any]] = []
        output = Output()
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            try:
                good.append(avro.decode("signal_batch", value or b""))
            except SchemaError as error:
                self.ledger.add("correlate", DEFAULT_TENANT, "", {"in": 1, "dead_lettered": 1})
                telemetry.dead_lettered("correlate", "", "schema")
                origin = Origin(batch.topic, batch.partition, offset)
                reason = RecordError("schema", str(error))
                refused = letter("correlate", value or b"", DEFAULT_TENANT, "", origin, reason)
                output.records.append(refused.outgoing())
        found = self._correlator.process(good)
        for (tenant, source), counts in found.counts.items():
            self.ledger.add("correlate", tenant, source, counts)
        alerts = self._gate.process(found.alerts, self._board.policy)
        output.records += [self._record(alert) for alert in alerts]
        return output

    def _record(self, alert: dict[str, Any]) -> Outgoing:
        """Return the record of an alert, keyed by tenant and id."""
        if alert["events"]:
            arrived = min(event["arrived"] for event in alert["events"])
            telemetry.latency("correlate", alert["source"], arrived, alert["first_seen"])
        if alert["status"] != "new":
            quiet = {"suppressed": len(alert["events"])}
            self.ledger.add("correlate", alert["tenant"], alert["source"], quiet)
        return Outgoing(
            "alerts",
            avro.encode("alert", alert),
            partition=partition_of(alert["tenant"], alert["id"], self._partitions),
            key=f"{alert['tenant']}/{alert['id']}".encode(),
        )

    def evictions(self) -> dict[str, int]:
        """Return how many open alerts were forgotten."""
        return {"alerts": self._correlator.evictions, "budgets": self._gate.evictions}

    def snapshot(self) -> bytes:
        """Return the open alerts, and what budgets have let through."""
        return msgspec.msgpack.encode((self._correlator.snapshot(), self._gate.snapshot()))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; a state of before there were budgets has none."""
        try:
            correlator, gate = msgspec.msgpack.decode(state, type=tuple[bytes, bytes])
        except msgspec.MsgspecError:
            self._correlator.restore(state)
            return
        self._correlator.restore(correlator)
        self._gate.restore(gate)


class CorrelateStage(Stage):
    """Reads ``signals``, writes ``alerts`` and ``dead_letter``."""

    name = "correlate"

    def __init__(
        self, settings: Settings, partitions: int, signals: int = 1, board: Board | None = None
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._board = board or Board()
        self._signals = signals
        self._reader = Reader(self._board, settings.postgres)

    def topics(self) -> list[str]:
        """Return the topic of signals."""
        return ["signals"]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a signals partition."""
        correlator = Correlator(1000 * self._settings.repeat_window_s)
        return CorrelateTask(correlator, self._partitions, self._board, Gate(self._signals))

    async def open(self) -> None:
        """Read the suppressions, waiting until PostgreSQL is there."""
        await self._reader.open()

    async def beside(self) -> None:
        """Keep the suppressions up to date."""
        await self._reader.run()

    async def close(self) -> None:
        """Stop reading them."""
        await self._reader.close()
