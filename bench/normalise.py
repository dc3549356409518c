"""Decoding and summarising, source by source, beside the CPU time of ``orjson.loads``.

On the golden raw events of each connector, again and again: small, and alike more often than
events of a live source are. So the same is measured event by event as well
(`x_one_by_one`): a source whose values never come again costs that.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import orjson

import connectors
from bench._with.context import Context
from bench._with.events import ROOT, batches
from bench.measure import Meter, Row
from connectors.base import Connector, Decoder
from detectors.sigma import RuleSet
from sentinel.errors import RecordError
from sentinel.registry import discover
from streams.policy.rule_sets import own_rules

GOLDEN = ROOT / "tests" / "connectors" / "golden"
BATCH = 1000
EVENTS = 10_000


def run(context: Context) -> Iterator[Row]:
    """Measure every source whose events are JSON objects, with the fields of its rules."""
    rules = RuleSet.load([own_rules(), *context.rules])
    for name, kind in discover(connectors, Connector).items():  # type: ignore[type-abstract]
        connector = kind()
        chosen = rules.select(connector.logsources)
        decoder = connector.decoder(frozenset[str]().union(*(rule.fields for rule in chosen.rules)))
        units = list(_units(connector, decoder, GOLDEN / name))
        if units:
            yield _measure(name, connector, decoder, list(islice(cycle(units), EVENTS)))


def _units(connector: Connector, decoder: Decoder, folder: Path) -> Iterator[bytes]:
    """Yield the events of the golden files that are JSON objects and can be mapped."""
    if connector.assembler() is not None:
        return
    for path in sorted(folder.glob("*.raw.*")):
        for unit in connector.split(path.read_bytes()):
            try:
                if isinstance(orjson.loads(unit), dict):
                    connector.summarise(decoder.decode(unit))
                    yield orjson.dumps(orjson.loads(unit))
            except (ValueError, RecordError):
                continue


def _measure(name: str, connector: Connector, decoder: Decoder, raws: list[bytes]) -> Row:
    """Decode and summarise as normalize does, then event by event; twice, to warm up."""
    for _ in range(2):
        gc.collect()
        meter, single = Meter(), Meter()
        gc.disable()
        for part in batches(raws, BATCH):
            meter.yardstick(part)
            connector.columns(connector.decode_all(decoder, part))
            meter.yardstick(part)
            meter.note(len(part))
        single.begin()
        for part in batches(raws, BATCH):
            single.yardstick(part)
            for raw in part:
                connector.summarise(decoder.decode(raw))
            single.yardstick(part)
            single.note(len(part))
        gc.enable()
    mean = sum(map(len, raws)) // len(raws)
    alone = single.row(name)["x_orjson"]
    return meter.row(name, x_one_by_one=alone, bytes=mean)
