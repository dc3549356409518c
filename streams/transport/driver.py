"""The Faust side of ``rdk://``: conductor, consumer, transport."""

from __future__ import annotations

import asyncio
from asyncio import wrap_future
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Protocol, cast

from confluent_kafka import KafkaException, libversion
from faust.exceptions import Skip
from faust.transport import base
from faust.types import TP, ConsumerMessage, Message, RecordMetadata
from faust.types.tuples import ack_lock
from mode import Service
from mode.utils.futures import notify

from sentinel import log
from streams.transport.batch import Limits, RecordBatch
from streams.transport.inbox import Inbox
from streams.transport.offsets import Lease, OffsetLedger, Partition
from streams.transport.pump import Pump

LOG = log.get("streams.transport")
LEAVE_S = 3.5
"""Longest wait for the pump to commit and leave the group at the end."""


class Hooks(Protocol):
    """What a stage does when partitions come and go. Errors end the process."""

    async def on_assigned(self, tp: TP) -> int | None:
        """Prepare for `tp` before any record of it is delivered.

        Returns
        -------
        int or None
            Offset at which to start; -2 is the beginning of the topic (librdkafka's
            OFFSET_BEGINNING); None starts at the committed offset.
        """

    async def on_revoked(self, tps: frozenset[TP]) -> None:
        """Finish with `tps`: checkpoint and acknowledge. Has `Limits.revoke_s`."""

    async def on_lost(self, tps: frozenset[TP]) -> None:
        """Forget `tps` without writing anything: another member may own them already."""


class BatchApp(Protocol):
    """What this transport needs of the app, beyond Faust's: `streams.app.StageApp`."""

    consumer_config: Mapping[str, Any]
    hooks: Hooks | None
    limits: Limits
    in_turn: bool

    def fail(self, error: BaseException) -> None:
        """End the process with status 70."""


class Conductor(base.Conductor):
    """Faust's conductor with a fixed set of topics and no implicit acknowledgement."""

    @Service.task
    async def _subscriber(self) -> None:
        await self.app.agents.wait_until_agents_started()
        if not self.should_stop:
            await self.app.consumer.subscribe(await self._update_indices())
            notify(self._subscription_done)

    def acks_enabled_for(self, topic: str) -> bool:
        """Return False: streams must not acknowledge by themselves (the Cython path asks)."""
        return False


class Consumer(base.Consumer):
    """The Faust side of the consumer: hands batches to the conductor, keeps the ledger."""

    _pump: Pump | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch_app = cast(BatchApp, self.app)
        self.ledger = OffsetLedger()
        self._inbox = Inbox(self.batch_app.limits)
        #: Whether no batch is on its way through Faust: one at a time, so that the agent finds
        #: all others in the inbox, to be merged.
        self._way_free = asyncio.Event()
        self._way_free.set()
        self._acked_some = asyncio.Event()

    # -- from the conductor: subscribe, deliver -------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group and start polling."""
        app = self.batch_app
        self._pump = Pump(app.consumer_config, self.ledger, self, self.loop, app.limits)
        self._pump.subscribe(sorted(topics))

    @Service.task
    async def _delivery(self) -> None:
        """Pass batches to the conductor, in order, no faster than the agent takes them."""
        while not self.should_stop:
            await self._way_free.wait()
            batch = await self._inbox.get()
            if batch.lease.open:
                self._way_free.clear()
                await self.callback(self._to_message(TP(*batch.lease.tp), batch))
            else:
                self._finished_waiting(batch)

    def take(self, batch: RecordBatch) -> RecordBatch:
        """Stream processor: enter the batch in the ledger at the moment the agent gets it.

        What waits behind it of the same lease becomes part of it, as far as `Limits` go.

        Raises
        ------
        faust.exceptions.Skip
            The partition was given up while the batch waited; the agent does not see it.
        """
        self._way_free.set()
        self._finished_waiting(batch)
        rest = self._inbox.rest(batch)
        for each in rest:
            self._finished_waiting(each)
        batch.append(rest)
        if not self.ledger.take(batch.lease, batch.first, batch.last):
            raise Skip
        if self.batch_app.in_turn:
            self._inbox.hold_back(batch.lease)
            batch.done = partial(self._inbox.let_go, batch.lease)
        return batch

    def _finished_waiting(self, batch: RecordBatch) -> None:
        if self._pump is not None:
            self._pump.done(batch)

    def _to_message(self, tp: TP, record: RecordBatch) -> ConsumerMessage:
        return ConsumerMessage(
            topic=record.topic,
            partition=record.partition,
            offset=record.first,
            timestamp=record.timestamps[0] / 1000,
            timestamp_type=1,
            headers=None,
            key=None,
            value=cast(bytes, record),  # the raw codec passes it through untouched
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    # -- acknowledge and commit -----------------------------------------------------------

    def ack(self, message: Message) -> bool:
        """Acknowledge a batch; False where its partition has been given up since."""
        batch = cast(RecordBatch, message.value)
        with ack_lock:
            message.acked = True
            self._unacked_messages.discard(message)
        counted = self.ledger.ack(batch.lease, batch.first)
        # Acknowledging from another thread is allowed, waking the loop from there needs this.
        self.loop.call_soon_threadsafe(self._acked_some.set)
        return counted

    def _new_offset(self, tp: TP) -> int | None:
        return self.ledger.committable(tp)

    async def force_commit(self, topics: object = None, start_new_transaction: bool = True) -> bool:
        """Commit the acknowledged prefix of every partition; True when the broker has it."""
        if self._pump is None or not any(
            self._new_offset(TP(*lease.tp)) is not None for lease in self.ledger.owned()
        ):
            return False
        return await self._commit({})

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # The pump asks the ledger again, for the leases may change until it gets there.
        try:
            return self._pump is not None and await wrap_future(self._pump.commit())
        except (RuntimeError, KafkaException):  # closed or fenced meanwhile: what is not
            return False  # committed is delivered again

    async def on_task_error(self, exc: BaseException) -> None:
        """Do nothing: an agent that raised ends the process, with nothing more committed."""

    @Service.task
    async def _commit_handler(self) -> None:
        """Commit now and then; Faust's own timer complains of a broker that takes its time."""
        while not self.should_stop:
            await self.sleep(self.commit_interval)
            await self.commit()

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Do nothing: Faust would look at every partition for nothing."""

    # -- from the pump: Owner -------------------------------------------------------------

    def on_pump_batches(self, batches: list[RecordBatch]) -> None:
        """Queue batches for delivery."""
        for batch in batches:
            self._inbox.put(batch)

    async def on_pump_assigned(self, tps: list[Partition]) -> Mapping[Partition, int]:
        """Tell conductor and stage; return the offsets the stage wants to start at."""
        mine = [TP(*tp) for tp in tps]
        await self.app.topics.on_partitions_assigned(self.assignment() | set(mine))
        hooks = self.batch_app.hooks
        if hooks is None:
            return {}
        starts = await asyncio.gather(*(hooks.on_assigned(tp) for tp in mine))
        return {tp: start for tp, start in zip(mine, starts, strict=True) if start is not None}

    async def on_pump_revoked(self, tps: list[Partition]) -> None:
        """Let the stage finish; without hooks, wait until what the agent has is acknowledged."""
        if self.batch_app.hooks is not None:
            await self.batch_app.hooks.on_revoked(frozenset(TP(*tp) for tp in tps))
            return
        while any(lease.pending for lease in map(self.ledger.get, tps) if lease is not None):
            self._acked_some.clear()
            await self._acked_some.wait()

    async def on_pump_lost(self, tps: list[Partition]) -> None:
        """Tell the stage."""
        if self.batch_app.hooks is not None:
            await self.batch_app.hooks.on_lost(frozenset(TP(*tp) for tp in tps))

    def on_pump_failed(self, error: BaseException) -> None:
        """End the process: without its pump the app would hang silently."""
        self.batch_app.fail(error)

    # -- the end ----------------------------------------------------------------------------

    async def leave(self) -> None:
        """Let the stage finish with all partitions, commit, leave the group, end the thread."""
        pump = self._pump
        if pump is None or not pump.is_alive():
            return
        pump.halt()
        tps = [lease.tp for lease in self.ledger.owned()]
        for tp in tps:
            self.ledger.shut(tp)
        try:
            if tps:
                limit = self.batch_app.limits.revoke_s
                await asyncio.wait_for(self.on_pump_revoked(tps), limit)
        except TimeoutError:
            LOG.warning("stopping with work in flight, it will be delivered again", action="stop")
        pump.close()
        try:
            await asyncio.wait_for(asyncio.shield(wrap_future(pump.finished)), LEAVE_S)
        except TimeoutError:
            LOG.warning("the broker did not answer the last commit", action="stop", limit_s=LEAVE_S)

    async def wait_empty(self) -> None:
        """Do nothing: `leave` does the waiting, with a limit."""

    async def on_stop(self) -> None:
        """Leave the group, if the app has not done so already."""
        await self.leave()

    # -- where it stands ----------------------------------------------------------------------

    def assignment(self) -> set[TP]:
        """Return the partitions that are owned."""
        return {TP(*lease.tp) for lease in self.ledger.owned()}

    def highwater(self, tp: TP) -> int:
        """Return the end of `tp` as of the last fetch (at most 0.5 s old), -1 if unknown."""
        return -1 if self._pump is None else self._pump.highwaters.get(tp, -1)

    def reached(self, tp: Partition, done: int) -> int:
        """Return where `tp` goes on for whoever has handled all records before `done`.

        That is `done`, or the end of the partition if no record is left before it.
        """
        lease, first = self.ledger.get(tp), max(0, done)
        if lease is None:
            return done
        reached = lease.reached  # before `read`: the pump sets them the other way round
        return reached if lease.read < first < reached else done

    def lag(self) -> dict[TP, int]:
        """Return the records of every owned partition that are not acknowledged, where known."""
        return {
            TP(*lease.tp): max(0, end - self.reached(lease.tp, lease.position))
            for lease in self.ledger.owned()
            if lease.position is not None and (end := self.highwater(TP(*lease.tp))) >= 0
        }

    @property
    def paused(self) -> bool:
        """Whether reading is paused because the agent is slower."""
        return self._pump is not None and self._pump.paused

    @property
    def queued_bytes(self) -> int:
        """Bytes of the batches that wait for the agent."""
        return 0 if self._pump is None else self._pump.queued_bytes

    async def position(self, tp: TP) -> int | None:
        """Return the offset after the acknowledged prefix of `tp`, None if unknown."""
        lease: Lease | None = self.ledger.get(tp)
        return None if lease is None else lease.position

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go on at the given offsets; what was delivered before no longer counts."""
        for tp, offset in partitions.items():
            await self._seek(tp, offset)

    async def _seek(self, partition: TP, offset: int) -> None:
        if self._pump is not None:
            await wrap_future(self._pump.seek(partition, offset))

    # -- what Faust's interface asks for and this transport does otherwise -----------------

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        raise NotImplementedError("batches are pushed: see Consumer._delivery")

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Do nothing: partitions start where they should from their assignment on."""
        return {}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return `highwater` of each partition."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Fail: only tables need it."""
        raise NotImplementedError("rdk:// has no tables; keep state in checkpoints")

    def topic_partitions(self, topic: str) -> int | None:
        """Return None: unknown, and only tables and the producer need it."""
        return None

    def key_partition(
        self, topic: str, key: bytes | None, partition: int | None = None
    ) -> int | None:
        """Return `partition`: the producer chooses."""
        return partition

    async def create_topic(self, topic: str, partitions: int, replication: int, **_: Any) -> None:
        """Fail: topics are created by ``sentinel topics``, never in passing."""
        raise NotImplementedError(f"create {topic} with `sentinel topics`, not through Faust")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)


class Producer(base.Producer):
    """Faust's producer, absent: stages produce through `sentinel.kafka.Producer`."""

    async def send(self, *args: Any, **kwargs: Any) -> Awaitable[RecordMetadata]:
        """Fail: nothing is produced through Faust."""
        raise NotImplementedError("rdk:// does not produce; use sentinel.kafka.Producer")


class Transport(base.Transport):
    """Entry point of the URL scheme ``rdk``."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
    Conductor: ClassVar[type[Conductor]] = Conductor

    default_port = 9092
    driver_version = f"librdkafka={libversion()[0]}"
