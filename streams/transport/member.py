"""A member of a consumer group: its rebalances, and a new consumer where one is of no more use.

Everything here runs on the one thread that owns the consumer, see `streams.transport.pump`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from sentinel import log
from streams.transport.batch import Limits, RecordBatch
from streams.transport.commands import Commands
from streams.transport.commits import Commits
from streams.transport.offsets import OffsetLedger, Partition

T = TypeVar("T")

LOG = log.get("streams.transport")

BROKER_S = 5.0
"""Longest wait for the broker in a rebalance and at the end."""
GHOST_S = 60.0
"""A member that fell out this lately and is fenced is fenced by itself: while the broker did not
answer, it asked more than once to be let in again, and each asking by its name fences the one
before. Fenced out of the blue, another worker has its name, and the older gives way."""
DEAF_S = 10.0
"""A partition that had records all this time, of which none came, is not being read."""
REJOIN_S = 20.0
"""A member that fell out and is not let in again for this long asks anew."""


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


class Member(threading.Thread):
    """One member, made by `config` (librdkafka); the base of `Pump`, which reads."""

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
        self.paused = False
        self._config = dict(config)
        self._ledger = ledger
        self._owner = owner
        self._loop = loop
        self._limits = limits
        strategy = str(config.get("partition.assignment.strategy", ""))
        # KIP-848 ("consumer") and cooperative assignors add and remove, others replace.
        self._incremental = config.get("group.protocol") == "consumer" or "cooperative" in strategy
        self._commands = Commands()
        self._commits = Commits(ledger)
        self._topics: list[str] = []
        self._closing = False
        self._halted = False
        self._in_callback = False
        self._fresh: list[TopicPartition] = []
        #: When it fell out of the group last, and since when it is out, if it is.
        self._lost_at = -GHOST_S
        self._out_since: float | None = None
        self._looked_at = 0.0
        #: Partitions with unread records at the last look: how far they were read then.
        self._unread: dict[Partition, int] = {}

    def _open(self) -> None:
        """Make a consumer and join the group."""
        self._consumer = Consumer({**self._config, "on_commit": self._commits.on_commit})
        self._consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _renew(self, reason: str) -> None:
        """Put a new consumer in the place of this one, which has lost all it owned."""
        LOG.warning("a new consumer takes over", action="renew", reason=reason)
        old, tps = self._consumer, [lease.tp for lease in self._ledger.owned()]
        for tp in tps:
            self._ledger.end(tp)
        if tps:
            self._await(self._owner.on_pump_lost(tps), self._limits.revoke_s)
        self._commits.abandon()
        self._commits = Commits(self._ledger)
        self.highwaters.clear()
        self._unread.clear()
        self._fresh, self.paused = [], False
        self._out_since = time.monotonic()
        self._open()
        # Only now, since closing calls back, on its thread, and what it calls asks whether it is
        # still the one. Not waited for: what does not read may not close either.
        threading.Thread(target=old.close, name=f"{self.name}-old", daemon=True).start()

    def _recover(self, error: KafkaException) -> None:
        """Go on after a fatal error if that can be; raise it if not."""
        code = error.args[0].code()
        fenced = code in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
        if not fenced or time.monotonic() - self._lost_at >= GHOST_S:
            raise error
        self._renew(f"fenced by itself: {error.args[0].str()}")

    # -- whether it still reads --------------------------------------------------------------

    def _look(self, stalled: bool) -> None:
        """Every `DEAF_S`, compare what the broker has with what was read; renew where need be."""
        now = time.monotonic()
        if self._halted:
            return
        if self._out_since is not None and now - self._out_since >= REJOIN_S:
            self._renew("not let into the group again")
        if now - self._looked_at < DEAF_S:
            if stalled:
                self._unread.clear()  # it is the agent that does not take what is there
            return
        self._looked_at = now
        leases = {lease.tp: lease for lease in self._ledger.owned() if lease.open}
        read = {
            tp: max(lease.read + 1, lease.reached, lease.start or 0) for tp, lease in leases.items()
        }
        if any(read.get(tp) == was for tp, was in self._unread.items()):
            self._renew("partitions have records and none comes")
            return
        self._unread = {} if stalled else self._behind(read)

    def _behind(self, read: Mapping[Partition, int]) -> dict[Partition, int]:
        """Return the entries of `read` beyond which the broker has records."""
        if not read:
            return {}
        ends = [TopicPartition(*tp, OFFSET_END) for tp in read]
        try:
            found = self._consumer.offsets_for_times(ends, timeout=BROKER_S)
        except KafkaException:  # no broker, nothing to compare with
            return {}
        places = {(end.topic, end.partition): end.offset for end in found if end.error is None}
        return {tp: at for tp, at in read.items() if places.get(tp, -1) > at}

    # -- rebalance, called by librdkafka from poll, consume and close ----------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        tps = [(partition.topic, partition.partition) for partition in partitions]
        if consumer is not self._consumer:
            return  # one whose place another has taken, on its way out
        LOG.info("partitions assigned", action="assign", partitions=tps)
        self._out_since = None
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
        if consumer is not self._consumer:
            return
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
        if consumer is not self._consumer:
            return
        LOG.warning("partitions lost, this member was out", action="lose", partitions=tps)
        self._lost_at = self._out_since = time.monotonic()
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
