"""What is remembered of single units, a part of an engine's state."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bci.engine.plan import TILE, WAITING
from bci.engine.units.templates import FEATURES, Units

#: Channels that a unit is looked at on, itself among them; units of a bank; detections that
#: they are learnt from; units that a trough is compared with; spikes that others may overlap.
FIELD: Final = 18
UNITS: Final = 64
LESSONS: Final = 4096
TRIED: Final = 16
GIVEN: Final = 64
#: What a bank does: nothing (yet), collect lessons, sort.
OFF, COLLECTS, SORTS = 0, 1, 2
#: Marks of troughs: not decided on, and of no unit.
OPEN, NONE = -2, -1


class Sorting(NamedTuple):
    """State; all lead with the tile.

    Attributes
    ----------
    mode, due
        int64[tile]: `OFF`, `COLLECTS` or `SORTS`; sample at which units are learnt.
    moment
        float64[tile, tap, tap]: sum of the products of the first detections, in σ².
    views, shapes
        float32[tile, feature, tap], float64[tile, tap, feature]: see `templates.Basis`.
    lessons, lesson_on, lesson
        int64[tile] how many; int64[tile, n] column; float32[tile, n, FIELD, feature].
    units, unit_on, unit, energy, told
        int64[tile] how many; int64[tile, n] column; float32[tile, n, FIELD, feature] features;
        their sum of squares; bool: large enough to be told.
    overlap
        float32[tile, n, n, lag]: what a spike of the first unit gives the second, later by
        the lag minus ``taps - 1``.
    tried
        int64[tile, TILE, TRIED]: units that troughs of a column are compared with, or -1.
    mark, noted
        Of troughs that wait: int64[tile, n], their unit; float32[tile, n, …], features while
        lessons are collected, then what units give and the shifts at which they do.
    given, given_at, given_unit, given_size
        int64[tile] how many; the last spikes of units.
    """

    mode: Any
    due: Any
    moment: Any
    views: Any
    shapes: Any
    lessons: Any
    lesson_on: Any
    lesson: Any
    units: Any
    unit_on: Any
    unit: Any
    energy: Any
    told: Any
    overlap: Any
    tried: Any
    mark: Any
    noted: Any
    given: Any
    given_at: Any
    given_unit: Any
    given_size: Any

    @classmethod
    def new(cls, tiles: int, taps: int, sorts: bool) -> Self:
        """Return the state before the first sample; hardly any room where nothing is sorted."""
        whole, single = np.int64, np.float32
        units, lessons, waiting = (UNITS, LESSONS, WAITING) if sorts else (1, 1, 1)
        return cls(
            mode=np.zeros(tiles, whole),
            due=np.zeros(tiles, whole),
            moment=np.zeros((tiles, taps, taps)),
            views=np.zeros((tiles, FEATURES, taps), single),
            shapes=np.zeros((tiles, taps, FEATURES)),
            lessons=np.zeros(tiles, whole),
            lesson_on=np.zeros((tiles, lessons), whole),
            lesson=np.zeros((tiles, lessons, FIELD, FEATURES), single),
            units=np.zeros(tiles, whole),
            unit_on=np.zeros((tiles, units), whole),
            unit=np.zeros((tiles, units, FIELD, FEATURES), single),
            energy=np.ones((tiles, units), single),
            told=np.zeros((tiles, units), bool),
            overlap=np.zeros((tiles, units, units, 2 * taps - 1), single),
            tried=np.full((tiles, TILE, TRIED), -1, whole),
            mark=np.full((tiles, waiting), OPEN, whole),
            noted=np.zeros((tiles, waiting, max(FIELD * FEATURES, 2 * TRIED)), single),
            given=np.zeros(tiles, whole),
            given_at=np.zeros((tiles, GIVEN), whole),
            given_unit=np.zeros((tiles, GIVEN), whole),
            given_size=np.zeros((tiles, GIVEN), single),
        )

    def collect(self, tile: int, due: int) -> None:
        """Collect lessons in a bank until sample `due`."""
        self.mode[tile], self.due[tile] = COLLECTS, due
        self.noted[tile] = 0

    def sort(self, tile: int, found: Units, field: NDArray[np.int32]) -> None:
        """Go by these units from now on; `field` is that of the bank's columns."""
        count = min(len(found.on), UNITS)
        self.mode[tile], self.units[tile], self.lessons[tile] = SORTS, count, 0
        self.unit_on[tile, :count] = found.on[:count]
        self.unit[tile, :count] = found.features[:count]
        self.energy[tile, :count] = np.square(self.unit[tile, :count]).sum(axis=(1, 2))
        self.told[tile, :count] = found.told[:count]
        self.overlap[tile, :count, :count] = found.overlap[:count, :count]
        for column in range(TILE):
            near = [
                u for c in field[column] if c >= 0 for u in np.flatnonzero(found.on[:count] == c)
            ]
            self.tried[tile, column, : len(near[:TRIED])] = near[:TRIED]
        self.mark[tile], self.noted[tile], self.given[tile] = OPEN, 0, 0

    def packed(self, waiting: int) -> dict[str, NDArray[Any]]:
        """Return what is in use, for `unpacked`; so many troughs wait."""
        kept = self._asdict()
        lessons, units = int(self.lessons.max(initial=0)), int(self.units.max(initial=0))
        kept |= {name: kept[name][:, :lessons] for name in ("lesson_on", "lesson")}
        kept |= {name: kept[name][:, :units] for name in ("unit_on", "unit", "energy", "told")}
        kept["overlap"] = self.overlap[:, :units, :units]
        return kept | {name: kept[name][:, :waiting] for name in ("mark", "noted")}

    @classmethod
    def unpacked(cls, kept: dict[str, NDArray[Any]], sorts: bool) -> Self:
        """Return the state that `packed` told of."""
        tiles, taps = kept["moment"].shape[:2]
        made = cls.new(tiles, taps, sorts)
        for name, values in kept.items():
            to = getattr(made, name)
            to[tuple(slice(0, size) for size in values.shape)] = values
        return made
