"""The doubles behave like what they stand for."""

import inspect

import pytest

from sentinel.errors import KafkaError
from sentinel.kafka import Producer
from sentinel.testing import Clock, MemoryProducer


@pytest.mark.parametrize("method", ["send", "flush", "flush_sync", "pending", "close"])
def test_memory_producer_has_the_signatures_of_the_real_one(method):
    real = inspect.signature(getattr(Producer, method))
    double = inspect.signature(getattr(MemoryProducer, method))
    assert [(p.name, p.kind, p.default) for p in real.parameters.values()] == [
        (p.name, p.kind, p.default) for p in double.parameters.values()
    ]


async def test_only_what_was_flushed_is_durable():
    producer = MemoryProducer()
    producer.send("t", b"1", partition=2)
    await producer.flush()
    producer.send("t", b"2", partition=2)
    assert [message.value for message in producer.durable] == [b"1"]
    assert producer.pending() == 1
    assert producer.flush_sync() == {("t", 2): 1}
    assert [message.value for message in producer.to("t")] == [b"1", b"2"]


async def test_a_broken_flush_fails_once_and_keeps_nothing():
    producer = MemoryProducer()
    producer.send("t", b"1")
    producer.broken = KafkaError("down")
    with pytest.raises(KafkaError, match="down"):
        await producer.flush()
    assert producer.durable == []
    await producer.flush()
    producer.close()
    with pytest.raises(KafkaError, match="closed"):
        producer.send("t", b"2")


def test_the_clock_moves_when_told():
    clock = Clock(100.0)
    clock.move(1.5)
    assert (clock(), clock.ms()) == (101.5, 101_500)
