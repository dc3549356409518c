"""The loop of every stage: take a batch, call a pure function, produce, checkpoint, acknowledge.

Delivery: at least once from here, effectively once for whoever reads. A partition's
state, ledger and offset are saved together; a worker that takes a partition over
continues from that offset with that state, so it makes the same outputs again, each
carrying its origin, and readers drop those they have had. Saving is fenced: once
another worker has claimed the partition, the former owner's saves fail and it stops.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol

from sentinel import log, metrics
from sentinel.errors import FencedError
from sentinel.settings import Settings
from streams.runtime import telemetry
from streams.runtime.checkpoint import Position, Store
from streams.runtime.ledger import Ledger
from streams.sinks.base import Rows, Written
from streams.transport import RecordBatch

LOG = log.get(__name__)
#: A partition is quiet, and its incomplete events are given up on, after this long.
QUIET_S = 5.0
#: The same where the end cannot be reached: its last record is the marker of a transaction.
QUIET_MOST_S = 60.0
#: With nothing more to do, a checkpoint follows this soon, but not more often than `IDLE_GAP_S`.
IDLE_S = 0.2
IDLE_GAP_S = 1.0
#: Bytes handled between two looks of the garbage collector at what is new.
UNTIDY = 1 << 20
#: Start of a topic, for a partition that has no checkpoint yet (librdkafka OFFSET_BEGINNING).
BEGINNING = -2
EXIT_FAILED = 70


class Outgoing(NamedTuple):
    """A record to produce."""

    topic: str
    value: bytes
    partition: int | None = None
    key: bytes | None = None
    headers: dict[str, str] | None = None


@dataclass(slots=True)
class Output:
    """What a task makes of a batch: records to produce, or rows for the sinks.

    `counts` gives the ledger counts that depend on what turned out to be new in the
    system of record; they are saved in the same transaction, then added to `ledger`,
    the task's own.
    """

    records: list[Outgoing] = field(default_factory=list)
    rows: Rows | None = None
    counts: Callable[[Written], Ledger] | None = None
    ledger: Ledger = field(default_factory=Ledger)


class Task(ABC):
    """The work and the state of one stage on one partition."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    def evictions(self) -> dict[str, int]:
        """Return how much state was dropped at its bounds since the start, by what."""
        return {}

    @abstractmethod
    def process(self, batch: RecordBatch) -> Output:
        """Handle a batch; must not raise for any content, bad input becomes dead letters."""

    def waiting(self) -> bool:
        """Return whether something is held back that `flush` would let go."""
        return False

    def flush(self, next_offset: int) -> Output:
        """Let go what is held back, because nothing came for `QUIET_S` after `next_offset`."""
        return Output()

    def snapshot(self) -> bytes:
        """Return the state, for `restore`."""
        return b""

    def restore(self, state: bytes) -> None:  # noqa: B027 - a task without state needs neither
        """Take up what `snapshot` returned."""


class Stage(ABC):
    """One stage: which topics it reads and the task it runs on each partition."""

    name: ClassVar[str]

    @abstractmethod
    def topics(self) -> list[str]:
        """Return the topics it reads."""

    @abstractmethod
    def task(self, topic: str, partition: int) -> Task:
        """Return a fresh task for a partition."""

    async def open(self) -> None:  # noqa: B027 - most stages need none of these
        """Get ready, before the first task is asked for."""

    async def beside(self) -> None:  # noqa: B027
        """Keep up to date what tasks share, between batches, until cancelled."""

    async def close(self) -> None:  # noqa: B027
        """Let go of what `open` took."""


class Outlet(Protocol):
    """Where a runner sends what its tasks make."""

    #: Most batches, each of another partition, that are worth having under way together.
    together: int

    async def deliver(self, output: Output, position: Callable[..., Position]) -> bool:
        """Send `output`; return whether the position was saved with it, in one transaction.

        `position(more)` is the place after this batch, with the counts `more` added.
        """

    async def settle(self) -> None:
        """Return once everything delivered so far is safe."""


class Held:
    """A partition this worker owns: its task, where it is, and what is not yet acknowledged."""

    def __init__(self, task: Task, next_offset: int) -> None:
        self.task = task
        self.next_offset = next_offset
        self.saved_offset = next_offset
        self.unacked: list[tuple[int, Any]] = []
        self.touched = time.monotonic()
        self._evicted = task.evictions()
        #: Held while a batch or a flush is under way, so that the two never interleave.
        self.lock = asyncio.Lock()

    def report_evictions(self, stage: str) -> None:
        """Show what state the task dropped since the last look."""
        now = self.task.evictions()
        telemetry.evicted(stage, self._evicted, now)
        self._evicted = now

    @property
    def dirty(self) -> bool:
        """Whether there is anything to checkpoint."""
        return self.next_offset != self.saved_offset

    def acknowledge(self, up_to: int) -> None:
        """Acknowledge the messages that lie before offset `up_to`."""
        while self.unacked and self.unacked[0][0] <= up_to:
            self.unacked.pop(0)[1].ack()


class Runner:
    """Runs one stage on the partitions that Kafka assigns to this worker.

    It is the agent (`run`) and the transport's hooks (`on_assigned`, `on_revoked`,
    `on_lost`) of the stage's Faust app.
    """

    def __init__(self, stage: Stage, store: Store, outlet: Outlet, settings: Settings) -> None:
        self.stage = stage
        self._store = store
        self._outlet = outlet
        self._interval = settings.checkpoint_s
        self._owner = uuid.uuid4()
        self._held: dict[tuple[str, int], Held] = {}
        self._saving = asyncio.Lock()
        #: Work beside the agent: a checkpoint, batches under way together.
        self._beside: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(outlet.together)
        self._saved_at = time.monotonic()
        self._busy_at = time.monotonic()
        self._untidy = 0
        self._ticker: asyncio.Task[None] | None = None
        #: Where a partition ends as far as is known, else -1: for whoever has the consumer to set.
        self.end: Callable[[str, int], int] = lambda topic, partition: -1
        #: Where a partition goes on once all before an offset is done; to be set likewise.
        self.reached: Callable[[str, int, int], int] = lambda topic, partition, done: done

    async def on_assigned(self, tp: Any) -> int:
        """Claim the partition, restore its task and return the offset to start at."""
        saved = await self._store.claim(self.stage.name, tp.topic, tp.partition, self._owner)
        task = self.stage.task(tp.topic, tp.partition)
        if saved is None:
            self._held[tp.topic, tp.partition] = Held(task, BEGINNING)
            return BEGINNING
        task.ledger.load(saved.ledger.get("rows", ()))
        if saved.state:
            task.restore(saved.state)
        held = Held(task, saved.next_offset)
        self._held[tp.topic, tp.partition] = held
        if saved.ledger.get("flush"):
            # The last owner was about to let go what it held back: make the same outputs again.
            await self._flush(tp.topic, tp.partition, held)
        return saved.next_offset

    async def on_revoked(self, tps: Iterable[Any]) -> None:
        """Checkpoint and acknowledge what is done, then forget the partitions."""
        keys = [(tp.topic, tp.partition) for tp in tps]
        try:
            await self.checkpoint(keys)
        finally:  # given up in time or not, they are another's now
            for key in keys:
                self._held.pop(key, None)

    async def on_lost(self, tps: Iterable[Any]) -> None:
        """Forget partitions that another worker has already; its claim fences this one."""
        for tp in tps:
            self._held.pop((tp.topic, tp.partition), None)

    async def run(self, stream: Any) -> None:
        """Handle every batch of the stream: the Faust agent."""
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick())
        async for event in _events(stream):
            if self._outlet.together == 1:
                await self._guard(self._handle(event))
            else:
                await self._room.acquire()
                self._start(self._handle(event)).add_done_callback(lambda _: self._room.release())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` beside the agent."""
        task = asyncio.create_task(self._guard(work))
        self._beside.add(task)  # asyncio itself would let go of it
        task.add_done_callback(self._beside.discard)
        return task

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`; end the process if it fails."""
        try:
            await work
        except FencedError as error:
            self._die("fenced", error)
        except Exception as error:  # noqa: BLE001 - the boundary: restart from the checkpoint
            self._die("failed", error)

    async def _handle(self, event: Any) -> None:
        """Process one batch and deliver what comes of it."""
        try:
            await self._process(event)
        finally:
            event.value.done()

    async def _process(self, event: Any) -> None:
        batch: RecordBatch = event.value
        key = (batch.topic, batch.partition)
        held = self._held.get(key)
        if held is None or batch.last < held.next_offset:
            return  # revoked meanwhile, or delivered twice: its owner has it
        async with held.lock:
            if self._held.get(key) is not held:
                return  # revoked while it waited
            started = time.perf_counter()
            with log.bound(
                stage=self.stage.name, topic=key[0], partition=key[1], offset=batch.first
            ):
                output = held.task.process(batch)
            records = len(batch)
            batch.drop()  # it waits for the checkpoint, its records need not
            self._tidy(batch.size)
            held.report_evictions(self.stage.name)
            held.next_offset = batch.last + 1
            held.touched = self._busy_at = time.monotonic()
            held.unacked.append((batch.last + 1, event))
            telemetry.batch(self.stage.name, records, time.perf_counter() - started)
            saved = await self._outlet.deliver(output, partial(self._position, key, held))
            if saved:
                held.saved_offset = batch.last + 1
                held.acknowledge(held.saved_offset)
        if not saved and time.monotonic() - self._saved_at >= self._interval:
            self._saved_at = time.monotonic()
            # Beside, for batches need not wait for it; one that takes long delays the next.
            if not self._saving.locked():
                self._start(self.checkpoint())

    def _tidy(self, size: int) -> None:
        """Free the reference cycles of what was handled, before the next is: they hold it whole."""
        self._untidy += size
        if self._untidy >= UNTIDY:
            gc.collect(0)  # looks at what is new since the last time, 0.1 ms after a batch
            self._untidy = 0

    def _position(
        self, key: tuple[str, int], held: Held, more: Ledger | None = None, *, flush: bool = False
    ) -> Position:
        """Return state, ledger and offset of a partition as they are now."""
        rows = held.task.ledger.dump() + (more.dump() if more else [])
        ledger: dict[str, Any] = {"rows": rows}
        if flush:
            ledger["flush"] = True
        state = held.task.snapshot()
        return Position(self.stage.name, *key, self._owner, held.next_offset, ledger, state)

    async def checkpoint(self, keys: Sequence[tuple[str, int]] | None = None) -> None:
        """Save state and offset of the partitions that moved, then acknowledge.

        A partition's state is taken between two batches, so that it belongs to its offset
        and all that it stands for has been delivered; it is saved only once that is safe.
        """
        async with self._saving:
            taken: list[tuple[Held, Position]] = []
            for key, held in list(self._held.items()):
                if (keys is None or key in keys) and (held.dirty or held.lock.locked()):
                    await asyncio.sleep(0)  # a state may be large: let batches go between two
                    async with held.lock:
                        if held.dirty:
                            taken.append((held, self._position(key, held)))
            self._saved_at = time.monotonic()
            if not taken:
                return
            started = time.perf_counter()
            await self._outlet.settle()
            await self._store.save_many([position for _, position in taken])
            metrics.CHECKPOINT_SECONDS.labels(self.stage.name).observe(
                time.perf_counter() - started
            )
            for held, position in taken:
                held.saved_offset = position.next_offset
                held.acknowledge(position.next_offset)

    async def _tick(self) -> None:
        """Checkpoint when idle, and let go what a quiet partition holds back."""
        while True:
            await asyncio.sleep(IDLE_S / 2)
            now = time.monotonic()
            if now - self._busy_at >= IDLE_S and now - self._saved_at >= IDLE_GAP_S:
                self._pass_markers()
                await self._guard(self.checkpoint())
            for (topic, partition), held in list(self._held.items()):
                if self._quiet(topic, partition, held, now):
                    await self._guard(self._flush(topic, partition, held))

    def _pass_markers(self) -> None:
        """Go on to the end of partitions that have no more records, only what no reader sees.

        Or the marker of a transaction would count as a record not yet handled, for ever.
        """
        for (topic, partition), held in self._held.items():
            if not held.lock.locked():
                held.next_offset = self.reached(topic, partition, held.next_offset)

    def _quiet(self, topic: str, partition: int, held: Held, now: float) -> bool:
        """Return whether a partition holds something back that nothing will complete.

        That nothing was handled lately is not enough: after an outage of a store, or in a
        replay, what completes it may be next.
        """
        since = now - held.touched
        if since < QUIET_S or not held.task.waiting():
            return False
        return since >= QUIET_MOST_S or held.next_offset >= self.end(topic, partition)

    async def _flush(self, topic: str, partition: int, held: Held) -> None:
        """Let go what is held back; first save that it will be, so a replay does the same."""
        key = (topic, partition)
        async with self._saving, held.lock:
            if self._held.get(key) is not held:
                return  # revoked while it waited
            note = self._position(key, held, flush=True)
            await self._outlet.settle()
            await self._store.save_many([note])
            output = held.task.flush(held.next_offset)
            held.touched = time.monotonic()
            await self._outlet.deliver(output, partial(self._position, key, held))
            await self._outlet.settle()
            await self._store.save_many([self._position(key, held)])
            held.saved_offset = held.next_offset
            held.acknowledge(held.saved_offset)

    def _die(self, action: str, error: Exception) -> None:
        """End the process; the supervisor starts it again from the last checkpoint."""
        LOG.error(
            "restarts from its checkpoint", action=action, stage=self.stage.name, exc_info=error
        )
        os._exit(EXIT_FAILED)


async def _events(stream: Any) -> AsyncIterator[Any]:
    """Return the stream's messages without Faust's own acknowledgement."""
    async for event in stream.noack().events():
        yield event
