"""Start-up of the whole platform, in a directory that has been used before."""

from __future__ import annotations

from collections.abc import Iterator

from bench._with.context import Context
from bench._with.platform import Platform
from bench.measure import Row


def run(context: Context) -> Iterator[Row]:
    """Start twice, stop twice; the second start is what everyone meets from then on."""
    running = Platform(context, context.temporary())
    took = []
    for time in ("first", "second"):
        context.report(f"starting a platform for the {time} time")
        took.append(running.sentinel("up", "--detach"))
        stopped = running.sentinel("down")
    yield {
        "name": "start",
        "seconds": round(took[1], 2),
        "first_seconds": round(took[0], 2),
        "stop_seconds": round(stopped, 2),
    }
