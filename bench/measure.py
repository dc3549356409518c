"""CPU time per event, with ``orjson.loads`` on the same events as the yardstick beside it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import orjson

#: A line of the table: ``name``, ``cpu_us_per_event``, ``events_per_s``, ``x_orjson``, and more.
Row = dict[str, Any]
Clock = Callable[[], float]


class Meter:
    """CPU time of this process between `begin` and the last `note`, without the yardstick's.

    Parameters
    ----------
    process_clock
        CPU seconds of all threads of the process.
    thread_clock
        CPU seconds of the calling thread: the yardstick runs in one.
    """

    def __init__(
        self, process_clock: Clock = time.process_time, thread_clock: Clock = time.thread_time
    ) -> None:
        self._process, self._thread = process_clock, thread_clock
        self._steps: dict[str, float] = defaultdict(float)
        self.begin()

    def begin(self) -> None:
        """Start anew from here: what came before was warming up."""
        self._begun = self._noted = self._process()
        self._yardstick = self._yardstick_noted = 0.0
        self._loaded = self._events = 0
        self._steps.clear()

    def note(self, events: int = 0) -> None:
        """Note that `events` more are done; what follows the last note is not counted."""
        self._events += events
        self._noted = self._process()
        self._yardstick_noted = self._yardstick

    def yardstick(self, raws: Sequence[bytes]) -> None:
        """Decode `raws` with orjson; call it before and after the work on them."""
        before = self._thread()
        for raw in raws:
            orjson.loads(raw)
        self._yardstick += self._thread() - before
        self._loaded += len(raws)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time inside, of this thread, to the step `name`."""
        before = self._thread()
        yield
        self._steps[name] += self._thread() - before

    @contextmanager
    def wrapped(self, owner: Any, method: str, name: str) -> Iterator[None]:
        """Measure every call of a method of an object, or of a class, as the step `name`."""
        inner = getattr(owner, method)

        def measured(*args: Any, **kwargs: Any) -> Any:
            with self.step(name):
                return inner(*args, **kwargs)

        setattr(owner, method, measured)
        yield
        setattr(owner, method, inner)

    @property
    def events(self) -> int:
        """Events noted since `begin`."""
        return self._events

    def row(self, name: str, **more: Any) -> Row:
        """Return the line of the table.

        Raises
        ------
        ValueError
            Nothing was noted, or there was no yardstick.
        """
        if not self._events or not self._loaded:
            raise ValueError(
                f"{name}: expected events and a yardstick, found {self._events} events noted "
                f"and {self._loaded} loaded"
            )
        cpu = (self._noted - self._begun - self._yardstick_noted) / self._events
        load = self._yardstick / self._loaded
        found = line(name, cpu, load, events=self._events)
        for step, seconds in self._steps.items():
            found[f"x_{step}"] = round(seconds / self._events / load, 3)
        return found | more


def line(name: str, cpu: float, load: float, **more: Any) -> Row:
    """Return a row from CPU seconds per event and those of the yardstick.

    >>> line("a", 2e-5, 1e-5)["x_orjson"]
    2.0
    """
    return {
        "name": name,
        "cpu_us_per_event": round(cpu * 1e6, 3),
        "events_per_s": round(1 / cpu) if cpu > 0 else None,
        "x_orjson": round(cpu / load, 3),
        "orjson_us_per_event": round(load * 1e6, 3),
    } | more


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` % of `values` do not exceed.

    >>> percentile([4, 1, 3, 2], 50), percentile([4, 1, 3, 2], 99)
    (2, 4)
    """
    if not values:
        raise ValueError("expected values to take a percentile of, found none")
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]
