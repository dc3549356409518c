"""What has been processed before: replays of ours and duplicates of the source.

They differ. A *replay* is Sentinel's doing (an upstream worker crashed after it had sent and
before it committed, and sends again); it is dropped exactly, by sequence, and counted nowhere
but in `replayed`. A *duplicate* is the source's doing (an S3 trail delivers a file twice):
another raw record with the same event id; recognised within a horizon, counted in the ledger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import kernel, mix
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

#: Ids remembered per events partition: 16 B each in a snapshot. At 1,000 events/s on a
#: partition two minutes, on a usual one hours: S3 delivers its copies within minutes.
HORIZON = 131_072

_HEAD, _HELD, _EVICTED = 0, 1, 2


@kernel("uint64(uint64[:, ::1], int64)")
def _entry(ids: Any, row: Any) -> Any:
    """Return the slot entry of an id but for its row: 32 bits of hash in the upper half.

    With the hash in the slot, other ids are told apart without a look into the ring, which
    is a cache miss each. Ids need not be well mixed.
    """
    return mix(ids[row, 0] ^ mix(ids[row, 1])) << np.uint64(32)


@kernel("void(uint64[::1], uint64, uint64)")
def _forget(slots: Any, entry: Any, row: Any) -> Any:
    """Remove a row from the slots, moving later entries of its run back (Knuth 6.4, R)."""
    mask, one, half = np.uint64(len(slots) - 1), np.uint64(1), np.uint64(32)
    hole = (entry >> half) & mask
    while slots[hole] != entry + row + one:
        hole = (hole + one) & mask
    at = (hole + one) & mask
    while slots[at] != 0:
        home = (slots[at] >> half) & mask
        if ((at - home) & mask) >= ((at - hole) & mask):
            slots[hole] = slots[at]
            hole = at
        at = (at + one) & mask
    slots[hole] = 0


@kernel("boolean(uint64[:, ::1], int64, uint64, uint64[:, ::1], uint64[::1])")
def _holds(ids: Any, i: Any, entry: Any, ring: Any, slots: Any) -> Any:
    """Return whether the ring holds the id at row `i`, whose slot entry is `entry`."""
    mask, one, half = np.uint64(len(slots) - 1), np.uint64(1), np.uint64(32)
    at = (entry >> half) & mask
    while slots[at] != 0:
        if slots[at] >> half == entry >> half:
            row = (slots[at] & np.uint64(0xFFFFFFFF)) - one
            if ring[row, 0] == ids[i, 0] and ring[row, 1] == ids[i, 1]:
                return True
        at = (at + one) & mask
    return False


@kernel("void(uint64[:, ::1], uint64[:, ::1], uint64[::1], int64[::1], boolean[::1])")
def _mark(ids: Any, ring: Any, slots: Any, clock: Any, seen: Any) -> Any:
    """Set `seen` for each id that the ring holds; put the others into it, oldest out."""
    mask, one, half = np.uint64(len(slots) - 1), np.uint64(1), np.uint64(32)
    for i in range(len(ids)):
        entry = _entry(ids, i)
        if _holds(ids, i, entry, ring, slots):
            seen[i] = True
            continue
        head = np.uint64(clock[_HEAD])
        if clock[_HELD] == len(ring):
            _forget(slots, _entry(ring, clock[_HEAD]), head)
            clock[_EVICTED] += 1
        else:
            clock[_HELD] += 1
        ring[head] = ids[i]
        at = (entry >> half) & mask
        while slots[at] != 0:
            at = (at + one) & mask
        slots[at] = entry + head + one
        clock[_HEAD] = (clock[_HEAD] + 1) % len(ring)


class SeenIds:
    """The last `horizon` distinct event ids, first in first out.

    Parameters
    ----------
    horizon
        Ids remembered; the oldest is forgotten for a new one and counted in `evictions`.
        A ring rather than two generations: the horizon is exact at half the snapshot.
    """

    VERSION = 1

    def __init__(self, horizon: int = HORIZON) -> None:
        self._ring = np.zeros((horizon, 2), np.uint64)
        self._slots = np.zeros(1 << (2 * horizon - 1).bit_length(), np.uint64)
        self._clock = np.zeros(3, np.int64)

    def __len__(self) -> int:
        return int(self._clock[_HELD])

    @property
    def evictions(self) -> int:
        """Ids forgotten since the start."""
        return int(self._clock[_EVICTED])

    def mark(self, uid: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return for each of ``uint8[n, 16]``, in order, whether it was seen; remember it."""
        seen = np.zeros(len(uid), np.bool_)
        ids = np.ascontiguousarray(uid).reshape(-1).view(np.uint64).reshape(-1, 2)
        # a copy where it comes from Kafka's bytes: the kernel takes writable arrays only
        _mark(
            ids if ids.flags.writeable else ids.copy(), self._ring, self._slots, self._clock, seen
        )
        return seen

    def snapshot(self) -> bytes:
        """Return the ids, oldest first, for `restore`: 16 B each."""
        start = int(self._clock[_HEAD]) if len(self) == len(self._ring) else 0
        ids = np.roll(self._ring, -start, axis=0)[: len(self)]
        return pack("seen_ids", self.VERSION, {"ids": ids, "evictions": self.evictions})

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; of one with a longer horizon, the latest ids.

        Raises
        ------
        SchemaError
            Another version, or broken.
        """
        values = unpack("seen_ids", self.VERSION, state)
        ids = values.get("ids")
        if not isinstance(ids, np.ndarray) or ids.dtype != np.uint64 or ids.shape[1:] != (2,):
            raise SchemaError("expected ids of 16 bytes in a snapshot of seen_ids, found others")
        self._slots[:] = 0
        self._clock[:] = 0
        kept = ids[-len(self._ring) :]
        _mark(kept, self._ring, self._slots, self._clock, np.zeros(len(kept), np.bool_))
        self._clock[_EVICTED] = int(values["evictions"]) + len(ids) - len(kept)


class Watermarks:
    """The last raw sequence processed of each origin (topic, partition)."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], int] = {}

    def fresh(self, batch: EventBatch) -> NDArray[np.int64]:
        """Return the rows of `batch` that were not processed before, ascending."""
        last = self._last.get((batch.origin_topic, batch.origin_partition))
        if last is None or last < batch.origin_first:
            return np.arange(len(batch), dtype=np.int64)
        return np.flatnonzero(batch.origin > last)

    def advance(self, batch: EventBatch) -> None:
        """Note that everything up to the batch's last sequence is processed."""
        key = (batch.origin_topic, batch.origin_partition)
        self._last[key] = max(self._last.get(key, batch.origin_last), batch.origin_last)

    def state(self) -> list[tuple[str, int, int]]:
        """Return topic, partition and last sequence of each origin, for `load`."""
        return [(*origin, last) for origin, last in self._last.items()]

    def load(self, state: list[tuple[str, int, int]]) -> None:
        """Take up what `state` returned."""
        self._last = {(topic, partition): last for topic, partition, last in state}
