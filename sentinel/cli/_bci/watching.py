"""What the monitor knows: the newest of every bank, and how late it came."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from schemas import avro
from sentinel import topics
from sentinel.errors import KafkaError, SchemaError
from sentinel.kafka import client_config
from sentinel.settings import Settings

#: Latencies remembered: of the last windows of spikes.
WINDOWS: Final = 4096
#: Events that are shown, newest last.
SHOWN: Final = 8
QUIET_KINDS: Final = frozenset({"spike_batch", "activity"})
POLL_S: Final = 0.2


@dataclass(slots=True)
class View:
    """What is shown of one session.

    Attributes
    ----------
    session
        The one that was heard last.
    banks
        Newest ``activity`` of each bank.
    counts
        Events by kind, since the start.
    recent
        Messages of unusual events, newest last.
    late_s
        Seconds from the block that completed a window of spikes to its arrival here.
    behind_s
        Seconds from the end of the last second that is known to now.
    """

    session: str = ""
    banks: dict[int, dict[str, Any]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN))
    late_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOWS))
    behind_s: float = 0.0

    def event(self, event: dict[str, Any], now: float) -> None:
        """Take an event; `now` is in seconds since 1970."""
        if event["session"] != self.session:
            self.session, self.banks = event["session"], {}
            self.counts.clear()
            self.late_s.clear()
        self.counts[event["kind"]] += 1
        if event["kind"] == "activity":
            self.banks[event["bank"]] = event
            self.behind_s = now - _seconds(event["time"])
        elif event["kind"] not in QUIET_KINDS:
            self.recent.append(f"{event['time'][11:19]}  bank {event['bank']}  {event['message']}")

    def window(self, window: dict[str, Any], now: float) -> None:
        """Take a window of spikes."""
        if window["sent"]:
            self.late_s.append(now - window["sent"] / 1e6)

    def powers(self) -> Iterator[tuple[str, list[float]]]:
        """Yield the name of each band that was told of, and its power on all channels, µV²."""
        found: dict[str, list[float]] = {}
        for event in self.banks.values():
            for name, power in event["band_uv2"].items():
                found.setdefault(name, []).extend(power)
        yield from found.items()

    def row(self) -> dict[str, Any]:
        """Return the view as one JSON object; no rates (null) of what is too slow for spikes."""
        banks = self.banks.values()
        rates = np.array([r for event in banks for r in event.get("rate_hz", ())])
        spiking = any("rate_hz" in event for event in banks)
        states = Counter(s for event in banks for s in event["state"])
        p50, p99 = np.percentile(self.late_s, [50, 99]) if self.late_s else (None, None)
        return {
            "session": self.session,
            "fs": next((event["fs"] for event in banks), None),
            "channels": states.total(),
            "spikes_per_s": round(float(rates.sum()), 1) if spiking else None,
            "median_rate_hz": round(float(np.median(rates)), 2) if spiking else None,
            "band_uv2": {name: round(float(np.median(all_)), 3) for name, all_ in self.powers()},
            "behind_s": round(self.behind_s, 3),
            "latency_p50_ms": None if p50 is None else round(1000 * p50, 1),
            "latency_p99_ms": None if p99 is None else round(1000 * p99, 1),
            "artefacts": self.counts["artefact"],
            "gaps": self.counts["gap"],
            "bad_channels": sum(count for state, count in states.items() if state != "good"),
            "events": dict(self.counts),
        }


def _seconds(text: str) -> float:
    """Return a time of RFC 3339 in seconds since 1970."""
    return float(np.datetime64(text.removesuffix("Z"), "ms").astype(np.int64)) / 1000


def listen(settings: Settings, clock: Callable[[], float]) -> Iterator[tuple[View, bool]]:
    """Yield the view after every poll, and whether a bank's new second came with it.

    Reads from now on, as fast as it comes: old data is never shown as new.

    Raises
    ------
    KafkaError
        The topics are not there.
    """
    consumer = Consumer(
        client_config(settings)
        | {"group.id": "sentinel.monitor", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
    )
    try:
        consumer.assign(list(_places(consumer)))
        view = View()
        while True:
            messages = consumer.consume(500, POLL_S)
            now, fresh = clock(), False
            for message in messages:
                if message.error() is None:
                    fresh |= _take(view, message.topic() or "", message.value() or b"", now)
            yield view, fresh
    finally:
        consumer.close()


def _places(consumer: Consumer) -> Iterator[TopicPartition]:
    known = consumer.list_topics(timeout=30).topics
    for name in (topics.NEURAL_EVENTS, topics.SPIKES):
        if name not in known:
            raise KafkaError(
                f"expected the topic {name}, the broker has none; "
                "make it with `sentinel topics create`"
            )
        for number in known[name].partitions:
            yield TopicPartition(name, number, OFFSET_END)


def _take(view: View, topic: str, value: bytes, now: float) -> bool:
    """Take one record; return whether it was a bank's second. What cannot be read is left out."""
    try:
        if topic == topics.SPIKES:
            view.window(avro.decode("neural_spikes", value), now)
            return False
        event = orjson.loads(value)
        view.event(event, now)
    except (SchemaError, orjson.JSONDecodeError, KeyError, TypeError):
        view.counts["unreadable"] += 1
        return False
    return bool(event["kind"] == "activity")
