"""Committing: from the ledger to the broker. Used by the pump's thread alone."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sentinel import log
from streams.transport.offsets import Lease, OffsetLedger, Partition

LOG = log.get("streams.transport")


class Commits:
    """Commits of one consumer: one under way at a time; what fails is tried again.

    The ledger is asked at the moment of the commit, on the thread that also begins and ends
    leases. An offset computed on the event loop a moment earlier could belong to a lease that
    has ended, and the broker would not refuse it.
    """

    def __init__(self, ledger: OffsetLedger) -> None:
        self._ledger = ledger
        self._waiting: tuple[Future[bool], dict[Partition, tuple[Lease, int]]] | None = None

    @property
    def under_way(self) -> bool:
        """Whether an asynchronous commit has not been answered yet."""
        return self._waiting is not None

    def start(self, consumer: Consumer, future: Future[bool]) -> None:
        """Commit asynchronously; `future` says whether anything was, once poll has the answer."""
        wanted = self._wanted()
        if not wanted or self._waiting is not None:
            future.set_result(False)
            return
        self._waiting = future, wanted
        consumer.commit(offsets=_as_offsets(wanted), asynchronous=True)

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the answer to `start`: librdkafka's callback, called from poll."""
        if self._waiting is None:
            return
        (future, wanted), self._waiting = self._waiting, None
        for partition in partitions:
            problem = error or partition.error
            if problem is not None:
                LOG.warning(
                    "a commit failed, it will be repeated",
                    action="commit",
                    topic=partition.topic,
                    partition=partition.partition,
                    error=str(problem),
                )
            elif entry := wanted.get((partition.topic, partition.partition)):
                self._ledger.committed(*entry)
        future.set_result(error is None)

    def abandon(self) -> None:
        """Answer the commit under way, if any, with False: the consumer is closed."""
        if self._waiting is not None:
            (future, _), self._waiting = self._waiting, None
            future.set_result(False)

    def now(self, consumer: Consumer, tps: Collection[Partition] | None = None) -> bool:
        """Commit `tps`, or all, and wait: for rebalance callbacks, where poll is forbidden."""
        wanted = {tp: e for tp, e in self._wanted().items() if tps is None or tp in tps}
        if not wanted:
            return False
        try:
            stored = consumer.commit(offsets=_as_offsets(wanted), asynchronous=False)
        except KafkaException as error:
            LOG.warning(
                "a commit failed, its records will be delivered again",
                action="commit",
                error=str(error),
            )
            return False
        for partition in stored:
            if partition.error is None:
                self._ledger.committed(*wanted[partition.topic, partition.partition])
        return True

    def _wanted(self) -> dict[Partition, tuple[Lease, int]]:
        return {
            lease.tp: (lease, offset)
            for lease in self._ledger.owned()
            if (offset := self._ledger.committable(lease.tp)) is not None
        }


def _as_offsets(wanted: dict[Partition, tuple[Lease, int]]) -> list[TopicPartition]:
    return [TopicPartition(*tp, offset) for tp, (_, offset) in wanted.items()]
