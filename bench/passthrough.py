"""(a) librdkafka alone: consume and produce every event, nothing in between."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import confluent_kafka

from bench._with.context import PARTITIONS, Context, write_result
from bench.measure import Meter, Row
from sentinel.kafka import client_config
from sentinel.settings import load

BATCH = 5000


def run(context: Context) -> Iterator[Row]:
    """Measure in a process of its own."""
    raws = context.sample.raws
    source, target = context.topic(raws), context.topic()
    yield context.result("bench.passthrough", source, target, len(raws))


def main(file: str, source: str, target: str, count: str) -> None:
    """Be that process."""
    config = client_config(load())
    group = {"group.id": source, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(config | group)
    producer = confluent_kafka.Producer(
        config | {"compression.codec": "lz4", "linger.ms": 5, "enable.idempotence": True}
        | {"queue.buffering.max.messages": int(count) + 1}
    )  # fmt: skip
    meter = Meter()
    places = [confluent_kafka.TopicPartition(source, p, 0) for p in range(PARTITIONS)]
    consumer.assign(places)
    while meter.events < int(count):
        values = [message.value() or b"" for message in consumer.consume(BATCH, 1.0)]
        meter.yardstick(values)
        for value in values:
            producer.produce(target, value)
        producer.poll(0)
        meter.yardstick(values)
        meter.note(len(values))
    producer.flush()
    meter.note()
    write_result(file, meter.row("passthrough"))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
