"""All that an engine remembers between two blocks; part of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from bci.engine.plan import TILE, WAITING, Arrays
from bci.engine.prototype import FIRST
from bci.engine.units.levels import BINS
from bci.engine.units.memory import Sorting
from bci.settings import EngineSettings
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

#: Samples filtered at a time, of many tiles and of few: with the history they stay in the second
#: level of cache.
CHUNK: Final = 256
CHUNK_OF_FEW: Final = 512
FEW: Final = 2
#: Samples after which the reference learns how large the noise is now.
LIMITS_EVERY: Final = 8192
KIND: Final = "bci.engine"
VERSION: Final = 6


def chunk(tiles: int) -> int:
    """Return how many samples are filtered at a time."""
    return CHUNK_OF_FEW if tiles <= FEW else CHUNK


def spare(tiles: int) -> int:
    """Return the rows beyond the history: filtered before the history is moved to the front."""
    return 2 * chunk(tiles)


@dataclass(slots=True)
class State:
    """Places in the stream, and the arrays that the kernels work on.

    Attributes
    ----------
    next, scanned
        Device sample that is expected next (-1 before the first), and first not yet scanned.
    base, filled
        Device sample of row 0, and number of rows in use.
    settled, learn_at, limits_at
        Sample from which on something is detected; at which the prototype is tried next; at
        which the limits of the robust reference are set next.
    """

    next: int
    scanned: int
    base: int
    filled: int
    settled: int
    learn_at: int
    limits_at: int
    arrays: Arrays
    sorting: Sorting

    @classmethod
    def new(
        cls,
        tiles: int,
        sections: int,
        history: int,
        taps: int,
        settings: EngineSettings,
        sorts: bool,
    ) -> Self:
        """Return the state before the first sample; `sorts`: with room for units."""
        whole, single = np.int64, np.float32
        rows = history + spare(tiles)
        arrays = Arrays(
            rows=np.zeros((tiles, rows, TILE), single),
            held=np.zeros(rows, bool),
            filters=np.zeros((tiles, sections, 2, TILE), single),
            limit=np.full((tiles, TILE), np.inf, single),
            noise=np.zeros((tiles, settings.noise_rows, TILE), single),
            looks=np.zeros((tiles, 2), whole),
            muted=np.zeros((tiles, TILE), bool),
            sigma=np.zeros((tiles, TILE), single),
            updates=np.zeros(tiles, whole),
            since=np.full(tiles, -1, whole),
            until=np.full(tiles, -1, whole),
            weights=np.zeros((tiles, taps), single),
            learnt=np.zeros(tiles, bool),
            first_at=np.zeros((tiles, FIRST), whole),
            first=np.zeros((tiles, FIRST), single),
            covariance=np.zeros((tiles, taps + 1)),
            prototype=np.zeros((tiles, taps + 1)),
            last=np.full((tiles, TILE), -(1 << 40), whole),
            counts=np.zeros((tiles, TILE, BINS), single),
            level=np.full((tiles, TILE), settings.matched_threshold, single),
            level_due=np.zeros(tiles, whole),
            waiting_at=np.zeros((tiles, WAITING), whole),
            waiting_on=np.zeros((tiles, WAITING), whole),
            waiting_score=np.zeros((tiles, WAITING), single),
            waiting=np.zeros(tiles, whole),
            decided=np.zeros(tiles, whole),
        )
        return cls(-1, 0, 0, history, 0, 0, 0, arrays, Sorting.new(tiles, taps, sorts))

    def begin(self, start: int, settle: int, learn_at: int) -> None:
        """Start at sample `start`, with silence before it; what was learnt stays."""
        first = self.next < 0
        arrays = self.arrays
        history = arrays.rows.shape[1] - spare(len(arrays.rows))
        self.next = self.scanned = start
        self.base, self.filled = start - history, history
        self.settled = start + settle
        self.limits_at = start + LIMITS_EVERY
        arrays.rows[:, :history] = 0
        arrays.held[:history] = True
        arrays.filters[:] = 0
        arrays.since[:] = -1
        arrays.until[:] = start - 1
        arrays.waiting[:] = arrays.decided[:] = self.sorting.given[:] = 0
        if first or self.learn_at < start:
            self.learn_at = learn_at

    def room(self, count: int, history: int) -> int:
        """Return the row that the next of `count` samples goes to; move the history if need be."""
        rows, held = self.arrays.rows, self.arrays.held
        if self.filled + count > rows.shape[1]:
            moved = self.filled - history
            rows[:, :history] = rows[:, moved : self.filled].copy()
            held[:history] = held[moved : self.filled].copy()
            self.base += moved
            self.filled = history
        at = self.filled
        self.filled += count
        return at

    def pack(self, settings: dict[str, Any], blank: list[tuple[int, int]], history: int) -> bytes:
        """Return the state as bytes, for the same `settings` alone.

        Of what was filtered the last `history` rows are enough, of troughs those that wait.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays, old = self.arrays, self.filled - history
        most = int(arrays.waiting.max(initial=0))
        kept = {"rows": arrays.rows[:, old : self.filled], "held": arrays.held[old : self.filled]}
        kept |= {name: getattr(arrays, name)[:, :most] for name in _WAITING}
        values["arrays"] = arrays._asdict() | kept
        values["sorting"] = self.sorting.packed(most)
        values |= {"base": self.base + old, "filled": history}
        return pack(KIND, VERSION, {**values, "settings": settings, "blank": blank})

    @classmethod
    def unpack(
        cls, data: bytes, settings: dict[str, Any], sorts: bool
    ) -> tuple[Self, list[tuple[int, int]]]:
        """Return what `pack` was given; SchemaError where `settings` differ."""
        values = unpack(KIND, VERSION, data)
        found, blank = values.pop("settings"), values.pop("blank")
        wanted = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
        if found != wanted:
            raise SchemaError(
                f"expected a snapshot made with {wanted}, found {found}; "
                "start without it, or with the settings it was made with"
            )
        arrays = values["arrays"]
        more = spare(len(arrays["rows"]))
        for name in ("rows", "held", *_WAITING):
            axis = 0 if name == "held" else 1
            room = WAITING if name in _WAITING else values["filled"] + more
            arrays[name] = _grown(arrays[name], room, axis)
        values["arrays"] = Arrays(**arrays)
        values["sorting"] = Sorting.unpacked(values["sorting"], sorts)
        return cls(**values), [(first, last) for first, last in blank]


#: Arrays of which only what waits is kept.
_WAITING: Final = ("waiting_at", "waiting_on", "waiting_score")


def _grown(kept: NDArray[Any], room: int, axis: int) -> NDArray[Any]:
    """Return an array with `room` places along `axis`, zero behind those that were kept."""
    shape = list(kept.shape)
    shape[axis] = room - shape[axis]
    grown: NDArray[Any] = np.concatenate([kept, np.zeros(shape, kept.dtype)], axis=axis)
    return grown
