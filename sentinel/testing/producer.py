"""A producer in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sentinel.errors import KafkaError


class Sent(NamedTuple):
    """One message that was sent; fields as in `sentinel.kafka.Producer.send`."""

    topic: str
    value: bytes
    key: bytes | None
    partition: int | None
    headers: dict[str, bytes | str]
    timestamp: int | None


class MemoryProducer:
    """Has the methods of `sentinel.kafka.Producer`, and a list instead of a broker.

    Attributes
    ----------
    sent
        Everything sent, flushed or not, in order.
    durable
        What `flush` made durable: all that a consumer would see after a crash.
    broken
        Set it to an error and the next `flush` raises that, delivering nothing.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.durable: list[Sent] = []
        self.broken: KafkaError | None = None
        self.closed = False

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes | str] | None = None,
        timestamp: int | None = None,
    ) -> None:
        """Keep one message."""
        if self.closed:
            raise KafkaError("expected an open producer, found a closed one")
        self.sent.append(Sent(topic, value, key, partition, dict(headers or {}), timestamp))

    async def flush(self) -> None:
        """Make what was sent durable, or raise `broken` once."""
        self.flush_sync()

    def flush_sync(self, timeout_s: float | None = None) -> dict[tuple[str, int], int]:
        """Do as `flush`; return the last offset of each (topic, partition), from 0."""
        if self.broken is not None:
            error, self.broken = self.broken, None
            raise error
        self.durable = list(self.sent)
        ends: dict[tuple[str, int], int] = {}
        for message in self.durable:
            place = (message.topic, message.partition or 0)
            ends[place] = ends.get(place, -1) + 1
        return ends

    def pending(self) -> int:
        """Return how many messages are not durable."""
        return len(self.sent) - len(self.durable)

    def close(self) -> None:
        """Take no more messages."""
        self.closed = True

    def to(self, topic: str) -> list[Sent]:
        """Return what was sent to `topic`, in order."""
        return [message for message in self.sent if message.topic == topic]
