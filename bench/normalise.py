"""Decoding, summarising and mapping, by source, beside the CPU time of ``orjson.loads``.

On the golden raw events of each connector, again and again: small, and alike more often than
events of a live source are. So the same is measured event by event as well
(`x_one_by_one`): a source whose values never come again costs that. `ocsf_us` is the CPU time
of the mapping to OCSF, which is off the way from an event to its alert.

Before them `auditd_coalesce`: audit records put together into events, the figures of a record;
its yardstick is given each record as a text.
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
from connectors.auditd import Auditd
from connectors.base import Connector, Decoder
from detectors.sigma import RuleSet
from sentinel.errors import RecordError
from sentinel.registry import discover
from sentinel.sample.auditd import Log
from streams.policy.rule_sets import own_rules

GOLDEN = ROOT / "tests" / "connectors" / "golden"
BATCH = 1000
EVENTS = 10_000
MAPPED = 1000
MESSAGE = 200
"""Lines of an audit log in a message, about what the readers make of a busy one."""


def run(context: Context) -> Iterator[Row]:
    """Measure every source whose events are JSON objects, with the fields of its rules."""
    yield _coalesce()
    rules = RuleSet.load([own_rules(), *context.rules])
    for name, kind in discover(connectors, Connector).items():  # type: ignore[type-abstract]
        connector = kind()
        chosen = rules.select(connector.logsources)
        decoder = connector.decoder(frozenset[str]().union(*(rule.fields for rule in chosen.rules)))
        units = list(_units(connector, decoder, GOLDEN / name))
        if units:
            yield _measure(name, connector, decoder, list(islice(cycle(units), EVENTS)))


def _coalesce() -> Row:
    """Put the records of commands together, five and an end to each."""
    connector, log = Auditd(), Log("web-1.example.com")
    assembler = connector.assembler()
    commands = (["curl", "-s", f"https://example.com/{number}"] for number in range(EVENTS))
    events = [
        log.command(1_772_442_900 + row / 100, words, uid=1000, auid=1000)[1]
        for row, words in enumerate(commands)
    ]
    lines = b"\n".join(events).split(b"\n")
    meter, made = Meter(), 0
    for offset, part in enumerate(batches(lines, MESSAGE)):
        meter.yardstick([orjson.dumps(line.decode()) for line in part])
        made += len(assembler.feed(tuple(connector.split(b"\n".join(part))), offset))
        meter.note(len(part))
    if made != len(events):
        raise ValueError(f"expected {len(events)} events of audit records, found {made}")
    return meter.row("auditd_coalesce")


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
    """Decode and summarise as normalize does, then event by event, and map; twice, to warm up."""
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
        mapping = Meter()
        for part in batches(raws[:MAPPED], BATCH):
            mapping.yardstick(part)
            for raw in part:
                connector.to_ocsf(raw)
            mapping.note(len(part))
        gc.enable()
    mean = sum(map(len, raws)) // len(raws)
    alone, ocsf = single.row(name)["x_orjson"], mapping.row(name)["cpu_us_per_event"]
    return meter.row(name, x_one_by_one=alone, ocsf_us=ocsf, bytes=mean)
