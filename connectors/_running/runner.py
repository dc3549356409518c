"""One process that runs inputs, a thread each, until it is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Final

from connectors._running.config import Input
from connectors._running.watch import Watch
from connectors._running.work import Work
from connectors._sources import sources
from sentinel import log, metrics
from sentinel.settings import Settings

LOG = log.get(__name__)
#: Seconds that inputs may take to finish the page they are at.
STOP_S: Final = 15.0
POLL_S: Final = 0.2


def run(
    settings: Settings,
    inputs: Sequence[Input],
    *,
    once: bool = False,
    since: datetime | None = None,
) -> dict[str, str]:
    """Run inputs until SIGTERM or SIGINT; with `once` until each has caught up.

    An input that another runner has claimed ends; the process goes on, so that a supervisor
    that starts it again does not make the two take it from one another.

    Returns
    -------
    dict
        Name of the input to why it gave up; empty where all went well.
    """
    port = metrics.serve(settings.metrics_host, settings.metrics_port)
    works = [Work(settings, target, once=once, since=since) for target in inputs]
    for work in works:
        metrics.register(f"input {work.target.name}", work.health)
    LOG.info("inputs start", action="start", inputs=len(works), metrics_port=port)
    watch = None if once else Watch(settings, sources(settings))
    with _stopping() as stop:
        for work in works:
            work.start()
        if watch is not None:
            watch.start()
        while not stop.wait(POLL_S):
            if once and not any(work.is_alive() for work in works):
                break
        if watch is not None:
            watch.stop()
        _end(works)
    return {work.target.name: work.failed for work in works if work.failed}


def _end(works: Sequence[Work]) -> None:
    """Ask all to stop and wait for them."""
    for work in works:
        work.stop()
    for work in works:
        work.join(STOP_S)
        if work.is_alive():
            # Its page was not stored, so that it is read again: nothing is lost.
            LOG.warning("did not end in time", action="stop_late", input=work.target.name)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield what is set by SIGTERM and SIGINT."""
    stop = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
