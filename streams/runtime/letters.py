"""Dead letters: a record that a stage could not handle, with where it was and why, in headers."""

from __future__ import annotations

import time
from typing import NamedTuple, Self

from sentinel.errors import RecordError
from streams.runtime.stage import Outgoing

TOPIC = "dead_letter"
#: Longest detail kept in a header, characters.
MAX_DETAIL = 1000


class Origin(NamedTuple):
    """Where a raw event is: topic, partition, offset, and which unit of that message."""

    topic: str
    partition: int
    offset: int
    unit: int = 0

    @property
    def text(self) -> str:
        """``topic/partition/offset/unit``: the id of an event whose source gives none."""
        return f"{self.topic}/{self.partition}/{self.offset}/{self.unit}"

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """Read what `text` gave; None if it is not that.

        >>> Origin.parse(b"raw.auditd/0/17/2")
        Origin(topic='raw.auditd', partition=0, offset=17, unit=2)
        >>> Origin.parse(b"nonsense") is None
        True
        """
        try:
            topic, partition, offset, unit = text.decode().rsplit("/", 3)
            return cls(topic, int(partition), int(offset), int(unit))
        except ValueError:
            return None


class Letter(NamedTuple):
    """One dead letter; `headers` are those of the Kafka record, `value` its original bytes."""

    value: bytes
    headers: dict[str, str]

    def outgoing(self) -> Outgoing:
        """Return the record to produce."""
        return Outgoing(TOPIC, self.value, headers=self.headers)


def letter(
    stage: str, value: bytes, tenant: str, source: str, origin: Origin, error: RecordError
) -> Letter:
    """Return the dead letter for `value`, which `stage` could not handle because of `error`."""
    return Letter(
        value,
        {
            "stage": stage,
            "reason": error.reason,
            "detail": error.detail[:MAX_DETAIL],
            "topic": origin.topic,
            "partition": str(origin.partition),
            "offset": str(origin.offset),
            "index": str(origin.unit),
            "tenant": tenant,
            "source": source,
            "time": str(time.time_ns() // 1_000_000),
        },
    )
