"""Nobody is in two places at once, or gets from one to the other faster than a plane.

Per entity, the place of the latest address is kept. An event from another address asks for
``speed = max(distance - both radii, 0) / time between``; the distance is that on the sphere
(haversine), the radii what the database says its places are accurate to, 50 km where it says
nothing. Above `SPEED` the event is scored; what is no evidence is passed over and leaves the
latest place as it is:

- the same address, or another of the same autonomous system (one provider's exits);
- a VPN, proxy, Tor exit or hosting provider at either end: nobody lives there;
- an address whose place is not known, or that is none (a cloud service's name);
- places closer than `NEAR_KM` once the radii are taken off.

The score is 0.8 for the first impossible journey of an entity and ``0.8 / (1 + n)`` after n
of them: whoever hops between exits the databases do not know teaches the model to be quiet. Their
number fades with a half-life of 30 days.

Where places are: the stream looks them up where ``SENTINEL_INTEL`` names a folder with
databases (``geo/*.mmdb``). **Without**, the model falls back to networks (the first 16 bits of an
IPv4 address, 32 of IPv6): an entity that goes to a network that nobody of the tenant has ever
used and is back in its old one within `TWO_MS` was in two places; ``0.4 / (1 + n)``, on
the event that comes back.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Model
from detectors.online.hashing import Table, find, hash_column, insert, kernel
from detectors.online.places import Locate, located, nowhere
from schemas.batch import EventBatch
from schemas.snapshot import pack, unpack

#: km/h: an airliner with the wind behind it.
SPEED = 1000.0
NEAR_KM = 100.0
#: Longest time in which two networks are "at once", ms.
TWO_MS = 600_000
FIRST, FIRST_NETWORK = 0.8, 0.4
ENTITIES, NETWORKS = 2048, 8192
#: Events of an entity before anything is said of its networks.
MIN_EVENTS = 30
_FADE_MS = 30 * 86_400_000.0
_EARTH_KM = 6371.0088
#: Columns: place and network known latest, the network before it, events, last change.
_TIME, _CHANGED, _EVENTS = 0, 1, 2
_LAT, _LONG, _RADIUS, _TRIPS, _TRIPS_AT = 0, 1, 2, 3, 4
_ADDRESS, _OWNER, _NETWORK, _OLD = 0, 1, 2, 3


@kernel("float64(float64, float64, float64, float64)")
def distance_km(lat: Any, long: Any, other_lat: Any, other_long: Any) -> Any:
    """Return the length of the great circle between two places in degrees (haversine)."""
    one, two = math.radians(lat), math.radians(other_lat)
    half = math.sin((two - one) / 2) ** 2
    half += math.cos(one) * math.cos(two) * math.sin(math.radians(other_long - long) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(math.sqrt(half), 1.0))


@kernel("float64(float64[::1], int64, float64)")
def _trip(numbers: Any, time: Any, worth: Any) -> Any:
    """Count an impossible journey; return its score."""
    since = max(time - numbers[_TRIPS_AT], 0.0)
    numbers[_TRIPS] *= 0.5 ** (since / _FADE_MS)
    score = worth / (1.0 + numbers[_TRIPS])
    numbers[_TRIPS] += 1.0
    numbers[_TRIPS_AT] = time
    return score


@kernel(
    "float64(int64, uint64, float64[::1], float64, uint64, int64[::1], float64[::1], uint64[::1], "
    "float64[::1])"
)
def _journey(
    time: Any,
    address: Any,
    degrees: Any,
    radius: Any,
    owner: Any,
    clocks: Any,
    numbers: Any,
    names: Any,
    said: Any,
) -> Any:
    """Judge the way from the latest place to this one, and stay here; fill km and km/h."""
    score = 0.0
    same = address == names[_ADDRESS] or (owner != 0 and owner == names[_OWNER])
    if names[_ADDRESS] != 0 and not same and time >= clocks[_TIME]:
        far = distance_km(numbers[_LAT], numbers[_LONG], degrees[0], degrees[1])
        far -= radius + numbers[_RADIUS]
        if far > NEAR_KM:
            hours = max((time - clocks[_TIME]) / 3_600_000, 1 / 60)
            if far / hours > SPEED:
                score = _trip(numbers, time, FIRST)
                said[0], said[1] = far, far / hours
    if time >= clocks[_TIME]:
        clocks[_TIME] = time
        numbers[_LAT], numbers[_LONG], numbers[_RADIUS] = degrees[0], degrees[1], radius
        names[_ADDRESS], names[_OWNER] = address, owner
    return score


@kernel("float64(int64, uint64, boolean, int64[::1], float64[::1], uint64[::1])")
def _networks(time: Any, network: Any, new: Any, clocks: Any, numbers: Any, names: Any) -> Any:
    """Judge going to a network (`new` to the tenant) and coming back."""
    if network == names[_NETWORK]:
        return 0.0
    score = 0.0
    back = network == names[_OLD] and names[_OLD] != 0
    if back and 0 <= time - clocks[_CHANGED] <= TWO_MS:
        score = _trip(numbers, time, FIRST_NETWORK)
    known = names[_NETWORK] != 0 and clocks[_EVENTS] >= MIN_EVENTS
    names[_OLD] = names[_NETWORK] if new and known else np.uint64(0)
    names[_NETWORK], clocks[_CHANGED] = network, time
    return score


@kernel(
    "int64(int64, int64, int64[::1], uint64[::1], uint64[::1], float64[:, ::1], float64[::1], "
    "uint64[::1], uint64[::1], boolean[::1], uint64[::1], int32[::1], int64[::1], int64[::1], "
    "int64[:, ::1], float64[:, ::1], uint64[:, ::1], uint64[::1], int32[::1], int64[::1], "
    "int64[::1], float64[::1], float64[:, ::1])"
)
def _score_learn(
    start: Any,
    clock: Any,
    time: Any,
    entity: Any,
    address: Any,
    degrees: Any,
    radius: Any,
    owner: Any,
    network: Any,
    relay: Any,
    keys: Any,
    slots: Any,
    size: Any,
    last: Any,
    clocks: Any,
    numbers: Any,
    names: Any,
    n_keys: Any,
    n_slots: Any,
    n_size: Any,
    n_last: Any,
    scores: Any,
    said: Any,
) -> Any:
    """Score and learn rows from `start`; return where a table was full, else the end."""
    for i in range(start, len(entity)):
        row = find(keys, slots, entity[i])
        known = find(n_keys, n_slots, network[i]) if network[i] != 0 else np.int64(0)
        if (row < 0 and size[0] == len(keys)) or (known < 0 and n_size[0] == len(n_keys)):
            return i
        if row < 0:
            row = insert(keys, slots, size, entity[i])
        new = known < 0
        if new:
            known = insert(n_keys, n_slots, n_size, network[i])
        last[row] = clock + i
        if network[i] == 0:
            continue
        n_last[known] = clock + i
        if not np.isnan(degrees[i, 0]):
            if not relay[i]:
                scores[i] = _journey(
                    time[i],
                    address[i],
                    degrees[i],
                    radius[i],
                    owner[i],
                    clocks[row],
                    numbers[row],
                    names[row],
                    said[i],
                )
        elif names[row, _ADDRESS] == 0:
            scores[i] = _networks(time[i], network[i], new, clocks[row], numbers[row], names[row])
        clocks[row, _EVENTS] += 1
    return len(entity)


class ImpossibleTravel(Model):
    """Journeys of an entity that no plane makes.

    State: at most 440 kB in a snapshot; a full table drops its less recently used half.

    Parameters
    ----------
    locate
        Looks up where addresses are; without it, networks are compared.
    """

    id: ClassVar[str] = "model.impossible_travel"
    title: ClassVar[str] = "In two places at once, or faster than a plane"
    techniques: ClassVar[tuple[str, ...]] = ("T1078", "T1550")
    version: ClassVar[int] = 1

    def __init__(
        self, locate: Locate = nowhere, entities: int = ENTITIES, networks: int = NETWORKS
    ) -> None:
        self._locate = locate
        columns = {"clocks": ("<i8", 3), "numbers": ("<f8", 5), "names": ("<u8", 4)}
        self._table = Table(entities, columns)
        self._networks = Table(networks, {})
        self._clock = 0
        self._rows = np.empty(0, np.int64)
        self._said = np.empty((0, 2))

    @property
    def evictions(self) -> int:  # type: ignore[override]
        """Entities and networks dropped since the start."""
        return self._table.evictions + self._networks.evictions

    def score_learn(self, batch: EventBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score the events at `rows`, learning from each after its score."""
        found, at = located(batch.src_ip.values, self._locate), batch.src_ip.index.take(rows)
        scores, self._said, self._rows = np.zeros(len(rows)), np.zeros((len(rows), 2)), rows
        table, known, start = self._table, self._networks, 0
        arguments = (
            batch.time[rows].astype(np.int64, copy=False),
            hash_column(batch.entity, rows),
            hash_column(batch.src_ip, rows),
            found.degrees.take(at, axis=0),
            found.radius.take(at),
            found.owner.take(at),
            found.network.take(at),
            found.relay.take(at),
        )
        while start < len(rows):
            start = _score_learn(
                start,
                self._clock,
                *arguments,
                table.keys,
                table.slots,
                table.size,
                table.last,
                table.columns["clocks"],
                table.columns["numbers"],
                table.columns["names"],
                known.keys,
                known.slots,
                known.size,
                known.last,
                scores,
                self._said,
            )
            if start < len(rows):
                (table if len(table) == table.capacity else known).age()
        self._clock += len(rows)
        return scores

    def explain(self, batch: EventBatch, row: int, score: float) -> dict[str, Any]:
        """Say how far and how fast, or that two networks were used at once."""
        far, speed = self._said[int(np.searchsorted(self._rows, row))].tolist()
        address = batch.src_ip.at(row)
        way = f"{round(far):,} km at {round(speed):,} km/h" if far else "two networks at once"
        return {
            "contributions": [{"field": "src_ip", "value": address, "weight": 1.0}],
            "baseline": {
                "compared_with": f"the place of {batch.entity.at(row)} before: {way}",
                "fastest": SPEED,
            },
            "cold_start": not far,
            "quiet": "A journey slower than a plane, one provider's addresses, or a known VPN.",
        }

    def snapshot(self) -> bytes:
        """Return the whole state."""
        values = {
            "table": self._table.state(),
            "networks": self._networks.state(),
            "clock": self._clock,
        }
        return pack(self.id, self.version, values)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot; raise `SchemaError` where it is of another shape or version."""
        values = unpack(self.id, self.version, state)
        self._table.load(values["table"])
        self._networks.load(values["networks"])
        self._clock = int(values["clock"])
