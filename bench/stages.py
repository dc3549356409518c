"""The pure functions of (b) on batches in memory, without Kafka, step by step."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import connectors
from bench._with.context import PARTITIONS, Context
from bench._with.events import batches
from bench.measure import Meter, Row
from connectors.base import Connector
from detectors.detect import Detector, warm
from detectors.scoring.choose import online_models
from detectors.sigma import RuleSet
from schemas.batch import EventBatch
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.detect import DetectTask
from streams.normalize import NormalizeTask
from streams.normalizer import Normalizer
from streams.policy.rule_sets import own_rules
from streams.runtime.stage import Task
from streams.transport import RecordBatch
from streams.transport.offsets import Lease

BATCH = 5000
THRESHOLD = 0.6


def run(context: Context) -> Iterator[Row]:
    """Run every event through all stages, once to warm up and once to measure."""
    rules = RuleSet.load([own_rules(), *context.rules])
    warm()
    meter = Meter()
    flow = _Flow(rules, meter)
    gc.collect()
    gc.freeze()
    gc.disable()
    raws = context.sample.raws
    warm_up = len(raws) // 4
    for part in batches(raws[:warm_up], BATCH):
        flow.push(part)
    with ExitStack() as steps:
        for owner, method, name in flow.steps():
            steps.enter_context(meter.wrapped(owner, method, name))
        meter.begin()
        for part in batches(raws[warm_up:], BATCH):
            meter.yardstick(part)
            flow.push(part)
            meter.yardstick(part)
            meter.note(len(part))
    yield meter.row("stages", rules=len(rules.rules), matched_rules=flow.applicable)
    gc.unfreeze()


class _Flow:
    """The three stages, each output handed to the next at once."""

    def __init__(self, rules: RuleSet, meter: Meter) -> None:
        self.connector = discover(connectors, Connector)["cloudtrail"]()  # type: ignore[type-abstract]
        self.normalizer = Normalizer("cloudtrail", self.connector, rules, PARTITIONS)
        self.meter = meter
        self.normalize = NormalizeTask(self.normalizer, self.connector, 1 << 20)
        self.detect: list[Task] = [
            DetectTask(Detector(online_models(), THRESHOLD), PARTITIONS) for _ in range(PARTITIONS)
        ]
        settings = Settings()
        self.correlate: list[Task] = [
            CorrelateStage(settings, PARTITIONS, PARTITIONS, plan=rules.plan).task("signals", place)
            for place in range(PARTITIONS)
        ]
        self.applicable = len(self.normalizer.matcher.rules)
        self._offsets: dict[tuple[str, int], int] = {}

    def push(self, raws: list[bytes]) -> None:
        """Run one batch through all stages."""
        with self.meter.step("normalize"):
            events = self.normalize.process(self._records("raw.cloudtrail", 0, raws))
        for record in events.records:
            place = record.partition or 0
            with self.meter.step("detect"):
                found = self.detect[place].process(self._records("events", place, [record.value]))
            for signal in found.records:
                at = signal.partition or 0
                with self.meter.step("correlate"):
                    self.correlate[at].process(self._records("signals", at, [signal.value]))

    def _records(self, topic: str, partition: int, values: list[Any]) -> RecordBatch:
        first = self._offsets.get((topic, partition), 0)
        self._offsets[topic, partition] = first + len(values)
        offsets = list(range(first, first + len(values)))
        now = [int(time.time() * 1000)] * len(values)
        nothing: list[Any] = [None] * len(values)
        return RecordBatch(Lease((topic, partition)), offsets, nothing, values, now, nothing)

    def steps(self) -> list[tuple[Any, str, str]]:
        """Return the steps of normalize: whose method, which, and what it is called here."""
        return [
            (self.connector, "decode_all", "decode"),
            (self.connector, "columns", "summarise"),
            (self.normalizer, "_columns", "columns"),
            (self.normalizer, "_match", "match"),
            (EventBatch, "split", "split"),
            (EventBatch, "encode", "encode"),
        ]
