"""(d) The same pure functions in stock Faust on aiokafka, event by event."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust

from bench._with.context import Context, write_result
from bench._with.per_event import AllStages, Metered
from bench.measure import Meter, Row
from sentinel.settings import load

EVENTS, WARM = 6000, 2000


def run(context: Context) -> Iterator[Row]:
    """Measure in a process of its own; without our work too."""
    raws = context.sample.raws[: EVENTS + WARM]
    source, target = context.topic(raws), context.topic()
    for name in ("faust", "faust_nothing_done"):
        yield context.result("bench.faust", name, source, target, len(raws) - WARM)


def main(file: str, name: str, source: str, target: str, events: str) -> None:
    """Be that process."""
    meter = Meter()
    metered = Metered(AllStages() if name == "faust" else bytes, meter, WARM, int(events))
    app = faust.App(
        f"{name}-{source}",
        broker=f"kafka://{load().kafka}",
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        datadir=Path(file).parent,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    read, written = (app.topic(topic, value_type=bytes) for topic in (source, target))

    async def agent(stream: Any) -> None:
        async for raw in stream:
            await written.send(value=metered(raw))
            if metered.done:
                write_result(file, meter.row(name))
                os._exit(0)

    app.agent(read)(agent)
    sys.argv = ["faust", "worker", "--loglevel", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
