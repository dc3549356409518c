"""Persist: events and alerts reach the stores, each once, with the offset in the same transaction.

Here an event is written out in full OCSF, from its raw bytes, by the same connector
that summarised it. PostgreSQL is the system of record and comes last; what other sinks
there are come before it and are idempotent on the id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import orjson

from connectors.base import Connector
from schemas import avro
from schemas.batch import EventBatch
from schemas.identity import uid_text
from sentinel import log
from sentinel.errors import RecordError, SchemaError
from streams.normalize import DEFAULT_TENANT
from streams.runtime import telemetry
from streams.runtime.ledger import Ledger
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Output, Stage, Task
from streams.sinks.base import AlertEventRow, AlertRow, EventRow, Rows, Written
from streams.transport import RecordBatch

LOG = log.get(__name__)
Place = tuple[str, int]


class Writer:
    """Writes events out in OCSF: one connector a source, made once."""

    def __init__(self, connectors: Mapping[str, Connector]) -> None:
        self._connectors = connectors

    def ocsf(self, source: str, tenant: str, uid: bytes, raw: bytes) -> bytes:
        """Return the event as OCSF JSON; it was accepted before, so this does not fail.

        Should it all the same (a newer worker summarised it), the event is kept with its
        raw text and the reason, not lost.
        """
        try:
            event = self._connectors[source].to_ocsf(raw)
        except Exception as error:
            LOG.exception("an event has no OCSF form", action="ocsf_bug", source=source)
            telemetry.failed("persist", source, "ocsf")
            event = {
                "message": f"no OCSF form: {type(error).__name__}: {error}",
                "raw_data": raw.decode("utf-8", "replace"),
            }
        metadata = event.setdefault("metadata", {})
        metadata["tenant_uid"] = tenant
        if not metadata.get("uid"):
            metadata["uid"] = uid_text(uid)
        return orjson.dumps(event, default=str)


class PersistEventsTask(Task):
    """One ``events`` partition: rows of the events table."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer
        #: Last raw sequence had of each raw partition: what comes again is a replay.
        self._seen: dict[Place, int] = {}

    def process(self, batch: RecordBatch) -> Output:
        """Turn batches of events into rows, leaving out replays."""
        rows: list[EventRow] = []
        refused = Refused("persist", batch)
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            try:
                events = EventBatch.decode(value or b"")
            except SchemaError as error:
                refused.add(offset, value or b"", error)
                continue
            place = (events.origin_topic, events.origin_partition)
            seen = self._seen.get(place, -1)
            if events.origin_last > seen:
                rows += self._rows(events, seen)
                self._seen[place] = events.origin_last
        taken = Counter((row.tenant, row.source) for row in rows)
        return refused.output(
            self.ledger, Rows(events=rows), partial(_count, "persist", taken, "events")
        )

    def _rows(self, batch: EventBatch, seen: int) -> Iterable[EventRow]:
        """Yield the rows of the events that lie beyond `seen`."""
        source, ocsf = batch.source, self._writer.ocsf
        for row in range(len(batch)):
            if batch.origin[row] <= seen:
                continue
            tenant, uid = batch.tenant.at(row), batch.uid_of(row)
            yield EventRow(
                tenant=tenant,
                uid=uid,
                time=int(batch.time[row]),
                arrived=int(batch.arrived[row]),
                source=source,
                class_uid=int(batch.class_uid[row]),
                activity_id=int(batch.activity_id[row]),
                status_id=int(batch.status_id[row]),
                severity_id=int(batch.severity_id[row]),
                entity=batch.entity.at(row),
                operation=batch.operation.at(row),
                service=batch.service.at(row),
                src_ip=batch.src_ip.at(row),
                ocsf=ocsf(source, tenant, uid, batch.raw_of(row)),
            )

    def snapshot(self) -> bytes:
        """Return what has been seen of each raw partition."""
        return msgspec.msgpack.encode(list(self._seen.items()))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned."""
        self._seen = dict(msgspec.msgpack.decode(state, type=list[tuple[Place, int]]))


class PersistAlertsTask(Task):
    """One ``alerts`` partition: alerts, their amendments and evidence."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def process(self, batch: RecordBatch) -> Output:
        """Turn alert records into rows; what is there already does not count again."""
        rows: list[AlertRow] = []
        refused = Refused("persist_alerts", batch)
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            try:
                rows.append(self._row(avro.decode("alert", value or b"")))
            except SchemaError as error:
                refused.add(offset, value or b"", error)
        return refused.output(
            self.ledger, Rows(alerts=rows), partial(_count, "persist_alerts", None, "alert_events")
        )

    def _row(self, alert: dict[str, Any]) -> AlertRow:
        """Return the row of an alert record."""
        tenant, source = alert["tenant"], alert["source"]
        events = [
            AlertEventRow(
                uid=event["uid"],
                time=event["time"],
                arrived=event["arrived"],
                score=event["score"],
                source=source,
                ocsf=self._writer.ocsf(source, tenant, event["uid"], event["raw"]),
                raw=event["raw"],
            )
            for event in alert["events"]
        ]
        return AlertRow(**alert | {"events": events})


def _count(stage: str, taken: Counter[tuple[str, str]] | None, kind: str, new: Written) -> Ledger:
    """Count what was taken, what of it was new and what was there already.

    Where `taken` is None a row that is there already can only be a replay: not counted.
    """
    added: Counter[tuple[str, str]] = getattr(new, kind)
    counts = Ledger()
    for key, total in (added if taken is None else taken).items():
        out = added[key]
        counts.add(stage, *key, {"in": total, "out": out, "duplicate": total - out})
    return counts


class Refused:
    """Records of a batch that are not of the schema: dead letters and their count."""

    def __init__(self, stage: str, batch: RecordBatch) -> None:
        self._stage = stage
        self._batch = batch
        self._found: list[tuple[int, bytes, SchemaError]] = []

    def add(self, offset: int, value: bytes, error: SchemaError) -> None:
        """Refuse the record at `offset`."""
        self._found.append((offset, value, error))

    def output(self, ledger: Ledger, rows: Rows, counts: Callable[[Written], Ledger]) -> Output:
        """Return the output of the whole batch: rows, and letters for what was refused."""
        output = Output(rows=rows, counts=counts, ledger=ledger)
        for offset, value, error in self._found:
            ledger.add(self._stage, DEFAULT_TENANT, "", {"in": 1, "dead_lettered": 1})
            telemetry.dead_lettered(self._stage, "", "schema")
            origin = Origin(self._batch.topic, self._batch.partition, offset)
            reason = RecordError("schema", str(error))
            found = letter(self._stage, value, DEFAULT_TENANT, "", origin, reason)
            output.records.append(found.outgoing())
        return output


class PersistStage(Stage):
    """Reads ``events`` and ``alerts``, writes to the sinks."""

    name = "persist"

    def __init__(self, connectors: Mapping[str, type[Connector]]) -> None:
        self._writer = Writer({name: cls() for name, cls in connectors.items()})

    def topics(self) -> list[str]:
        """Return the topics of events and of alerts."""
        return ["events", "alerts"]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a partition of either."""
        if topic == "events":
            return PersistEventsTask(self._writer)
        return PersistAlertsTask(self._writer)
