"""What a read of the consumer gives besides records: problems, and ends of partitions."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from sentinel import log
from streams.transport.offsets import Partition

LOG = log.get("streams.transport")


def sift(messages: list[Message], ended: Callable[[Partition, int], None]) -> list[Message]:
    """Return the records in `messages`; tell of the rest.

    Parameters
    ----------
    messages
        As consumed, in order.
    ended
        Called for each partition that was read to its end, with that end: no record that
        a reader may see lies before it that was not given out before.

    Raises
    ------
    KafkaException
        The consumer cannot go on.
    """
    if not any(map(Message.error, messages)):
        return messages
    records = []
    for message in messages:
        error = message.error()
        if error is None:
            records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            ended((str(message.topic()), message.partition() or 0), message.offset() or 0)
        elif error.fatal() or error.code() == KafkaError._FATAL:  # such as: fenced by its own name
            raise KafkaException(error)
        else:
            LOG.warning(
                "the broker reports a problem",
                action="read",
                topic=message.topic(),
                error=str(error),
            )
    return records
