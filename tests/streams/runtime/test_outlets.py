"""Where outputs go: in which order, and what is counted when a write is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from sentinel.errors import FencedError, KafkaError
from sentinel.testing import MemoryProducer
from streams.runtime.ledger import Ledger
from streams.runtime.outlets import ProducerOutlet, SinkOutlet
from streams.runtime.stage import Outgoing, Output
from streams.sinks.base import EventRow, Rows, Written

KEY = ("acme", "auditd")


class MemorySink:
    """Writes to a list; asks for the positions as often as told, as a retried write does."""

    def __init__(self, name, log, attempts=1):
        self.name, self.log, self.attempts = name, log, attempts

    async def write(self, rows, positions=()):
        self.log.append(self.name)
        written = Written(events=Counter({KEY: 2}))
        if callable(positions):
            for _ in range(self.attempts):
                self.saved = positions(written)
        return written


def counting(written):
    ledger = Ledger()
    ledger.add("persist", *KEY, {"in": written.events[KEY], "out": written.events[KEY]})
    return ledger


def position(more):
    return more.dump()


async def test_the_system_of_record_is_written_last_with_the_position():
    log = []
    last = MemorySink("postgres", log)
    outlet = SinkOutlet(MemoryProducer(), [MemorySink("search", log), last])
    output = Output(rows=Rows(), counts=counting)
    assert await outlet.deliver(output, position)
    assert log == ["search", "postgres"]
    row = {"stage": "persist", "tenant": "acme", "source": "auditd", "in": 2, "out": 2}
    assert last.saved == ([row],)
    assert output.ledger.dump() == [row]


async def test_a_write_that_is_repeated_counts_once():
    last = MemorySink("postgres", [], attempts=3)
    output = Output(rows=Rows(), counts=counting)
    await SinkOutlet(MemoryProducer(), [last]).deliver(output, position)
    assert output.ledger.dump()[0]["in"] == 2
    assert last.saved[0][0]["in"] == 2


async def test_dead_letters_are_safe_before_the_position_moves():
    producer, log = MemoryProducer(), []
    producer.broken = KafkaError("down")
    outlet = SinkOutlet(producer, [MemorySink("postgres", log)])
    output = Output([Outgoing("dead_letter", b"x")], Rows(), counting)
    with pytest.raises(KafkaError):
        await outlet.deliver(output, position)
    assert log == []
    await outlet.deliver(output, position)
    assert (log, [sent.value for sent in producer.durable]) == (["postgres"], [b"x", b"x"])


async def test_a_producer_saves_no_position_and_settles():
    producer = MemoryProducer()
    outlet = ProducerOutlet(producer)
    record = Outgoing("events", b"x", 3, b"k", {"h": "v"})
    assert not await outlet.deliver(Output([record]), position)
    assert producer.durable == []
    await outlet.settle()
    (sent,) = producer.durable
    assert (sent.topic, sent.value, sent.partition, sent.key) == ("events", b"x", 3, b"k")
    assert sent.headers == {"h": "v"}


class SlowSink:
    """Takes its time; what is new are all rows but one of each tenant and source."""

    def __init__(self):
        self.gate, self.writes, self.saved = asyncio.Event(), [], []

    async def write(self, rows, positions=()):
        self.writes.append([row.uid for row in rows.events])
        await self.gate.wait()
        new = Counter((row.tenant, row.source) for row in rows.events)
        new.subtract(dict.fromkeys(new, 1))
        self.saved.append(positions(Written(events=new)))
        return Written(events=new)


def event(number):
    return EventRow(KEY[0], bytes([number]), 0, 0, KEY[1], 0, 0, 0, 0, "", "", "", "", b"")


async def test_what_is_delivered_meanwhile_is_written_together_and_counted_once():
    sink = SlowSink()
    outlet = SinkOutlet(MemoryProducer(), [sink])
    outputs = [
        Output(rows=Rows([event(2 * number), event(2 * number + 1)]), counts=counting)
        for number in range(4)
    ]
    work = [asyncio.create_task(outlet.deliver(output, position)) for output in outputs[:1]]
    while not sink.writes:  # noqa: ASYNC110 - until it was called
        await asyncio.sleep(0)
    work += [asyncio.create_task(outlet.deliver(output, position)) for output in outputs[1:]]
    await asyncio.sleep(0)
    sink.gate.set()
    assert all(await asyncio.gather(*work))
    assert sink.writes == [[b"\0", b"\1"], [bytes([number]) for number in range(2, 8)]]
    assert [len(positions) for positions in sink.saved] == [1, 3], "one for each partition"
    counts = [row["out"] for output in outputs for row in output.ledger.dump() if "out" in row]
    assert sum(counts) == 1 + 5


async def test_a_write_that_fails_fails_for_all_that_is_in_it():
    class Broken:
        async def write(self, rows, positions=()):
            raise FencedError("another has it")

    outlet = SinkOutlet(MemoryProducer(), [Broken()])
    work = [outlet.deliver(Output(rows=Rows()), position) for _ in range(3)]
    failed = await asyncio.gather(*work, return_exceptions=True)
    assert [type(error) for error in failed] == [FencedError] * 3
