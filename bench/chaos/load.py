"""The load: both sources without end, with duplicates and poison, the same for the same seed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import NamedTuple

from confluent_kafka import Producer

from sentinel import topics
from sentinel.sample.hour import simulate

PARTITIONS = 2
#: Shares of events that are sent twice, and of records that nobody can read.
DOUBLED, POISONED = 0.03, 0.01
START = 1_767_600_000
RATE = 120
#: Events a second; a machine with two cores has other things to do meanwhile.
TENANTS = {"cloudtrail": "aws", "auditd": "linux"}
POISON = {
    "cloudtrail": (b'{"eventName":"GetUser","eve', b"", b"[" * 10_000, b"\xff\xfe", b"42", b"{}"),
    "auditd": (b"", b"type=SYSCALL msg=audit(1767600084.", b"\xff\xfe\x00", b"hello"),
}


class Message(NamedTuple):
    """One record of a raw topic; a tenant has one source and one partition.

    What a tenant sends is thus in one order, whatever happens to workers and brokers,
    so that even the scores of its models can be foretold.
    """

    source: str
    partition: int
    value: bytes

    @property
    def topic(self) -> str:
        """The raw topic."""
        return topics.raw(self.source)

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return f"{TENANTS[self.source]}-{self.partition}"


class Chunk(NamedTuple):
    """Messages sent together: whole events, and how many of the messages are poison."""

    messages: list[Message]
    poison: int


def chunks(seed: int, size: int = 30) -> Iterator[Chunk]:
    """Yield chunks of `size` events, without end: hour after hour of the sample company."""
    random = Random(seed)
    for hour in count():
        partition = hour % PARTITIONS
        events = list(simulate(seed=seed * 1000 + hour, start=START + 3600 * hour, minutes=20))
        for first in range(0, len(events), size):
            messages: list[Message] = []
            poison = 0
            for event in events[first : first + size]:
                lines = event.raw.splitlines() if event.source == "auditd" else [event.raw]
                mine = [Message(event.source, partition, line) for line in lines]
                messages += mine * (2 if random.random() < DOUBLED else 1)
                if random.random() < POISONED:
                    bad = random.choice(POISON[event.source])
                    messages.append(Message(event.source, partition, bad))
                    poison += 1
            yield Chunk(messages, poison)


class Pusher:
    """Sends chunks at a steady rate, on a thread, until `stop`."""

    def __init__(self, kafka: str, source: Iterator[Chunk]) -> None:
        self.sent: list[Message] = []
        self.poison = 0
        self._source = source
        # A chunk is one request to the broker, so that no outage falls inside an event.
        self._client = Producer(
            {"bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 50,
             "message.timeout.ms": 0, "log_level": 0}
        )  # fmt: skip
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pusher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        events = 30
        while not self._stopping.wait(events / RATE):
            chunk = next(self._source)
            for message in chunk.messages:
                headers: list[tuple[str, str | bytes | None]] = [("tenant", message.tenant)]
                self._client.produce(
                    message.topic, message.value, partition=message.partition, headers=headers
                )
            self._client.poll(0)
            self.sent += chunk.messages
            self.poison += chunk.poison

    def stop(self) -> None:
        """Send no more; return when the broker has everything.

        Raises
        ------
        TimeoutError
            It did not take everything within 60 s.
        """
        self._stopping.set()
        self._thread.join()
        if left := self._client.flush(60):
            raise TimeoutError(f"expected the broker to take everything, {left} messages are left")
