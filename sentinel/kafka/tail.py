"""The newest records of a key, read without a consumer group."""

from __future__ import annotations

import time
from typing import NamedTuple

import confluent_kafka
import stamina
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sentinel.errors import KafkaError
from sentinel.kafka.admin import passes
from sentinel.kafka.config import client_config
from sentinel.settings import Settings


class Record(NamedTuple):
    """A record: where it is, and when the broker took it, ms since 1970."""

    partition: int
    offset: int
    time_ms: int
    value: bytes


def tail(settings: Settings, topic: str, key: bytes, count: int, timeout_s: float) -> list[Record]:
    """Return the newest records of a key, oldest first, among the last `count` of its partition.

    Whoever wrote them may have used any partitioner, so all partitions are read.

    Raises
    ------
    KafkaError
        The broker cannot be reached, or has no such topic.
    """
    end = time.monotonic() + timeout_s
    config = client_config(settings) | {
        "group.id": "sentinel.tail",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }
    consumer = Consumer(config)
    try:
        for attempt in stamina.retry_context(
            on=passes, attempts=None, timeout=timeout_s, wait_initial=0.05, wait_max=0.5
        ):
            with attempt:
                places = _places(consumer, topic, count, timeout_s)
        consumer.assign(places)
        unread, found = {place.partition for place in places}, list[Record]()
        while unread:
            message = consumer.poll(max(0.0, end - time.monotonic()))
            if message is None:
                raise KafkaError(f"expected the records of {topic} within {timeout_s:g} s")
            if error := message.error():  # all others pass, or the time runs out
                if error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
            elif message.key() == key:
                where = (message.partition() or 0, message.offset() or 0, message.timestamp()[1])
                found.append(Record(*where, message.value() or b""))
    except KafkaException as error:
        raise KafkaError(f"expected to read {topic}: {error}") from error
    finally:
        consumer.close()
    return sorted(found, key=lambda record: (record.time_ms, record.partition, record.offset))


def _places(consumer: Consumer, topic: str, count: int, timeout_s: float) -> list[TopicPartition]:
    """Return where the last `count` records of every partition begin."""
    known = consumer.list_topics(topic, timeout_s).topics[topic]
    if known.error:
        raise KafkaError(
            f"expected the topic {topic}, the broker has none; "
            "make it with `sentinel topics create`"
        )
    places = []
    for number in known.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout_s)
        if high > low:
            places.append(TopicPartition(topic, number, max(low, high - count)))
    return places
