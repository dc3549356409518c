"""A librdkafka producer that asyncio code can await and that never loses silently."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from types import TracebackType
from typing import Any, NamedTuple, Self

import confluent_kafka
from confluent_kafka import KafkaException

from sentinel import errors, log
from sentinel.kafka.config import client_config
from sentinel.settings import Settings

MIB = 1_048_576
_POLL_S = 0.2
_QUEUE_WAIT_S = 0.01
#: A broker that answers confirms something within this time, or this client has lost its way.
STUCK_S = 15.0
_ANSWER_S = 5.0
_log = log.get("kafka.producer")

Headers = Mapping[str, bytes | str]


class Failure(NamedTuple):
    """One message that the broker did not take.

    Attributes
    ----------
    topic, partition
        Where it was meant to go; partition -1 where none was chosen yet.
    key
        Its key, None where it had none.
    size
        Bytes of its value.
    reason
        librdkafka's name of the error, such as ``MSG_SIZE_TOO_LARGE``.
    """

    topic: str
    partition: int
    key: bytes | None
    size: int
    reason: str


class DeliveryError(errors.KafkaError):
    """Some messages were not delivered; `failures` says which and why."""

    def __init__(self, failures: list[Failure]) -> None:
        first = failures[0]
        super().__init__(
            f"expected the broker to take every message, {len(failures)} failed; first: "
            f"{first.size} bytes to {first.topic}[{first.partition}], {first.reason}; "
            "check that the topic exists (`sentinel topics`) and its max.message.bytes"
        )
        self.failures = tuple(failures)


class _Flight:
    """The messages sent between two flushes: counts them out and counts them back in."""

    __slots__ = ("_sealed", "done", "failures", "landed", "offsets", "sent")

    def __init__(self, offsets: dict[tuple[str, int], int]) -> None:
        self.sent = 0
        self.landed = 0
        self.failures: list[Failure] = []
        self.offsets = offsets
        self.done: Future[None] = Future()
        self._sealed = False

    def seal(self) -> None:
        """No message joins any more; called by the sending thread."""
        self._sealed = True
        self._settle()

    def land(self, error: Any, message: Any) -> None:
        """Delivery report; called by the polling thread only."""
        if error is None:
            self.offsets[message.topic(), message.partition()] = message.offset()
        else:
            topic, partition = message.topic(), message.partition()
            partition = -1 if partition is None else partition
            size = len(message.value() or b"")
            failure = Failure(topic, partition, message.key(), size, error.name())
            self.failures.append(failure)
        self.landed += 1
        if self._sealed:
            self._settle()

    def _settle(self) -> None:
        if self.landed == self.sent and not self.done.done():
            try:
                self.done.set_result(None)
            except InvalidStateError:
                return  # the other of the two threads was faster


class Producer:
    """Sends without blocking; `flush` awaits what was sent. One thread sends, any may wait.

    Delivery is at least once and in order per partition. An outage of the broker is
    waited out: a message is retried until `message_timeout_s` has passed, for ever by
    default. A message that can never be delivered (too large, no such topic) fails the
    `flush` after it and no other.

    Parameters
    ----------
    settings
        Where the broker is and how to log on.
    compression
        librdkafka ``compression.codec``.
    linger_ms
        How long a message may wait for company, in ms. Each request costs the broker, and
        each consumer that is woken by it, as much as hundreds of events.
    message_timeout_s
        Seconds after which an undelivered message fails; 0 for never.
    queue_mib
        Memory that unsent messages may take before `send` waits, in MiB.
    extra
        Further librdkafka settings, which win.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        compression: str = "lz4",
        linger_ms: float = 20,
        message_timeout_s: float = 0,
        queue_mib: int = 128,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        config = client_config(settings) | {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": linger_ms,
            "compression.codec": compression,
            "message.timeout.ms": int(message_timeout_s * 1000),
            "message.max.bytes": 64 * MIB,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": queue_mib * 1024,
            "partitioner": "murmur2_random",  # as Java clients do, so that keys meet
            "error_cb": self._on_error,
        }
        self._fatal = ""
        #: Last delivered offset by (topic, partition), since the start.
        self.delivered: dict[tuple[str, int], int] = {}
        self._flight = _Flight(self.delivered)
        self._open = [self._flight]
        self._stopping = threading.Event()
        self._client = confluent_kafka.Producer(config | dict(extra or {}))
        self._poller = threading.Thread(target=self._poll, name="sentinel-producer", daemon=True)
        self._poller.start()

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
        timestamp: int | None = None,
    ) -> None:
        """Queue one message; wait only while the queue is full.

        Parameters
        ----------
        timestamp
            Milliseconds since the epoch, UTC; None takes the present.

        Raises
        ------
        KafkaError
            The producer had a fatal error, or is closed: start a new one.
        """
        self._check()
        flight = self._flight
        options: dict[str, Any] = {"on_delivery": flight.land}
        if partition is not None:
            options["partition"] = partition
        if headers:
            options["headers"] = dict(headers)
        if timestamp is not None:
            options["timestamp"] = timestamp
        flight.sent += 1
        while True:
            try:
                self._client.produce(topic, value, key, **options)
            except BufferError:
                self._stopping.wait(_QUEUE_WAIT_S)  # the poller makes room meanwhile
                self._check()
            except KafkaException as error:
                flight.sent -= 1
                reason = error.args[0].name()
                chosen = -1 if partition is None else partition
                flight.failures.append(Failure(topic, chosen, key, len(value), reason))
                return
            else:
                return

    async def flush(self) -> None:
        """Wait until the broker has everything sent so far.

        Raises
        ------
        DeliveryError
            Some of it can never be delivered; `DeliveryError.failures` says which.
        KafkaError
            The producer had a fatal error, or the broker answers and confirms nothing for twice
            `STUCK_S`.
        """
        flights = self._seal()
        waiting = [asyncio.wrap_future(f.done) for f in flights if not f.done.done()]
        if waiting:
            await asyncio.shield(self._landed(waiting))
        self._settle(flights)

    async def _landed(self, waiting: list[asyncio.Future[None]]) -> None:
        """Wait for all of `waiting`, as long as it takes unless only this client is to blame."""
        answered, landed = False, -1
        while (await asyncio.wait(waiting, timeout=STUCK_S))[1]:
            now = sum(flight.landed for flight in self._open)
            answers = await asyncio.to_thread(self._answers)
            if answered and answers and now == landed:
                raise errors.KafkaError(
                    f"expected the broker, which answers, to confirm some of {self.pending()} "
                    f"messages within {2 * STUCK_S:.0f} s, it confirmed none; restart the process"
                )
            answered, landed = answers, now

    def _answers(self) -> bool:
        """Return whether the broker answers this client."""
        try:
            self._client.list_topics(timeout=_ANSWER_S)
        except KafkaException:
            return False
        return True

    def flush_sync(self, timeout_s: float | None = None) -> dict[tuple[str, int], int]:
        """Wait like `flush` without an event loop; return what was delivered.

        Returns
        -------
        dict
            (topic, partition) to the last offset delivered there since the start.

        Raises
        ------
        KafkaError
            As `flush`, or `timeout_s` seconds passed; the messages stay queued.
        """
        flights = self._seal()
        for flight in flights:
            try:
                flight.done.result(timeout_s)
            except TimeoutError as error:
                missing = sum(f.sent - f.landed for f in flights)
                raise errors.KafkaError(
                    f"expected the broker to confirm all messages within {timeout_s} s, "
                    f"{missing} are unconfirmed; is the broker up (`sentinel status`)?"
                ) from error
        self._settle(flights)
        return dict(self.delivered)

    def pending(self) -> int:
        """Return how many messages the broker has not confirmed yet."""
        return sum(flight.sent - flight.landed for flight in self._open)

    def close(self) -> None:
        """Stop. What was not flushed before is given up, and said so in the log."""
        if self._stopping.is_set():
            return
        if lost := self.pending():
            _log.warning("closed with unconfirmed messages", action="close", messages=lost)
        self._stopping.set()
        self._client.purge()
        self._poller.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and not self._stopping.is_set():
                self.flush_sync()
        finally:
            self.close()

    def _seal(self) -> list[_Flight]:
        """Close the present flight to new messages; return all whose end was not yet told."""
        self._check()
        flights = list(self._open)
        self._flight = _Flight(self.delivered)
        self._open.append(self._flight)
        flights[-1].seal()
        return flights

    def _settle(self, flights: list[_Flight]) -> None:
        self._open = [flight for flight in self._open if flight not in flights]
        if failures := [failure for flight in flights for failure in flight.failures]:
            raise DeliveryError(failures)
        self._check()

    def _check(self) -> None:
        if self._fatal:
            raise errors.KafkaError(
                f"the producer cannot go on: {self._fatal}; restart the process"
            )
        if self._stopping.is_set():
            raise errors.KafkaError("expected an open producer, found a closed one")

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._client.poll(_POLL_S)
        self._client.poll(0)

    def _on_error(self, error: Any) -> None:
        if error.fatal():
            self._fatal = str(error)
        _log.warning("broker trouble", action="kafka_error", error=str(error), fatal=error.fatal())
