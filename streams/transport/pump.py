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
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException, Message, TopicPartition

from sentinel import log
from streams.transport.batch import Limits, RecordBatch, by_partition, columns
from streams.transport.member import BROKER_S, Member, Owner
from streams.transport.offsets import Lease, OffsetLedger, Partition
from streams.transport.sift import sift

LOG = log.get("streams.transport")

POLL_S = 0.1
"""Longest wait for a first record, hence the longest delay of a command on an idle topic."""
STALL_S = 0.25
"""A stop longer than this pauses the partitions."""
WATERMARK_S = 0.5


class Pump(Member):
    """The thread that owns the consumer, made by `config` (librdkafka), until `close`."""

    def __init__(
        self,
        config: Mapping[str, Any],
        ledger: OffsetLedger,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
    ) -> None:
        super().__init__(config, ledger, owner, loop, limits)
        self.finished: Future[None] = Future()
        self._stalled_at = 0.0
        self._watermarks_at = 0.0
        self._mean_bytes = 1024.0
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
            self._open()
            while not self._closing:
                try:
                    self._step()
                except KafkaException as error:
                    self._recover(error)
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
            self._look(bool(self._stalled_at))

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
