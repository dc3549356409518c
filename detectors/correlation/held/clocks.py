"""How far each tenant's events have come: watermarks, and the clock that follows from them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from detectors.correlation.held.groups import Whose
from schemas.joins import Arrivals

#: Time of arrival after which a source that sends nothing holds no clock back, ms.
IDLE_MS: Final = 60_000
#: Before any event.
NOTHING: Final = -(1 << 62)


class Lane(NamedTuple):
    """A tenant's source in one events partition."""

    partition: int
    tenant: str
    source: str


class Clocks:
    """Watermarks of all lanes of one ``signals`` partition.

    The clock of a tenant is the least watermark of its lanes, but for those that have been idle
    for `IDLE_MS` of time of arrival; it never goes back.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, tuple[int, int]] = {}
        self.now: dict[str, int] = {}
        self.newest: dict[str, int] = {}

    def note(self, partition: int, arrivals: Arrivals, start: int) -> list[Whose]:
        """Take note of the events from place `start` on; return whose each event is."""
        width = len(arrivals.source.values)
        codes = arrivals.tenant.index.astype(np.int64) * width + arrivals.source.index
        for code in np.unique(codes[start:]).tolist():
            rows = start + np.flatnonzero(codes[start:] == code)
            tenant = arrivals.tenant.values[code // width]
            lane = Lane(partition, tenant, arrivals.source.values[code % width])
            mark, arrived = int(arrivals.watermark[rows].max()), int(arrivals.arrived[rows].max())
            known = self._lanes.get(lane, (NOTHING, NOTHING))
            self._lanes[lane] = max(known[0], mark), max(known[1], arrived)
            newest = int(arrivals.time[rows].max())
            self.newest[tenant] = max(self.newest.get(tenant, newest), newest)
            self._tick(tenant)
        names = [
            (tenant, source)
            for tenant in arrivals.tenant.values
            for source in arrivals.source.values
        ]
        return list(map(names.__getitem__, codes.tolist()))

    def _tick(self, tenant: str) -> None:
        lanes = [state for lane, state in self._lanes.items() if lane.tenant == tenant]
        latest = max(arrived for _, arrived in lanes)
        now = min(mark for mark, arrived in lanes if arrived >= latest - IDLE_MS)
        self.now[tenant] = max(self.now.get(tenant, now), now)

    def state(self) -> list[Any]:
        """Return lanes, clocks and newest times, for `load`."""
        lanes = [(*lane, *marks) for lane, marks in self._lanes.items()]
        return [lanes, self.now, self.newest]

    def load(self, state: list[Any]) -> None:
        """Take up what `state` returned."""
        lanes, self.now, self.newest = state
        self._lanes = {Lane(*lane[:3]): (lane[3], lane[4]) for lane in lanes}
