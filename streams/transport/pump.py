"""The thread that owns the librdkafka consumer.

One `Pump` thread makes every call on the consumer: confluent-kafka holds the interpreter
lock while some calls wait for librdkafka, so that a ``pause()`` from the event loop can
deadlock with a rebalance callback (observed). The event loop talks to the pump through a
command queue, the pump to the loop through `Owner`. It polls from subscription to close,
whatever the agent does, which keeps the group membership alive and serves rebalances.

Back-pressure: the pump stops reading once `Limits.queued_batches` or `Limits.queued_bytes`
wait for the agent. A short stop just leaves the records in librdkafka; a longer one pauses
the partitions (which drops what librdkafka has prefetched), so that polling may go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from sentinel import log
from streams.transport.batch import Limits, RecordBatch, by_partition, columns
from streams.transport.commands import Commands
from streams.transport.commits import Commits
from streams.transport.offsets import Lease, OffsetLedger, Partition
from streams.transport.sift import sift

T = TypeVar("T")

LOG = log.get("streams.transport")

POLL_S = 0.1
"""Longest wait for a first record, hence the longest delay of a command on an idle topic."""
STALL_S = 0.25
"""A stop longer than this pauses the partitions."""
WATERMARK_S = 0.5
BROKER_S = 5.0
"""Longest wait for the broker in a rebalance and at the end."""


class Owner(Protocol):
    """What the pump needs of the Faust side. All are called on the event loop."""

    async def on_pump_assigned(self, tps: list[Partition]) -> Mapping[Partition, int]:
        """Prepare for partitions; return offsets to start at, where not the committed ones."""

    async def on_pump_revoked(self, tps: list[Partition]) -> None:
        """Let the agent finish with partitions that are about to be given up."""

    async def on_pump_lost(self, tps: list[Partition]) -> None:
        """Forget partitions that another member may own already."""

    def on_pump_batches(self, batches: list[RecordBatch]) -> None:
        """Take batches, in order."""

    def on_pump_failed(self, error: BaseException) -> None:
        """Handle the end of the pump by an error."""


class Pump(threading.Thread):
    """The thread that owns the consumer, made by `config` (librdkafka), until `close`."""

    def __init__(
        self,
        config: Mapping[str, Any],
        ledger: OffsetLedger,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
    ) -> None:
        super().__init__(name=f"pump-{config['group.id']}", daemon=True)
        self.highwaters: dict[Partition, int] = {}
        self.finished: Future[None] = Future()
        self._config = dict(config)
        self._ledger = ledger
        self._owner = owner
        self._loop = loop
        self._limits = limits
        strategy = str(config.get("partition.assignment.strategy", ""))
        # KIP-848 ("consumer") and cooperative assignors add and remove, others replace.
        self._incremental = config.get("group.protocol") == "consumer" or "cooperative" in strategy
        self._commands = Commands()
        self._topics: list[str] = []
        self._closing = False
        self._halted = False
        self._in_callback = False
        self.paused = False
        self._fresh: list[TopicPartition] = []
        self._stalled_at = 0.0
        self._watermarks_at = 0.0
        self._mean_bytes = 1024.0
        self._commits = Commits(ledger)
        # Written by one thread each, so that no lock is needed: pump, event loop.
        self._sent_batches = self._sent_bytes = self._done_batches = self._done_bytes = 0

    # -- called from the event loop ------------------------------------------------------

    def subscribe(self, topics: list[str]) -> None:
        """Subscribe and start polling."""
        self._topics = topics
        self.start()

    @property
    def queued_bytes(self) -> int:
        """Bytes of the batches that wait for the agent."""
        return self._sent_bytes - self._done_bytes

    def done(self, batch: RecordBatch) -> None:
        """Note that `batch` no longer waits: the agent has it, or it was dropped."""
        self._done_batches += 1
        self._done_bytes += batch.size
        if self._stalled_at:
            self._commands.wake()

    def halt(self) -> None:
        """Read no more records; go on serving commands."""
        self._halted = True
        self._commands.wake()

    def close(self) -> None:
        """Commit what is acknowledged, leave the group and end; see `finished`."""
        self._halted = self._closing = True
        self._commands.wake()

    def commit(self) -> Future[bool]:
        """Commit the acknowledged prefix of all partitions; the result says whether it was."""

        def work(future: Future[bool]) -> None:
            if self._in_callback:  # poll, which would bring the result, is not re-entrant
                future.set_result(self._commits.now(self._consumer))
            else:
                self._commits.start(self._consumer, future)

        return self._commands.answer(work)

    def seek(self, tp: Partition, offset: int) -> Future[None]:
        """Go on at `offset`; batches read before are dropped, their acknowledgements ignored."""

        def work() -> None:
            if self._ledger.get(tp) is None:
                return
            self._hold_back([TopicPartition(*tp)])
            # Before the lease changes: were the seek refused, the old one goes on without a hole.
            self._consumer.seek(TopicPartition(*tp, offset))
            self._ledger.open(tp, offset if offset >= 0 else None)

        return self._commands.call(work)

    # -- the thread ------------------------------------------------------------------------

    def run(self) -> None:
        """Poll until closed; an error ends the process through the owner."""
        try:
            self._consumer = Consumer({**self._config, "on_commit": self._commits.on_commit})
            self._consumer.subscribe(
                self._topics,
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            while not self._closing:
                self._step()
            self._shut_down()
        except BaseException as error:  # noqa: BLE001 - a thread's last words, passed on whole
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody left to tell
                self._loop.call_soon_threadsafe(self._owner.on_pump_failed, error)
        finally:
            self.finished.set_result(None)
            self._commits.abandon()
            self._commands.close()

    def _step(self) -> None:
        """Run commands, then read once or wait for room."""
        self._commands.run_all()
        if self._closing:
            return
        if self._room():
            self._stalled_at = 0.0
            if self.paused or self._fresh:
                self._consumer.resume(self._partitions() if self.paused else self._fresh)
                self.paused = False
                self._fresh = []
            self._read()
        else:
            self._wait_for_room()
        if time.monotonic() - self._watermarks_at >= WATERMARK_S:
            self._watch()

    def _room(self) -> bool:
        # Once stalled, half must drain before reading goes on.
        share = 0.5 if self._stalled_at else 1.0
        return (
            not self._halted
            and self._sent_batches - self._done_batches < share * self._limits.queued_batches
            and self.queued_bytes < share * self._limits.queued_bytes
        )

    def _wait_for_room(self) -> None:
        now = time.monotonic()
        self._stalled_at = self._stalled_at or now
        if now - self._stalled_at >= STALL_S:
            if not self.paused:
                self._consumer.pause(self._partitions())
                self.paused = True
            # Serves rebalances and counts as a sign of life; a record is not expected here,
            # but one that got past the pause must not be lost.
            held = self._held()
            if (message := self._consumer.poll(0)) is not None:
                self._deliver([message], held)
        if not self._room():
            self._commands.run_one(POLL_S / 2)

    def _read(self) -> None:
        """Wait for a first record, then take what else is there, without waiting for more."""
        held = self._held()
        first = self._consumer.poll(POLL_S)
        if first is None:
            return
        count = min(self._limits.batch_records, int(self._limits.batch_bytes / self._mean_bytes))
        messages = [first]
        if count > 1:
            messages += self._consumer.consume(count - 1, 0)
        self._deliver(messages, held)

    def _held(self) -> dict[Partition, Lease]:
        return {lease.tp: lease for lease in self._ledger.owned()}

    def _deliver(self, messages: list[Message], held: Mapping[Partition, Lease]) -> None:
        """Hand over what was read under the leases `held`, those from before the read.

        A rebalance in the midst of a read may have ended some of them, even begun others for
        the same partitions. Partitions are paused when they come, so that nothing of a new
        lease is read before the next read: what is here of an ended one is dropped.
        """
        ends: dict[Partition, int] = {}
        messages = sift(messages, ends.__setitem__)
        if messages:
            self._hand_over(messages, held)
        for tp, end in ends.items():  # only now that the records before it are handed over
            if (lease := held.get(tp)) is not None:
                lease.reached = end

    def _hand_over(self, messages: list[Message], held: Mapping[Partition, Lease]) -> None:
        batches: list[RecordBatch] = []
        for tp, group in by_partition(messages):
            if (lease := held.get(tp)) is not None and lease.open:
                batch = columns(lease, group)
                if lease.start is not None and lease.start < batch.first and not lease.started:
                    self._report_loss(lease, lease.start, batch.first)
                lease.started = True
                lease.read = batch.last
                batches += batch.split(self._limits)
        size = sum(batch.size for batch in batches)
        self._mean_bytes = 0.8 * self._mean_bytes + 0.2 * max(1.0, size / len(messages))
        self._sent_batches += len(batches)
        self._sent_bytes += size
        self._loop.call_soon_threadsafe(self._owner.on_pump_batches, batches)

    def _report_loss(self, lease: Lease, wanted: int, found: int) -> None:
        """Say so if retention deleted records before they were read; not so for mere holes."""
        ends = self._consumer.get_watermark_offsets(TopicPartition(*lease.tp), timeout=BROKER_S)
        if ends is not None and wanted < ends[0]:
            LOG.error(
                "records were deleted before they were read: raise the topic's retention",
                action="records_lost", topic=lease.tp[0], partition=lease.tp[1],
                first=wanted, last=found - 1,
            )  # fmt: skip

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(*lease.tp) for lease in self._ledger.owned()]

    def _watch(self) -> None:
        """Note the end of every owned partition, as of the last fetch; asks no broker."""
        self._watermarks_at = time.monotonic()
        for lease in self._ledger.owned():
            with contextlib.suppress(KafkaException):
                found = self._consumer.get_watermark_offsets(TopicPartition(*lease.tp), cached=True)
                if found is not None and found[1] >= 0:
                    self.highwaters[lease.tp] = found[1]

    # -- rebalance, called by librdkafka from poll, consume and close ----------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        tps = [(partition.topic, partition.partition) for partition in partitions]
        LOG.info("partitions assigned", action="assign", partitions=tps)
        starts: Mapping[Partition, int] = {}
        if tps and not self._halted:
            starts = self._await(self._owner.on_pump_assigned(tps), self._limits.assign_s)
        committed = self._stored([tp for tp in tps if tp not in starts])
        for partition, tp in zip(partitions, tps, strict=True):
            if tp in starts:
                partition.offset = starts[tp]
            start = starts.get(tp, committed.get(tp, -1))
            self._ledger.open(tp, start if start >= 0 else None)
        if self._incremental:
            consumer.incremental_assign(partitions)
        else:
            consumer.assign(partitions)
        self._hold_back([TopicPartition(*tp) for tp in tps])

    def _hold_back(self, partitions: list[TopicPartition]) -> None:
        """Keep records of partitions that start anew out of the present read; see `_deliver`."""
        if partitions:
            self._consumer.pause(partitions)
            self._fresh += partitions

    def _stored(self, tps: list[Partition]) -> dict[Partition, int]:
        """Return the committed offsets, for the lag until the first acknowledgement."""
        if not tps:
            return {}
        try:
            found = self._consumer.committed([TopicPartition(*tp) for tp in tps], timeout=BROKER_S)
        except KafkaException as error:
            LOG.warning(
                "cannot read committed offsets, the lag is unknown for now",
                action="assign",
                error=str(error),
            )
            return {}
        return {(f.topic, f.partition): f.offset for f in found if f.offset >= 0}

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        tps = [(partition.topic, partition.partition) for partition in partitions]
        LOG.info("partitions revoked", action="revoke", partitions=tps)
        for tp in tps:
            self._ledger.shut(tp)
        if tps and not self._closing:  # on closing, the owner has already seen to it
            try:
                self._await(self._owner.on_pump_revoked(tps), self._limits.revoke_s)
            except TimeoutError:
                LOG.warning(
                    "gave up partitions with work in flight, it will be delivered again",
                    action="revoke",
                    partitions=tps,
                )
            self._commits.now(consumer, tps)
        self._drop(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        tps = [(partition.topic, partition.partition) for partition in partitions]
        LOG.warning("partitions lost, this member was out", action="lose", partitions=tps)
        for tp in tps:
            self._ledger.end(tp)
        if not self._closing:
            self._await(self._owner.on_pump_lost(tps), self._limits.revoke_s)
        self._drop(consumer, partitions)

    def _drop(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {(partition.topic, partition.partition) for partition in partitions}
        for tp in gone:
            self._ledger.end(tp)
            self.highwaters.pop(tp, None)
        self._fresh = [f for f in self._fresh if (f.topic, f.partition) not in gone]
        if self._incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()

    def _await(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Run `work` on the event loop and serve commands until it is done.

        Raises
        ------
        TimeoutError
            It took longer than `limit_s`; it is cancelled.
        """
        deadline = time.monotonic() + limit_s
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda _: self._commands.wake())
        self._in_callback = True
        try:
            while not future.done():
                left = deadline - time.monotonic()
                if left <= 0:
                    future.cancel()
                    raise TimeoutError(f"hooks took longer than {limit_s:.0f} s")
                self._commands.run_one(left)
            return future.result()
        finally:
            self._in_callback = False

    def _shut_down(self) -> None:
        """Commit with a time limit, then leave the group."""
        last: Future[bool] = Future()
        deadline = time.monotonic() + BROKER_S
        while self._commits.under_way and time.monotonic() < deadline:
            self._consumer.poll(POLL_S)
        self._commits.start(self._consumer, last)
        while not last.done() and time.monotonic() < deadline:
            self._consumer.poll(POLL_S)
        self._consumer.close()
