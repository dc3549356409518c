"""Correlate: signals, keyed by rule and group, become alerts.

Hits of one rule or model fold into one alert with a count of repeats; what events contribute to
Sigma correlations goes to their engine, `detectors.correlation.joins`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import msgspec

from detectors.correlation import Correlator
from detectors.correlation.joins import Joined, Joiner
from detectors.correlation.plan import Plan
from detectors.sigma import RuleSet
from detectors.suppress.gate import Gate
from schemas import avro
from schemas.joins import Arrivals
from sentinel.errors import RecordError, SchemaError
from sentinel.settings import Settings
from streams.normalize import DEFAULT_TENANT
from streams.normalizer import partition_of
from streams.policy.budgets import settle
from streams.policy.rule_sets import RuleWatch
from streams.policy.suppressions import Board, Reader
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch


class CorrelateTask(Task):
    """One signals partition and the alerts that may still grow in it."""

    def __init__(
        self, correlator: Correlator, joiner: Joiner, partitions: int, board: Board, gate: Gate
    ) -> None:
        super().__init__()
        self._correlator = correlator
        self._joiner = joiner
        self._partitions = partitions
        self._board = board
        self._gate = gate

    def process(self, batch: RecordBatch) -> Output:
        """Fold the signals of a poll; return new and amended alerts."""
        good: list[dict[str, Any]] = []
        joins: list[tuple[int, int, Arrivals]] = []
        output = Output()
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            try:
                record = avro.decode("signal_batch", value or b"")
                if record["joins"] is not None:
                    arrivals = Arrivals.read(record["joins"])
                    joins.append((record["origin_partition"], record["origin_last"], arrivals))
                good.append(record)
            except SchemaError as error:
                output.records.append(self._refuse(batch, offset, value or b"", error))
        found = self._correlator.process(good)
        for (tenant, source), counts in found.counts.items():
            self.ledger.add("correlate", tenant, source, counts)
        joined = self._joiner.process(joins)
        output.records += self._alerts(found.alerts, joined)
        return output

    def use(self, joiner: Joiner) -> None:
        """Go on with the correlations of `joiner`, and the windows of those that it has still."""
        joiner.restore(self._joiner.snapshot())
        self._joiner = joiner

    def waiting(self) -> bool:
        """Return whether windows of correlations wait for later events."""
        return self._joiner.waiting()

    def flush(self, next_offset: int) -> Output:
        """Judge the windows that are over, as no later event will come for now."""
        return Output(self._alerts([], self._joiner.flush()))

    def _alerts(self, alerts: list[dict[str, Any]], joined: Joined) -> list[Outgoing]:
        """Count what became of contributions; return the records of all alerts."""
        for (tenant, source), counts in joined.counts.items():
            self.ledger.add("correlate", tenant, source, counts)
        passed = self._gate.process([*alerts, *joined.alerts], self._board.policy)
        return [self._record(alert) for alert in passed]

    def _refuse(self, batch: RecordBatch, offset: int, value: bytes, error: Exception) -> Outgoing:
        """Return the dead letter of a record that is no batch of signals, and count it."""
        self.ledger.add("correlate", DEFAULT_TENANT, "", {"in": 1, "dead_lettered": 1})
        telemetry.dead_lettered("correlate", "", "schema")
        origin = Origin(batch.topic, batch.partition, offset)
        reason = RecordError("schema", str(error))
        return letter("correlate", value, DEFAULT_TENANT, "", origin, reason).outgoing()

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
        """Return what was forgotten at a bound."""
        own = {"alerts": self._correlator.evictions, "budgets": self._gate.evictions}
        return own | self._joiner.evictions

    def snapshot(self) -> bytes:
        """Return the open alerts, what budgets have let through, and the windows."""
        parts = (self._correlator.snapshot(), self._gate.snapshot(), self._joiner.snapshot())
        return msgspec.msgpack.encode(parts)

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned, or an earlier version that had fewer parts."""
        try:
            parts = msgspec.msgpack.decode(state, type=list[bytes])
        except msgspec.MsgspecError:
            parts = [state]
        restores = (self._correlator.restore, self._gate.restore, self._joiner.restore)
        for restore, part in zip(restores, parts, strict=False):
            restore(part)


class CorrelateStage(Stage):
    """Reads ``signals``, writes ``alerts`` and ``dead_letter``."""

    name = "correlate"

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        signals: int = 1,
        board: Board | None = None,
        plan: Plan | None = None,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._board = board or Board()
        self._signals = signals
        self._plan = plan or Plan()
        #: By partition, of the tasks that this worker has.
        self._gates: WeakValueDictionary[int, Gate] = WeakValueDictionary()
        self._reader = Reader(self._board, settings.postgres, self.name, self._settle)
        self._watch = RuleWatch(settings, self.prepare)
        #: Those of the partitions that this worker has; the runner owns them.
        self._tasks: WeakSet[CorrelateTask] = WeakSet()

    def topics(self) -> list[str]:
        """Return the topic of signals."""
        return ["signals"]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a signals partition."""
        fold_ms = 1000 * self._settings.repeat_window_s
        correlator, joiner = Correlator(fold_ms), Joiner(self._plan, fold_ms)
        gate = self._gates[partition] = Gate(self._signals)
        task = CorrelateTask(correlator, joiner, self._partitions, self._board, gate)
        self._tasks.add(task)
        return task

    def prepare(self, rules: RuleSet) -> Callable[[], None]:
        """Return what puts the correlations of other rules in force, between two batches."""

        def put() -> None:
            self._plan = rules.plan
            for task in list(self._tasks):
                task.use(Joiner(rules.plan, 1000 * self._settings.repeat_window_s))

        return put

    async def _settle(self, connection: Any) -> None:
        """Let partitions know what the others let through of budgets, where there are several."""
        if self._signals > 1:
            await settle(connection, dict(self._gates))

    async def open(self) -> None:
        """Read the suppressions, waiting until PostgreSQL is there."""
        await self._reader.open()

    async def beside(self) -> None:
        """Keep suppressions and correlations up to date."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run())
            group.create_task(self._watch.run())
