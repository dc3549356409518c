"""Signals to alerts: hits of one rule on one group fold into one alert, with a count.

Window: event time is cut into windows of fixed length (tumbling), so which alert an
event belongs to depends on the event alone, not on the order of arrival. Hence the
alert id, uuid5 of tenant, rule, group and window start, is the same in every replay.
Windows over several events (Sigma correlations) come with the detection engine.
"""

from __future__ import annotations

import uuid
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from sentinel.errors import SchemaError

#: Namespace of alert ids: a random uuid, fixed for ever.
ALERT_NAMESPACE = uuid.UUID("6f0a5a1c-6a3b-4d57-9d0e-0d2f3f6f7b11")
#: Groups remembered per partition (about 0.7 kB each); the least recently hit goes first.
MAX_OPEN = 50_000
#: Default window in which hits of one rule on one group fold, in ms of event time.
WINDOW_MS = 3_600_000
VERSION = 2
#: In how many parts the signals of some events can be sent at most, see `shard`.
SHARDS = 64


class Open(msgspec.Struct):
    """An alert that may still grow."""

    count: int
    score: float
    first_seen: int
    last_seen: int
    severity_id: int
    explanation: str


class Correlated(NamedTuple):
    """What one call of `Correlator.process` gives.

    Attributes
    ----------
    alerts
        Records of ``alert.avsc``: new alerts and amendments.
    counts
        Ledger counts by (tenant, source): ``in``, ``out``.
    """

    alerts: list[dict[str, Any]]
    counts: dict[tuple[str, str], dict[str, int]]


@lru_cache(maxsize=1 << 14)  # signals of one alert come again and again
def alert_id(tenant: str, rule_id: str, group: str, window_start_ms: int) -> str:
    """Return the id of the alert that a hit belongs to.

    >>> alert_id("default", "r1", "alice", 0)
    '894c1dc5-7a9d-5519-a26e-a62dc5c3586a'
    """
    name = "\x1f".join((tenant, rule_id, group, str(window_start_ms)))
    return str(uuid.uuid5(ALERT_NAMESPACE, name))


def shard(signal: Mapping[str, Any]) -> int:
    """Return the shard of a signal, by rule and group: 0 to `SHARDS` - 1, the same for ever.

    A signal carries its events whole, and each rule that an event matches makes one, so the
    signals of a batch can outgrow what a topic takes. Detect then sends them in several
    records, of whole shards, and replays are recognised shard by shard.

    >>> shard({"tenant": "default", "rule_id": "r1", "group": "alice"})
    57
    """
    name = "\x1f".join((signal["tenant"], signal["rule_id"], signal["group"]))
    # the upper bits: the lower ones say which partition it goes to
    return (zlib.crc32(name.encode(errors="surrogatepass")) >> 16) % SHARDS


class Correlator:
    """State of one ``signals`` partition: alerts still open, and what has been seen of each origin.

    Parameters
    ----------
    window_ms
        Length of the window in which hits fold, in milliseconds of event time.
    max_open
        Alerts remembered; beyond it the least recently hit one is forgotten and
        `evictions` counts it. A later hit of a forgotten alert amends the same id
        (stores add the events up; only the count in the record restarts).
    """

    def __init__(self, window_ms: int, max_open: int = MAX_OPEN) -> None:
        self._window_ms = window_ms
        self._max_open = max_open
        self._open: OrderedDict[str, Open] = OrderedDict()
        #: Last offset had of each events partition, for each shard of its signals.
        self._seen: dict[tuple[int, int], int] = {}
        self.evictions = 0

    def process(self, batches: Iterable[Mapping[str, Any]]) -> Correlated:
        """Fold records of ``signal_batch.avsc``, in order, into alerts.

        What comes of offsets already seen (a replay) contributes only what is new. Signals
        of the same offsets may come in several batches, but each `shard` of them in one.
        """
        touched: dict[str, dict[str, Any]] = {}
        counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: {"in": 0, "out": 0})
        for batch in batches:
            places = [(batch["origin_partition"], shard(signal)) for signal in batch["signals"]]
            for place, signal in zip(places, batch["signals"], strict=True):
                seen = self._seen.get(place, -1)
                fresh = [event for event in signal["events"] if event["origin"] > seen]
                if fresh:
                    row = counts[signal["tenant"], signal["source"]]
                    row["in"] += len(fresh)
                    row["out"] += len(fresh)
                    self._fold(signal, fresh, touched)
            for place in set(places):
                self._seen[place] = max(self._seen.get(place, -1), batch["origin_last"])
        while len(self._open) > self._max_open:
            self._open.popitem(last=False)
            self.evictions += 1
        return Correlated(list(touched.values()), dict(counts))

    def _fold(
        self, signal: Mapping[str, Any], events: list[dict[str, Any]], touched: dict[str, Any]
    ) -> None:
        """Add the events of one signal to the alerts of their windows."""
        windows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for event in events:
            windows[event["time"] // self._window_ms].append(event)
        for window, members in windows.items():
            ident = alert_id(
                signal["tenant"], signal["rule_id"], signal["group"], window * self._window_ms
            )
            state = self._amend(ident, signal, members)
            alert = touched.setdefault(ident, _blank(ident, signal))
            alert["events"] += [
                {name: event[name] for name in ("uid", "time", "arrived", "score", "raw")}
                for event in members
            ]
            alert["score"] = state.score
            alert["count"] = state.count
            alert["first_seen"], alert["last_seen"] = state.first_seen, state.last_seen
            alert["severity_id"] = state.severity_id
            alert["explanation"] = state.explanation
            if signal["kind"] == "risk":
                alert["techniques"] = signal["techniques"]

    def _amend(self, ident: str, signal: Mapping[str, Any], members: list[dict[str, Any]]) -> Open:
        """Update what is remembered of the alert `ident`."""
        times = [event["time"] for event in members]
        score = max(event["score"] for event in members)
        state = self._open.pop(ident, None)
        if state is None:
            state = Open(
                0, score, min(times), max(times), signal["severity_id"], signal["explanation"]
            )
        state.count += len(members)
        if signal["kind"] == "risk":
            state.explanation = signal["explanation"]  # a risk that has grown says all of it
        state.score = max(state.score, score)
        state.severity_id = max(state.severity_id, signal["severity_id"])
        state.first_seen = min(state.first_seen, *times)
        state.last_seen = max(state.last_seen, *times)
        self._open[ident] = state
        return state

    def snapshot(self) -> bytes:
        """Return the whole state, for `restore`."""
        seen = [(*place, last) for place, last in self._seen.items()]
        return msgspec.msgpack.encode((VERSION, seen, list(self._open.items())))

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned; raise `SchemaError` on another version."""
        try:
            version, seen, items = msgspec.msgpack.decode(
                state, type=tuple[int, list[tuple[int, int, int]], list[tuple[str, Open]]]
            )
        except msgspec.DecodeError as error:
            raise SchemaError(
                f"expected a correlate snapshot, found other bytes: {error}"
            ) from error
        if version != VERSION:
            raise SchemaError(f"expected correlate snapshot version {VERSION}, found {version}")
        self._seen = {(partition, number): last for partition, number, last in seen}
        self._open = OrderedDict(items)


def _blank(ident: str, signal: Mapping[str, Any]) -> dict[str, Any]:
    """Return an alert record with the parts that do not change."""
    same = ("tenant", "source", "kind", "rule_id", "title", "techniques", "entity")
    status = "staged" if signal.get("staged") else "new"
    return {"id": ident, "events": [], "status": status} | {name: signal[name] for name in same}
