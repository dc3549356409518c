"""(b) The whole way raw → alert: real Faust apps, Kafka hops, checkpoints, all rules and models."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._with.context import Context, read_result, stop, write_result
from bench._with.waiting import until_drained
from bench.measure import Meter, Row
from sentinel import log, topics
from sentinel.settings import load
from streams import worker
from streams.correlate import CorrelateTask
from streams.detect import DetectTask
from streams.normalize import NormalizeTask
from streams.runtime.checkpoint import Store
from streams.runtime.stage import Output, Task
from streams.transport import RecordBatch

STAGES = ("normalize", "detect", "correlate")
WARM = 4


def run(context: Context) -> Iterator[Row]:
    """Let a worker warm up, then give it a backlog and measure until all is checkpointed."""
    raws = context.sample.raws
    settings, topic = context.stack.connected(), topics.raw("cloudtrail")
    warm_up = len(raws) // WARM
    file = context.temporary() / "result.json"
    with context.child("bench.pipeline", file) as process:
        context.fill(topic, raws[:warm_up])
        until_drained(settings, STAGES, process)
        begin = lambda: os.kill(process.pid, signal.SIGUSR1)  # noqa: E731
        context.fill(topic, raws[warm_up:], visible=begin)
        until_drained(settings, STAGES, process)
        stop(process)
        yield read_result(process, file)


def main(file: str) -> None:
    """Be the worker: measure from SIGUSR1 until the last checkpoint."""
    settings = load()
    log.configure(settings.log_level)
    meter = Meter()
    batches: Counter[str] = Counter()
    before, threads = dict[str, float](), dict[str, float]()
    _measure(meter, batches, threads)

    def begin(*_: object) -> None:
        meter.begin()
        batches.clear()
        before.update(_threads())

    signal.signal(signal.SIGUSR1, begin)
    status = worker.run(settings, STAGES)
    peak = next(
        int(text.split()[1]) // 1024
        for text in Path("/proc/self/status").read_text().splitlines()
        if text.startswith("VmHWM")
    )
    row = meter.row("pipeline", peak_mib=peak, batches=dict(batches))
    row["threads_us_per_event"] = {
        name: round((used - before.get(name, 0)) / meter.events * 1e6, 2)
        for name, used in threads.items()
        if used > before.get(name, 0)
    }
    write_result(file, row)
    sys.exit(status)


def _threads() -> dict[str, float]:
    """Return the CPU seconds of the threads of this process, by name."""
    named = {thread.native_id: thread.name for thread in threading.enumerate()}
    found: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        comm, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        name = named.get(int(task.name), comm if comm.startswith("rdk:") else "other")
        user, system = rest.split()[11:13]
        found[name] = found.get(name, 0.0) + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return found


def _measure(meter: Meter, batches: Counter[str], threads: dict[str, float]) -> None:
    """Measure tasks as steps, with the yardstick around those of raw events.

    Note at each checkpoint what `threads` took: at the end, they are gone.
    """

    def measured(kind: type[Task], name: str) -> Any:
        inner = kind.process

        def process(task: Task, batch: RecordBatch) -> Output:
            if name == "normalize":
                values = [value or b"" for value in batch.values]
                meter.yardstick(values)
            with meter.step(name):
                output = inner(task, batch)
            if name == "normalize":
                meter.yardstick(values)
            meter.note(len(batch) if name == "normalize" else 0)
            batches[name] += 1
            return output

        return process

    for kind, name in ((NormalizeTask, "normalize"), (DetectTask, "detect"),
                       (CorrelateTask, "correlate")):  # fmt: skip
        kind.process = measured(kind, name)  # type: ignore[method-assign]
    save_many = Store.save_many

    async def save(*args: Any, **kwargs: Any) -> None:
        await save_many(*args, **kwargs)
        meter.note()
        threads.update(_threads())

    Store.save_many = save  # type: ignore[method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
