"""Which offset may be committed: the commit logic of the transport, free of Kafka and threads.

The unit is a batch, the records ``first..last`` of one partition. A partition is owned for a
`Lease`, from assignment to revocation or seek. Batches are *taken* in offset order (handed to
the agent) and *acknowledged* in any order; what may be committed is the offset after the
longest run of acknowledged batches counted from the start of the lease, hence never an offset
past a record that is not acknowledged. Offsets need not be contiguous: compaction, aborted
transactions and control records leave holes that no reader ever sees.

An acknowledgement that belongs to an ended lease is ignored: the partition has since been
given away, or rewound, and the record will be or has been delivered again.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

Partition = tuple[str, int]
"""Topic and partition number; `faust.types.TP` is one."""


@dataclass(slots=True)
class _Taken:
    """One batch that the agent has been given."""

    first: int
    last: int
    acked: bool = False


@dataclass(slots=True, eq=False)
class Lease:
    """One tenure of one partition, from assignment to revocation, loss or seek.

    Attributes
    ----------
    tp
        Topic and partition.
    start
        Offset at which consumption starts, None where only the broker knows it.
    open
        Batches may still be handed to the agent.
    live
        Acknowledgements still count. A lease that is being revoked is live, not open.
    committed
        Next offset to read, as last stored at the broker under this lease.
    started
        Records have been read.
    read
        Offset of the last record read, -1 before the first.
    reached
        End of the partition when it was last read to its end, -1 before that. What lies
        between `read` and there, no reader sees: markers of transactions, compacted records.
    """

    tp: Partition
    start: int | None = None
    open: bool = True
    live: bool = True
    committed: int | None = None
    started: bool = False
    read: int = -1
    reached: int = -1
    _taken: deque[_Taken] = field(default_factory=deque)
    _by_first: dict[int, _Taken] = field(default_factory=dict)
    _next: int | None = None
    _high: int = -1

    @property
    def position(self) -> int | None:
        """The offset after the acknowledged prefix, or where the lease starts."""
        return self.start if self._next is None else self._next

    @property
    def pending(self) -> int:
        """Number of batches handed to the agent and not acknowledged."""
        return len(self._by_first)


class OffsetLedger:
    """The leases of one consumer. Every method is safe to call from any thread."""

    def __init__(self) -> None:
        self._leases: dict[Partition, Lease] = {}
        self._lock = threading.Lock()

    def open(self, tp: Partition, start: int | None = None) -> Lease:
        """Begin a lease and end the one that may exist for the same partition."""
        with self._lock:
            self._end(tp)
            lease = self._leases[tp] = Lease(tp, start)
            return lease

    def shut(self, tp: Partition) -> None:
        """Hand out no more batches of `tp`; acknowledgements still count until `end`."""
        with self._lock:
            if (lease := self._leases.get(tp)) is not None:
                lease.open = False

    def end(self, tp: Partition) -> None:
        """End the lease of `tp`: from now on nothing of it is acknowledged or committed."""
        with self._lock:
            self._end(tp)

    def _end(self, tp: Partition) -> None:
        if (lease := self._leases.pop(tp, None)) is not None:
            lease.open = lease.live = False

    def get(self, tp: Partition) -> Lease | None:
        """Return the present lease of `tp`, None where it is not owned."""
        return self._leases.get(tp)

    def owned(self) -> list[Lease]:
        """Return all present leases."""
        with self._lock:
            return list(self._leases.values())

    def take(self, lease: Lease, first: int, last: int) -> bool:
        """Record that the agent is given the records ``first..last``, in offset order.

        Returns
        -------
        bool
            False: the lease is over, the agent must not see the batch.

        Raises
        ------
        ValueError
            The batch is empty or does not lie after those taken before.
        """
        with self._lock:
            if not lease.open:
                return False
            if first > last or first <= lease._high:
                raise ValueError(
                    f"expected a batch of {lease.tp} after offset {lease._high}, "
                    f"found {first}..{last}; batches must be taken in offset order"
                )
            lease._high = last
            taken = _Taken(first, last)
            lease._taken.append(taken)
            lease._by_first[first] = taken
            return True

    def ack(self, lease: Lease, first: int) -> bool:
        """Acknowledge the batch that starts at `first`.

        Returns
        -------
        bool
            False: ignored, for the lease is over, the batch was never taken, or is acknowledged.
        """
        with self._lock:
            if not lease.live or (taken := lease._by_first.pop(first, None)) is None:
                return False
            taken.acked = True
            while lease._taken and lease._taken[0].acked:
                lease._next = lease._taken.popleft().last + 1
            return True

    def committable(self, tp: Partition) -> int | None:
        """Return the next offset to commit for `tp`, None where nothing is new.

        The value is that of Kafka's commit: the offset of the next record to read.
        """
        with self._lock:
            lease = self._leases.get(tp)
            if lease is None or lease._next is None or lease._next == lease.committed:
                return None
            return lease._next

    def committed(self, lease: Lease, offset: int) -> None:
        """Record that the broker stored `offset` under `lease`."""
        with self._lock:
            if lease.live:
                lease.committed = offset
