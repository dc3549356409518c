"""How far each tenant's events have come: watermarks, and the clock that follows from them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.correlation.held.coming import Whose
from schemas.joins import Arrivals

#: Time of arrival after which a source that sends nothing holds no clock back, ms.
IDLE_MS: Final = 60_000
#: The same for what is kept: a partition may lag behind others by this much, after an outage
#: or in a backlog, and lose nothing.
LAG_MS: Final = 3_600_000
#: Before any event.
NOTHING: Final = -(1 << 62)


class Lane(NamedTuple):
    """A tenant's source in one events partition."""

    partition: int
    tenant: str
    source: str


class Owners(NamedTuple):
    """Whose events are: some tenants and sources, and of each event which of them."""

    names: list[Whose]
    codes: NDArray[np.int64]


class Clocks:
    """Watermarks of all lanes of one ``signals`` partition.

    The clock of a tenant is the least watermark of its lanes, but for those that have been idle
    for `IDLE_MS` of time of arrival; it never goes back. `kept` is the same with `LAG_MS`, and
    before anything until the tenant has been seen for that long: who knows what else there is.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, tuple[int, int]] = {}
        self.now: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.newest: dict[str, int] = {}
        self._begun: dict[str, int] = {}

    def note(self, partition: int, arrivals: Arrivals, start: int) -> Owners:
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
        return Owners(names, codes)

    def _tick(self, tenant: str) -> None:
        lanes = [state for lane, state in self._lanes.items() if lane.tenant == tenant]
        latest = max(arrived for _, arrived in lanes)
        begun = self._begun.setdefault(tenant, latest)
        _advance(self.now, tenant, _least(lanes, latest - IDLE_MS))
        if latest - begun >= LAG_MS:
            _advance(self.kept, tenant, _least(lanes, latest - LAG_MS))

    def state(self) -> list[Any]:
        """Return lanes, clocks and times, for `load`."""
        lanes = [(*lane, *marks) for lane, marks in self._lanes.items()]
        return [lanes, self.now, self.kept, self.newest, self._begun]

    def load(self, state: list[Any]) -> None:
        """Take up what `state` returned."""
        lanes, self.now, self.kept, self.newest, self._begun = state
        self._lanes = {Lane(*lane[:3]): (lane[3], lane[4]) for lane in lanes}


def _least(lanes: list[tuple[int, int]], since: int) -> int:
    """Return the least watermark of the lanes that something has come from since."""
    return min(mark for mark, arrived in lanes if arrived >= since)


def _advance(clocks: dict[str, int], tenant: str, now: int) -> None:
    clocks[tenant] = max(clocks.get(tenant, now), now)
