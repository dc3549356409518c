"""Correlation: contributions a second, and bytes a live group.

A third each goes to an ``event_count``, a ``value_count`` and a ``temporal_ordered``, over
100,000 groups of which one event in five belongs to a hundred busy ones. ``cold`` conditions
are hardly ever met (the second rule of the order comes once in 50,000 events instead of once
in 50); ``firing`` ones all the time, in the busy groups. Decoding the record is
part of it, as in the correlate stage. Memory is what Python has allocated (`tracemalloc`) with
one event each in so many groups, evidence aside, which is bounded as a whole.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from bench._with.context import Context
from bench.measure import Row, line
from detectors.correlation.joins import Joiner
from detectors.correlation.plan import Plan
from detectors.correlation.rules import parse_correlation
from detectors.engine.condition import Leaf as _Leaf
from detectors.engine.condition import LogSource, Rule
from schemas import avro
from schemas.batch import Strings
from schemas.joins import Arrivals, Member

GROUPS, BUSY, BATCH, LIVE = 100_000, 100, 5000, 100_000
START = 1_767_571_200_000
BODIES: dict[str, dict[str, Any]] = {
    "count": {"type": "event_count", "rules": ["a"], "condition": {"gte": 50}},
    "values": {"type": "value_count", "rules": ["a"], "condition": {"gte": 20, "field": "ip"}},
    "order": {"type": "temporal_ordered", "rules": ["a", "b"]},
}


def run(context: Context) -> Iterator[Row]:
    """Measure conditions that are hardly ever met, some that are, and memory."""
    events = 3 * context.events
    for name, factor in (("cold", 1000), ("firing", 1)):
        yield _speed(f"correlation_{name}", _plan(factor), events, 0.02 / factor)
    yield _memory()


def _plan(factor: int) -> Plan:
    """Return the correlations; conditions are harder by `factor`."""
    rules = [
        Rule(name, name, "", 1, (), LogSource(), (), (), "", _Leaf("f", "exact", name), "", name)
        for name in "ab"
    ]
    made = []
    for name, body in BODIES.items():
        whole = {"group-by": ["user"], "timespan": "5m", **body}
        if "condition" in body:
            whole["condition"] = body["condition"] | {"gte": body["condition"]["gte"] * factor}
        made.append(parse_correlation({"title": name, "id": "", "correlation": whole}))
    return Plan(rules, [_named(each) for each in made])


def _named(correlation: Any) -> Any:
    from msgspec import structs

    return structs.replace(correlation, id=correlation.title)


def _record(rng: np.random.Generator, first: int, size: int, groups: int, b: float) -> bytes:
    """Return a record of signals with `size` contributions of as many events."""
    busy = rng.random(size) < 0.2
    names = np.where(busy, rng.integers(0, BUSY, size), rng.integers(0, groups, size))
    which = np.where(rng.random(size) < b, 3, rng.integers(0, 3, size))
    times = START + 2 * np.arange(first, first + size, dtype=np.int64)
    nothing = Strings([""], np.zeros(size, np.int32))
    arrivals = Arrivals(
        members=[
            Member("count", "count", "a"),
            Member("values", "values", "a"),
            Member("order", "order", "a"),
            Member("order", "order", "b"),
        ],
        member=which.astype(np.int32),
        event=np.arange(size, dtype=np.int32),
        group=Strings.of([f"arn:aws:iam::123456789012:user/{name}" for name in names.tolist()]),
        value=Strings.of([f"192.0.2.{v}" for v in rng.integers(0, 250, size).tolist()]),
        uid=rng.integers(0, 256, (size, 16)).astype(np.uint8),
        time=times,
        arrived=times,
        origin=np.full(size, first, np.int64),
        watermark=times - 1000,
        tenant=Strings(["acme"], np.zeros(size, np.int32)),
        source=Strings(["cloudtrail"], np.zeros(size, np.int32)),
        entity=nothing,
        raw=b"{" + b"x" * 1198 + b"}" + b"y" * (1200 * (size - 1)),
        raw_end=1200 * np.arange(1, size + 1, dtype=np.int64),
    )
    record = {"origin_partition": 0, "origin_first": first, "origin_last": first}
    return avro.encode("signal_batch", record | {"signals": [], "joins": arrivals.record()})


def _speed(name: str, plan: Plan, events: int, second: float) -> Row:
    rng = np.random.default_rng(7)
    records = [
        _record(rng, first, min(BATCH, events - first), GROUPS, second)
        for first in range(0, events, BATCH)
    ]
    joiner = Joiner(plan)
    alerts = spent = 0.0
    warm = len(records) // 4
    measured = 0
    gc.collect()
    gc.freeze()
    gc.disable()  # as in a worker
    yardstick = [b'{"a": [1, 2, 3], "b": "%d"}' % number for number in range(BATCH)]
    loaded = 0.0
    for place, value in enumerate(records):
        before = time.process_time()
        record = avro.decode("signal_batch", value)
        found = joiner.process([(0, record["origin_last"], Arrivals.read(record["joins"]))])
        if place >= warm:
            spent += time.process_time() - before
            measured += min(BATCH, events - place * BATCH)
            alerts += len(found.alerts)
            before = time.process_time()
            for each in yardstick:
                orjson.loads(each)
            loaded += (time.process_time() - before) * min(1, (events - place * BATCH) / BATCH)
    gc.enable()
    gc.unfreeze()
    row = line(name, spent / measured, loaded / measured)
    return row | {
        "alert_records": int(alerts),
        "live_groups": joiner.live,
    }


def _memory() -> Row:
    rng = np.random.default_rng(8)
    plan = _plan(1000)
    records = [_record(rng, first, BATCH, 1 << 40, 0.0) for first in range(0, LIVE, BATCH)]
    gc.collect()
    tracemalloc.start()
    joiner = Joiner(plan, room=0)
    before = tracemalloc.get_traced_memory()[0]
    for value in records:
        record = avro.decode("signal_batch", value)
        joiner.process([(0, record["origin_last"], Arrivals.read(record["joins"]))])
        del record
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return {
        "name": "correlation_memory",
        "live_groups": joiner.live,
        "bytes_per_group": round(taken / joiner.live),
        "snapshot_bytes_per_group": round(len(joiner.snapshot()) / joiner.live),
    }
