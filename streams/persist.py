"""Persist: events and alerts reach the stores, each once, with the offset in the same transaction.

An event is stored as the source wrote it, beside the columns that are searched for; only the
evidence of an alert, which outlives its event, is written out in OCSF here. PostgreSQL is the
system of record and comes last; what other sinks there are come before it and are idempotent
on the id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Any

import msgspec

from connectors._mapper import Mapper
from schemas import avro
from schemas.batch import EventBatch, Strings
from sentinel.errors import RecordError, SchemaError
from streams.normalize import DEFAULT_TENANT
from streams.runtime import telemetry
from streams.runtime.ledger import Ledger
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Output, Stage, Task
from streams.sinks.base import AlertEventRow, AlertRow, EventRow, Rows, Written
from streams.transport import RecordBatch

Place = tuple[str, int]


class PersistEventsTask(Task):
    """One ``events`` partition: rows of the events table."""

    def __init__(self) -> None:
        super().__init__()
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
        """Return the rows of the events that lie beyond `seen`."""
        uids, starts = batch.uid.tobytes(), range(0, 16 * len(batch) + 1, 16)
        rows = zip(
            _texts(batch.tenant),
            map(uids.__getitem__, map(slice, starts, starts[1:])),
            batch.time.tolist(),
            batch.arrived.tolist(),
            repeat(batch.source),
            batch.class_uid.tolist(),
            batch.activity_id.tolist(),
            batch.status_id.tolist(),
            batch.severity_id.tolist(),
            _texts(batch.entity),
            _texts(batch.operation),
            _texts(batch.service),
            _texts(batch.src_ip),
            map(batch.raw_of, range(len(batch))),
            repeat(None),
            strict=False,  # what repeats, repeats for ever
        )
        return [
            EventRow._make(row)
            for row, origin in zip(rows, batch.origin.tolist(), strict=True)
            if origin > seen
        ]

    def snapshot(self) -> bytes:
        """Return what has been seen of each raw partition."""
        return msgspec.msgpack.encode(list(self._seen.items()))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned."""
        self._seen = dict(msgspec.msgpack.decode(state, type=list[tuple[Place, int]]))


def _texts(column: Strings) -> list[str]:
    return list(map(column.values.__getitem__, column.index.tolist()))


class PersistAlertsTask(Task):
    """One ``alerts`` partition: alerts, their amendments and evidence."""

    def __init__(self, mapper: Mapper) -> None:
        super().__init__()
        self._mapper = mapper

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
                source=event["source"] or source,
                ocsf=self._mapper.ocsf(
                    event["source"] or source, tenant, event["uid"], event["raw"]
                ),
                raw=event["raw"],
            )
            for event in alert["events"]
        ]
        del alert["reopened"]  # the table tells by the status before
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

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def topics(self) -> list[str]:
        """Return the topics of events and of alerts."""
        return ["events", "alerts"]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a partition of either."""
        if topic == "events":
            return PersistEventsTask()
        return PersistAlertsTask(self._mapper)
