"""Most memory that a worker of all stages takes under load."""

from __future__ import annotations

from collections.abc import Iterator

from bench._with.context import Context
from bench._with.platform import platform
from bench._with.waiting import until_drained
from bench.measure import Row
from sentinel.kafka import Producer
from sentinel.ledger import ORDER
from sentinel.topics import raw


def run(context: Context) -> Iterator[Row]:
    """Push everything as fast as it goes, wait until it is stored, and look."""
    raws = context.sample.raws
    with platform(context) as running:
        idle = running.peak_mib("worker")
        with Producer(running.settings()) as producer:
            for each in raws:
                producer.send(raw("cloudtrail"), each)
        until_drained(running.settings(), ORDER)
        peak = running.peak_mib("worker")
        yield {"name": "memory", "peak_mib": peak, "started_mib": idle, "events": len(raws)}
