"""The pure functions of all stages on one event at a time, as stock frameworks call them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import connectors
from bench.measure import Meter
from connectors.base import Connector
from detectors.correlation import WINDOW_MS, Correlator
from detectors.detect import Detector
from detectors.scoring.choose import online_models
from sentinel.registry import discover
from sentinel.settings import load
from streams.normalizer import Normalizer, Units
from streams.policy.rule_sets import load_rules

#: Events between two yardsticks.
EVERY = 250
PLACE = ("raw.cloudtrail", 0)


class AllStages:
    """Normalize, match, score and correlate one raw event; return it as the stages encode it."""

    def __init__(self) -> None:
        settings = load()
        connector = discover(connectors, Connector)["cloudtrail"]()  # type: ignore[type-abstract]
        self._normalizer = Normalizer("cloudtrail", connector, load_rules(settings), 4)
        self._detector = Detector(online_models(), settings.model_threshold)
        self._correlator = Correlator(WINDOW_MS)
        self._offset = -1

    def __call__(self, raw: bytes) -> bytes:
        """Handle one event."""
        self._offset = offset = self._offset + 1
        units = Units([raw], ["default"], [offset], [2 * offset], [int(time.time() * 1000)])
        batches = self._normalizer.quickly(units, PLACE, 2 * offset, 2 * offset)
        if not batches:
            raise ValueError(f"expected a good event, found {raw!r:.200}")
        ((_, batch),) = batches
        value = batch.encode()
        signals = self._detector.process(batch, offset).signals
        if signals:
            record: dict[str, Any] = {
                "origin_partition": 0,
                "origin_first": offset,
                "origin_last": offset,
                "signals": signals,
            }
            self._correlator.process([record])
        return value


class Metered:
    """Calls a function of an event and measures from event `warm` to event `warm` + `events`."""

    def __init__(
        self, function: Callable[[bytes], bytes], meter: Meter, warm: int, events: int
    ) -> None:
        self._function, self._meter = function, meter
        self._warm, self._events = warm, events
        self._held: list[bytes] = []
        self._seen = 0

    def __call__(self, raw: bytes) -> bytes:
        """Handle one event; every few, take the yardstick on them before and after."""
        self._seen += 1
        if self._seen == self._warm:
            self._meter.begin()
        result = self._function(raw)
        self._held.append(raw)
        if len(self._held) == EVERY:
            self._meter.yardstick(self._held)
            if self._seen > self._warm:
                self._meter.note(EVERY)
            self._held.clear()
        return result

    @property
    def done(self) -> bool:
        """Whether enough events were measured."""
        return self._meter.events >= self._events
