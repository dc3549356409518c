"""Doubles of what a stage's loop meets: a task that pairs records, events, a stream, a worker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from sentinel.settings import Settings
from sentinel.testing import MemoryProducer
from streams.runtime.checkpoint import Store
from streams.runtime.outlets import ProducerOutlet
from streams.runtime.stage import Outgoing, Output, Runner, Stage, Task

LAZY = Settings(checkpoint_s=1000)
EAGER = Settings(checkpoint_s=0.000001)


class Place(NamedTuple):
    topic: str
    partition: int


class Pairs(Task):
    """Puts two records together; what came so far counts, what waits is state."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.held = b""

    def process(self, batch: Any) -> Output:
        self.ledger.add("normalize", "acme", "s", {"in": len(batch), "out": len(batch)})
        output = Output()
        for value in batch.values:
            self.count += 1
            if self.held:
                output.records.append(self._out(self.held + value))
                self.held = b""
            else:
                self.held = value
        return output

    def _out(self, value: bytes) -> Outgoing:
        return Outgoing("events", b"%d %b" % (self.count, value))

    def waiting(self) -> bool:
        return bool(self.held)

    def flush(self, next_offset: int) -> Output:
        held, self.held = self.held, b""
        return Output([self._out(held + b"!")] if held else [])

    def snapshot(self) -> bytes:
        return b"%d %b" % (self.count, self.held)

    def restore(self, state: bytes) -> None:
        count, self.held = state.split(b" ", 1)
        self.count = int(count)


class PairsStage(Stage):
    name = "normalize"

    def topics(self) -> list[str]:
        return ["raw.pairs"]

    def task(self, topic: str, partition: int) -> Task:
        return Pairs()


class Event:
    """A Faust event: a batch, and whether it was acknowledged."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.done = asyncio.Event()

    @property
    def acked(self) -> bool:
        return self.done.is_set()

    def ack(self) -> None:
        self.done.set()


class Stream:
    """A Faust stream that a test puts events into."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.queue.get()


class DiedError(BaseException):
    """Stands for the end of the process."""


class Worker:
    """One process: a runner and its agent, on one partition."""

    def __init__(self, store: Store, place: Place, settings: Settings, outlet: Any = None) -> None:
        self.producer = MemoryProducer()
        self.place = place
        self.runner = Runner(PairsStage(), store, outlet or ProducerOutlet(self.producer), settings)
        self.stream = Stream()
        self.agent: asyncio.Task[None] | None = None
        self.events: list[Event] = []

    async def start(self) -> int:
        start = await self.runner.on_assigned(self.place)
        self.agent = asyncio.create_task(self.runner.run(self.stream))
        return start

    def put(self, batch: Any) -> Event:
        self.events.append(Event(batch))
        self.stream.queue.put_nowait(self.events[-1])
        return self.events[-1]

    async def handled(self, offset: int) -> None:
        """Wait until the records before `offset` are processed."""
        held = self.runner._held[self.place]
        deadline = time.monotonic() + 120
        while held.next_offset < offset or held.lock.locked():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)

    async def kill(self) -> None:
        """End it on the spot: nothing more is saved, nothing more is sent."""
        for task in (self.agent, self.runner._ticker):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, DiedError):
                    await task
