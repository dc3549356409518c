"""Where each input goes on: one compacted Kafka topic, written by one runner an input.

A position is written in a Kafka transaction whose id is the input's key. Claiming the id
fences whoever had it (KIP-98): its next write fails, so of two runners of one input only the
later one advances. The records themselves are not part of the transaction, since the markers
that transactions leave in ``raw.*`` would look like records never read.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka import KafkaError as Code

from connectors._reading.base import MAX_POSITION, Position
from sentinel import topics
from sentinel.errors import FencedError, KafkaError, SchemaError
from sentinel.kafka import client_config
from sentinel.settings import Settings

#: Seconds that the broker may take for one step.
TIMEOUT_S: Final = 30.0
#: All positions are in this one: they are few, and partitions may be added.
PARTITION: Final = 0
PREFIX: Final = "sentinel.connector."
_FENCED: Final = {Code._FENCED, Code.INVALID_PRODUCER_EPOCH, Code.PRODUCER_FENCED}


class Positions:
    """The position of one input. Used by one thread.

    Parameters
    ----------
    settings
        Where the broker is.
    key
        ``tenant/name`` of the input.
    """

    def __init__(self, settings: Settings, key: str) -> None:
        self._settings = settings
        self._key = key.encode()
        self._producer = Producer(
            client_config(settings)
            | {
                "transactional.id": PREFIX + key,
                "compression.codec": "lz4",
                "linger.ms": 0,
                "message.max.bytes": 2 * topics.MIB,
            }
        )

    def claim(self) -> Position | None:
        """Fence whoever else runs this input; return where it got to, None where nowhere.

        Raises
        ------
        KafkaError
            The broker did not answer in time, or the topic is missing.
        """
        try:
            self._producer.init_transactions(TIMEOUT_S)
            known = self._producer.list_topics(topics.POSITIONS, TIMEOUT_S).topics
        except KafkaException as error:
            raise KafkaError(f"expected to claim the position of {self._name}: {error}") from error
        if topics.POSITIONS not in known or not known[topics.POSITIONS].partitions:
            raise KafkaError(
                f"expected the topic {topics.POSITIONS}, the broker has none; "
                "make it with `sentinel topics create`"
            )
        return self._newest()

    def _newest(self) -> Position | None:
        """Read the partition to its end; return the newest position of this input."""
        consumer = Consumer(
            client_config(self._settings)
            | {
                "group.id": PREFIX + "positions",  # never joined, never committed to
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        newest: Position | None = None
        try:
            consumer.assign([TopicPartition(topics.POSITIONS, PARTITION, 0)])
            while True:
                message = consumer.poll(TIMEOUT_S)
                if message is None:
                    raise KafkaError(
                        f"expected the end of {topics.POSITIONS} within {TIMEOUT_S:.0f} s, "
                        "found no answer of the broker"
                    )
                if (error := message.error()) is not None:
                    if error.code() == Code._PARTITION_EOF:
                        return newest
                    if not error.retriable():
                        raise KafkaError(f"{topics.POSITIONS} cannot be read: {error}")
                elif message.key() == self._key:
                    newest = _decode(message.value(), self._name)
        except KafkaException as error:
            raise KafkaError(f"{topics.POSITIONS} cannot be read: {error}") from error
        finally:
            consumer.close()

    def save(self, position: Position) -> None:
        """Store where to go on.

        Raises
        ------
        FencedError
            Another runner has claimed the input: stop.
        KafkaError
            The broker did not take it; what was stored before still holds.
        SchemaError
            It is larger than `MAX_POSITION`.
        """
        value = msgspec.json.encode(position)
        if len(value) > MAX_POSITION:
            raise SchemaError(
                f"expected a position of {self._name} of at most {MAX_POSITION} bytes, "
                f"found {len(value)}: its reader has to remember less"
            )
        try:
            self._producer.begin_transaction()
            self._producer.produce(topics.POSITIONS, value, self._key, partition=PARTITION)
            self._commit()
        except KafkaException as error:
            raise self._failure(error) from error

    def _commit(self) -> None:
        """Commit; once more where the broker was only slow."""
        try:
            self._producer.commit_transaction(TIMEOUT_S)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            self._producer.commit_transaction(TIMEOUT_S)

    def _failure(self, error: KafkaException) -> FencedError | KafkaError:
        """Return what to raise; a transaction that can be given up is."""
        reason: Any = error.args[0]
        if reason.code() in _FENCED:
            return FencedError(
                f"another runner has claimed the input {self._name}: this one stops; run each "
                "input once only"
            )
        if reason.txn_requires_abort():
            try:
                self._producer.abort_transaction(TIMEOUT_S)
            except KafkaException as failed:
                reason = f"{reason}; then {failed}"
        return KafkaError(f"expected the position of {self._name} to be stored: {reason}")

    @property
    def _name(self) -> str:
        return self._key.decode()

    def close(self) -> None:
        """Let the connection go."""
        self._producer.purge()
        self._producer.flush(0)


def _decode(value: bytes | None, name: str) -> Position | None:
    """Read a position; None where it was deleted."""
    if not value:
        return None
    try:
        found: Position = msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise SchemaError(f"expected the position of {name} to be JSON: {error}") from error
    return found
