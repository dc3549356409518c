"""Detect: online models score events, keyed by who acted; hits and scores become signals.

One task is one ``events`` partition with its own models, baselines and recent ids,
all of which live in `detectors.detect.Detector` and are checkpointed with the offset.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from detectors.correlation import shard
from detectors.detect import Detector, warm
from detectors.incidents.risk import Risk
from detectors.online.joins import part
from detectors.scoring.choose import chosen
from schemas import avro
from schemas.batch import EventBatch
from schemas.joins import SEPARATOR, Arrivals
from sentinel import log, metrics
from sentinel.errors import RecordError, SchemaError
from sentinel.settings import Settings
from streams.normalize import DEFAULT_TENANT
from streams.normalizer import partition_of
from streams.policy.batch_models import Shelves
from streams.policy.seeds import path_of
from streams.policy.suppressions import Board, Reader
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch

LOG = log.get(__name__)
#: Bytes of raw events in one record of signals; the topic takes 64 MiB.
MAX_RAW = 16 << 20


class DetectTask(Task):
    """One events partition: duplicates out, scores, signals."""

    def __init__(self, detector: Detector, partitions: int) -> None:
        super().__init__()
        self._detector = detector
        self._partitions = partitions

    def process(self, batch: RecordBatch) -> Output:
        """Score the events of a poll and return the signals, grouped by partition."""
        good: list[tuple[int, EventBatch]] = []
        output = Output()
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            try:
                good.append((offset, EventBatch.decode(value or b"")))
            except SchemaError as error:
                output.records.append(self._refuse(batch, offset, value or b"", error))
        found = self._detector.process_many(good)
        for (tenant, source), counts in found.counts.items():
            self.ledger.add("detect", tenant, source, counts)
        for signal in found.signals:
            count = {"signalled": len(signal["events"])}
            self.ledger.add("detect", signal["tenant"], signal["source"], count)
        if found.drifts:
            metrics.MODEL_DRIFT.labels("detect").inc(found.drifts)
            LOG.info("a stream changed, its models learn anew", action="drift", count=found.drifts)
        for failure in found.errors:
            telemetry.failed("detect", failure.model, type(failure.error).__name__)
            LOG.error("a model failed on an event", action="model_error", exc_info=failure.error)
        output.records += _pack(found.signals, batch, self._partitions)
        if found.arrivals is not None:
            self._count(found.arrivals)
            output.records += _spread(found.arrivals, batch, self._partitions)
        for _, events in good:
            if len(events):
                oldest = int(events.arrived.min()), int(events.time.min())
                telemetry.latency("detect", events.source, *oldest)
        return output

    def _count(self, arrivals: Arrivals) -> None:
        """Count the contributions of each tenant and source."""
        for (tenant, source), count in arrivals.counts().items():
            self.ledger.add("detect", tenant, source, {"contributed": count})

    def _refuse(self, batch: RecordBatch, offset: int, value: bytes, error: Exception) -> Outgoing:
        """Return the dead letter of a record that is no event batch, and count it."""
        self.ledger.add("detect", DEFAULT_TENANT, "", {"in": 1, "dead_lettered": 1})
        telemetry.dead_lettered("detect", "", "schema")
        origin = Origin(batch.topic, batch.partition, offset)
        reason = RecordError("schema", str(error))
        return letter("detect", value, DEFAULT_TENANT, "", origin, reason).outgoing()

    def evictions(self) -> dict[str, int]:
        """Return what the detector dropped."""
        return self._detector.evictions

    def snapshot(self) -> bytes:
        """Return models, baselines and recent ids."""
        return self._detector.snapshot()

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned."""
        self._detector.restore(state)


def _guarded(call: Callable[[], Any]) -> Any:
    """Run a call into a model; return what it raised instead of raising it."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - one model's bug must not stop the others
        return error


def _pack(signals: list[dict[str, Any]], batch: RecordBatch, partitions: int) -> list[Outgoing]:
    """Return the signals as records, each of one signals partition: tenant, rule and group."""
    groups: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for signal in signals:
        key = f"{signal['rule_id']}\x1f{signal['group']}"
        groups[partition_of(signal["tenant"], key, partitions)].append(signal)
    return [
        Outgoing("signals", _encode(part, batch), partition=partition)
        for partition, members in groups.items()
        for part in _parts(members)
    ]


def _spread(arrivals: Arrivals, batch: RecordBatch, partitions: int) -> list[Outgoing]:
    """Return contributions as records: to where the group of each one's root is kept."""
    tenants = arrivals.tenant.index[arrivals.event]
    columns = np.stack((tenants, arrivals.member, arrivals.group.index)).astype(np.int64)
    distinct, which = np.unique(columns, axis=1, return_inverse=True)
    routes = [
        _route(arrivals, tenant, member, group, partitions)
        for tenant, member, group in distinct.T.tolist()
    ]
    places = np.array(routes)[which.reshape(-1)]
    made = []
    for partition in np.unique(places).tolist():
        chosen = part(arrivals, np.flatnonzero(places == partition), MAX_RAW)
        made.append(Outgoing("signals", _encode([], batch, chosen), partition=partition))
    return made


def _route(arrivals: Arrivals, tenant: int, member: int, group: int, partitions: int) -> int:
    """Return the partition of a group: a hash of tenant, root and the root's group."""
    who = arrivals.members[member]
    values = arrivals.group.values[group].split(SEPARATOR)
    key = SEPARATOR.join(values[at] for at in who.key)
    return partition_of(arrivals.tenant.values[tenant], f"{who.root}\x1f{key}", partitions)


def _parts(signals: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Split signals that are too large for one record, but never a shard of them."""
    sizes = [sum(len(event["raw"]) for event in signal["events"]) for signal in signals]
    if sum(sizes) <= MAX_RAW:
        return [signals]
    shards: dict[int, list[int]] = defaultdict(list)
    for row, signal in enumerate(signals):
        shards[shard(signal)].append(row)
    parts: list[list[dict[str, Any]]] = [[]]
    room = MAX_RAW
    for rows in shards.values():
        size = sum(sizes[row] for row in rows)
        if parts[-1] and size > room:
            parts.append([])
            room = MAX_RAW
        parts[-1] += [signals[row] for row in rows]
        room -= size
    return parts


def _encode(
    signals: list[dict[str, Any]], batch: RecordBatch, joins: Arrivals | None = None
) -> bytes:
    record: dict[str, Any] = {
        "origin_partition": batch.partition,
        "origin_first": batch.first,
        "origin_last": batch.last,
        "signals": signals,
        "joins": None if joins is None else joins.record(),
    }
    return avro.encode("signal_batch", record)


class DetectStage(Stage):
    """Reads ``events``, writes ``signals`` and ``dead_letter``."""

    name = "detect"

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        board: Board | None = None,
        shelves: Shelves | None = None,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._board = board or Board()
        self._shelves = shelves or Shelves()
        self._reader = Reader(self._board, settings.postgres, self.name, self._shelves.look)
        self._models = chosen(settings.models, settings.intel)
        warm()

    async def open(self) -> None:
        """Read promoted models and what tenants set, waiting until PostgreSQL is there."""
        await self._reader.open()

    async def beside(self) -> None:
        """Keep that up to date."""
        await self._reader.run()

    def topics(self) -> list[str]:
        """Return the topic of events."""
        return ["events"]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of an events partition, with models that know nothing yet."""
        threshold = self._settings.model_threshold
        window_ms = 1000 * self._settings.repeat_window_s
        half_life_ms = round(3_600_000 * self._settings.risk_half_life_h)
        risk = Risk(self._settings.risk_threshold or math.inf, half_life_ms)
        detector = Detector(
            self._models,
            threshold,
            guard=_guarded,
            window_ms=window_ms,
            risk=risk,
            together=True,
            budget=self._settings.model_budget,
            tunings=lambda: self._board.policy.tunings,
            shelf=lambda: self._shelves.models,
        )
        seed = path_of(self._settings.home / "seeds", self._partitions, partition)
        if seed.is_file():
            detector.restore(seed.read_bytes())
        return DetectTask(detector, self._partitions)
