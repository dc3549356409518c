"""A worker: the chosen stages, one Faust app each, on one event loop.

Start as many as there are cores, on as many hosts as needed; Kafka's consumer groups
share the partitions out. All that a worker knows is in Kafka and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import streams.sinks
from connectors._sources import sources
from connectors.base import Connector
from detectors.sigma import RuleSet
from schemas import avro
from sentinel import log, metrics
from sentinel.errors import KafkaError
from sentinel.kafka import Producer, describe_topics
from sentinel.kafka.registry import schema_registry
from sentinel.metrics import Health
from sentinel.registry import discover
from sentinel.settings import Settings
from streams import app
from streams.policy.rule_sets import load_rules
from streams.runtime import telemetry
from streams.runtime.checkpoint import Store
from streams.runtime.outlets import ProducerOutlet, SinkOutlet
from streams.runtime.stage import Outlet, Runner, Stage
from streams.sinks.base import Sink

if TYPE_CHECKING:
    from streams.deliver import DeliverStage

LOG = log.get(__name__)
#: Partitions of each topic, as the broker has them.
Partitions = Mapping[str, int]


class Given:
    """What stages are made of; what several need is made once."""

    def __init__(self, settings: Settings, partitions: Partitions) -> None:
        self.settings = settings
        self.partitions = partitions

    @cached_property
    def sources(self) -> dict[str, type[Connector]]:
        """The connectors, by source."""
        return sources(self.settings)

    @cached_property
    def rules(self) -> RuleSet:
        """All rules."""
        return load_rules(self.settings)


# Each imports its stage when it makes it: a worker pays for the libraries of no other.


def _neural(given: Given) -> Stage:
    from streams.neural import NeuralStage

    return NeuralStage()


def _normalize(given: Given) -> Stage:
    from streams.normalize import NormalizeStage

    return NormalizeStage(given.settings, given.sources, given.rules, given.partitions["events"])


def _detect(given: Given) -> Stage:
    from streams.detect import DetectStage

    return DetectStage(given.settings, given.partitions["signals"])


def _correlate(given: Given) -> Stage:
    from streams.correlate import CorrelateStage

    alerts, signals = given.partitions["alerts"], given.partitions["signals"]
    return CorrelateStage(given.settings, alerts, signals, plan=given.rules.plan)


def _persist(given: Given) -> Stage:
    from connectors._mapper import Mapper
    from streams.persist import PersistStage
    from streams.policy.look_ups import look_ups

    found = look_ups(given.settings)
    return PersistStage(Mapper(given.settings, "persist", given.sources, found))


def _dead_letter(given: Given) -> Stage:
    from streams.dead_letter import DeadLetterStage

    return DeadLetterStage()


def _deliver(given: Given) -> Stage:
    from streams.deliver import DeliverStage

    return DeliverStage(given.settings)


def _stimulate(given: Given) -> Stage:
    from streams.stimulate import StimulateStage

    return StimulateStage(given.settings.home / "stimuli")


#: How each stage is made, in the order of the flow.
STAGES: dict[str, Callable[[Given], Stage]] = {
    "neural": _neural,
    "normalize": _normalize,
    "detect": _detect,
    "correlate": _correlate,
    "persist": _persist,
    "dead_letter": _dead_letter,
    "deliver": _deliver,
    "stimulate": _stimulate,
}
#: Seconds between two looks at the lag.
LAG_S = 2.0
#: Of malloc.h.
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
#: Of sys/mman.h.
MADV_DONTNEED = 4
#: Bytes from which an allocation is a mapping of its own, given back when it is freed.
MAPPED = 256 << 10
#: MiB of records that may wait to be sent.
QUEUE_MIB = 32
#: Seconds between two looks of the garbage collector at what is new; at all every so many.
TIDY_S, TIDY_ALL = 1.0, 60
#: Seconds until a stage that could not keep itself up to date tries again.
BESIDE_S = 5.0
#: Stages whose output are rows for the sinks.
TO_SINKS = {"persist", "dead_letter"}


def sinks(settings: Settings) -> list[Sink]:
    """Return the sinks whose setting of the same name is set, the system of record last."""
    found = discover(
        streams.sinks,
        Sink,  # type: ignore[type-abstract]
        lambda name: bool(getattr(settings, name, "")),
    )
    return sorted((cls(settings) for cls in found.values()), key=lambda sink: sink.transactional)


def partitions_of(settings: Settings) -> dict[str, int]:
    """Return the partitions of every topic that the stages need.

    Raises
    ------
    KafkaError
        One is missing: topics are made by ``sentinel topics create``, never in passing.
    """
    states = describe_topics(settings, sources(settings))
    if missing := [state.name for state in states if not state.exists]:
        raise KafkaError(
            f"expected the topics {', '.join(missing)}, the broker has none of them; "
            "make them with `sentinel topics create`"
        )
    return {state.name: state.partitions for state in states}


class Worker:
    """Owns what the stages of one process share, and their apps."""

    def __init__(self, settings: Settings, names: Sequence[str], slot: int) -> None:
        self._settings = settings
        partitions = partitions_of(settings)
        given = Given(settings, partitions)
        self._stages = [STAGES[name](given) for name in names]
        # A static member that comes back gets its old assignment without a look at the
        # topics, so a worker that finds other topics than before must be another member.
        topics = zlib.crc32(repr(sorted(partitions.items())).encode())
        self._instance = f"slot-{slot}-{topics:08x}"
        self._sinks: list[Sink] = []

    async def open(self) -> list[app.StageApp]:
        """Connect, and return the apps, ready to start."""
        settings = self._settings
        avro.configure(schema_registry(settings))
        self._store = await Store.open(settings.postgres)
        self._producer = Producer(settings, queue_mib=QUEUE_MIB)
        if any(stage.name in TO_SINKS for stage in self._stages):
            self._sinks = sinks(settings)
        for sink in self._sinks:
            await sink.open()
        for stage in self._stages:
            await stage.open()
        apps = [self._app(stage) for stage in self._stages]
        gc.collect()
        gc.freeze()  # rules and tables live for ever: the collector need not look at them
        gc.disable()  # nor at a batch half done: `_tidy` lets it look between batches
        _forget_compiler()
        return apps

    def _app(self, stage: Stage) -> app.StageApp:
        outlet: Outlet = ProducerOutlet(self._producer)
        if stage.name in TO_SINKS:
            outlet = SinkOutlet(self._producer, self._sinks)
        elif stage.name == "deliver":
            outlet = cast("DeliverStage", stage).outlet(self._producer)
        runner = Runner(stage, self._store, outlet, self._settings)
        built = app.build(
            self._settings, stage.name, stage.topics(), runner.run, runner,
            instance=self._instance, in_turn=outlet.together > 1,
        )  # fmt: skip
        runner.end, runner.reached = built.end, built.reached
        return built

    async def beside(self, stage: Stage) -> None:
        """Let a stage keep itself up to date; what fails is named, and tried again."""
        while True:
            try:
                return await stage.beside()
            except Exception:
                LOG.exception("a stage goes on with what it had", action="beside", stage=stage.name)
                await asyncio.sleep(BESIDE_S)

    def work(self) -> list[asyncio.Task[None]]:
        """Start what goes on beside the stages."""
        return [asyncio.create_task(self.beside(stage)) for stage in self._stages]

    async def close(self) -> None:
        """Disconnect."""
        for stage in self._stages:
            await stage.close()
        for sink in self._sinks:
            await sink.close()
        await self._store.close()
        self._producer.close()


def run(settings: Settings, names: Sequence[str], slot: int = 0) -> int:
    """Run the stages `names` until SIGTERM or SIGINT; return the exit status.

    Parameters
    ----------
    slot
        Which of several workers on this host this is: its place in the consumer groups
        is kept for it when it restarts within the session timeout.
    """
    _lean()
    started = asyncio.Event()
    metrics.register("stages", lambda: Health(started.is_set(), list(names)))
    port = metrics.serve(settings.metrics_host, settings.metrics_port)
    worker = Worker(settings, names, slot)
    LOG.info("worker starts", action="start", stages=list(names), metrics_port=port)
    return asyncio.run(_serve(worker, started))


def _lean() -> None:
    """Keep freed memory from staying in heaps, where the C library is glibc (mallopt(3)).

    Kafka's threads allocate what ours frees, so that heaps of their own fill with holes:
    that took 70 of 500 MiB. Fewer heaps take about 2 % more CPU time. Batches are megabytes
    in one piece; left to itself, the library soon keeps those in heaps too, another 30 MiB.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, 2)
        library.mallopt(M_MMAP_THRESHOLD, MAPPED)


def _forget_compiler() -> None:
    """Give back the pages of LLVM's code, 50 MiB that hardly anyone needs after the start.

    Nothing writes to the code of a library, so it is read again from its file wherever it is
    still wanted (madvise(2), MADV_DONTNEED; proc_pid_maps(5)).
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for line in Path("/proc/self/maps").read_text().splitlines():
            if " r-xp " in line and line.endswith("/libllvmlite.so"):
                start, end = (int(each, 16) for each in line.split()[0].split("-"))
                library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


async def _serve(worker: Worker, started: asyncio.Event) -> int:
    stop = asyncio.Event()
    with app.stopping(stop):
        apps = await worker.open()
        started.set()
        tasks = [asyncio.create_task(_show_lag(apps)), asyncio.create_task(_tidy())]
        tasks += worker.work()
        try:
            return await app.serve(apps, stop)
        finally:
            for task in tasks:
                task.cancel()
            gc.enable()
            await worker.close()


async def _tidy() -> None:
    """Free reference cycles, which are few and small, while no batch is under way.

    Left to itself the collector looks at the 100,000 objects of a batch again and again,
    none of which is ever in a cycle.
    """
    for each in itertools.count(1):
        await asyncio.sleep(TIDY_S)
        gc.collect(2 if each % TIDY_ALL == 0 else 0)


async def _show_lag(apps: Sequence[app.StageApp]) -> None:
    """Keep the lag of every partition in the metrics."""
    while True:
        await asyncio.sleep(LAG_S)
        for each in apps:
            telemetry.lag(each.conf.id.removeprefix("sentinel."), each.lag().items())
