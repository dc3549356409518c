"""Dead letters: what any stage could not handle becomes a row that people can find and replay.

The row holds where the record was, why it was refused and the beginning of it; the
whole record stays in the topic, from where it is shown and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.runtime.ledger import Ledger
from streams.runtime.letters import TOPIC
from streams.runtime.stage import Output, Stage, Task
from streams.sinks.base import DeadLetterRow, Rows, Written
from streams.transport import RecordBatch

#: Bytes of a record that the row keeps.
PREVIEW = 4096


class DeadLetterTask(Task):
    """One partition of ``dead_letter``: its rows."""

    def process(self, batch: RecordBatch) -> Output:
        """Turn dead letters into rows; the same letter again (a replay) does not count."""
        records = zip(batch.offsets, batch.values, batch.timestamps, batch.headers, strict=True)
        rows = [_row(batch, *record) for record in records]
        return Output(rows=Rows(dead_letters=rows), counts=_count, ledger=self.ledger)


def _count(written: Written) -> Ledger:
    """Count the letters that were not there yet."""
    counts = Ledger()
    for key, new in written.dead_letters.items():
        counts.add("dead_letter", *key, {"in": new, "out": new})
    return counts


def _row(
    batch: RecordBatch,
    offset: int,
    value: bytes | None,
    arrived: int,
    headers: Sequence[tuple[str, bytes]] | None,
) -> DeadLetterRow:
    """Return the row of one letter; one without our headers is of unknown origin."""
    text = {name: data.decode("utf-8", "replace") for name, data in headers or () if data}
    data = value or b""
    return DeadLetterRow(
        topic=batch.topic,
        partition=batch.partition,
        offset=offset,
        origin_topic=text.get("topic", batch.topic),
        origin_partition=_number(text.get("partition"), batch.partition),
        origin_offset=_number(text.get("offset"), offset),
        origin_index=_number(text.get("index"), 0),
        stage=text.get("stage", "unknown"),
        reason=text.get("reason", "unknown"),
        detail=text.get("detail", ""),
        tenant=text.get("tenant", "default"),
        source=text.get("source", ""),
        time=_number(text.get("time"), arrived),
        size=len(data),
        value=data[:PREVIEW],
    )


def _number(text: str | None, default: int) -> int:
    """Read a number from a header that anyone may have written."""
    try:
        return int(text) if text else default
    except ValueError:
        return default


class DeadLetterStage(Stage):
    """Reads ``dead_letter``, writes to the sinks."""

    name = "dead_letter"

    def topics(self) -> list[str]:
        """Return the topic of dead letters."""
        return [TOPIC]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a partition."""
        return DeadLetterTask()
