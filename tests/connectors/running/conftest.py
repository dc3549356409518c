"""What tests of the runner share: reading a topic to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from sentinel.settings import Settings

WAIT_S = 180
Wanted = Callable[[Any], bool]


def _read(kafka: str, topic: str, wanted: Wanted) -> list[Any]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "test",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        count = len(consumer.list_topics(topic).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in range(count)])
        ends, found = 0, []
        while ends < count:
            message = consumer.poll(WAIT_S)
            assert message is not None
            if message.error():
                ends += message.error().code() == KafkaError._PARTITION_EOF
            elif wanted(message):
                found.append(message)
        return found
    finally:
        consumer.close()


@pytest.fixture
def arrived(stack_settings: Settings) -> Callable[[str, Wanted], list[Any]]:
    """Return ``arrived(topic, wanted)``: the messages there, as far as they are wanted."""
    return lambda topic, wanted: _read(stack_settings.kafka, topic, wanted)
