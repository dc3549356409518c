"""Faust apps, one a stage, and how one process runs several of them on one event loop.

A stage is a consumer group ``sentinel.<stage>``. If its agent or a hook raises, the process
logs why and exits with status 70 at once: Faust would restart the agent but lose the batch,
whereas a supervisor that restarts the process resumes at the committed or checkpointed offset.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import faust
from faust.app.base import BootStrategy
from faust.sensors import SensorDelegate
from faust.types import TP, StreamT
from mode import ServiceT

from sentinel import log
from sentinel.kafka import client_config
from sentinel.settings import Settings
from streams.transport import Consumer, Hooks, Limits

__all__ = ["EXIT_FAILED", "StageApp", "build", "run", "serve"]

EXIT_FAILED = 70
"""Exit status (EX_SOFTWARE of sysexits.h) that asks the supervisor for a restart."""
STOP_S = 9.0
COMMIT_S = 1.0
"""Time between two commits to Kafka, for whoever looks there: stages go by their checkpoints."""
MIB = 1 << 20
_CLASSIC_ONLY = ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy")
#: What of Faust is switched off, and how raw batches pass through it.
_CONF: dict[str, Any] = {
    "autodiscover": False,
    "broker_commit_interval": COMMIT_S,
    "cache": "memory://",
    "key_serializer": "raw",
    "processing_guarantee": "at_least_once",
    "reply_create_topic": False,
    "store": "memory://",
    "stream_buffer_maxsize": 1,  # what waits, waits in the transport, where it is bounded
    "stream_wait_empty": False,
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "value_serializer": "raw",
    "web_enabled": False,
}
Agent = Callable[[StreamT[Any]], Awaitable[None]]

LOG = log.get("streams.app")


class _OnlyConsume(BootStrategy):
    """Start what consumes; no web server, tables, leader, reply consumer or producer."""

    def server(self) -> Iterable[ServiceT]:
        return [self.app.consumer, self.app.agents, self.app.topics]


class StageApp(faust.App):
    """A Faust app over the batch transport; made by `build`."""

    BootStrategy = _OnlyConsume
    consumer: Consumer
    stage: str
    consumer_config: Mapping[str, Any]
    hooks: Hooks | None
    limits: Limits
    in_turn: bool

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Return the services to start; no monitor, whose sensors cost time and tell nobody."""
        self.sensors = SensorDelegate(self)
        return self.boot_strategy.server()

    async def on_first_start(self) -> None:
        """Make no directories: there are no tables."""

    async def on_start(self) -> None:
        """Open the flow; the transport itself holds back what must not flow."""
        await super().on_start()
        self.flow_control.resume()

    async def on_started(self) -> None:
        """Do nothing: there are no tables to recover."""

    async def on_stop(self) -> None:
        """Let the stage finish and commit while its agent still runs."""
        await self.consumer.leave()

    def fail(self, error: BaseException) -> NoReturn:
        """End the process now with `EXIT_FAILED`, without any more commits."""
        try:
            LOG.critical(
                "failed, exiting for a restart", action="exit", stage=self.stage, exc_info=error
            )
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # whatever becomes of the last words: a worker without its pump is no use
            os._exit(EXIT_FAILED)

    def end(self, topic: str, partition: int) -> int:
        """Return the end of a partition as of the last fetch, -1 if unknown."""
        return self.consumer.highwater(TP(topic, partition))

    def reached(self, topic: str, partition: int, done: int) -> int:
        """Return where a partition goes on once all records before `done` are handled."""
        return self.consumer.reached((topic, partition), done)

    def lag(self) -> dict[TP, int]:
        """Return the unacknowledged records of every owned partition, where known."""
        return self.consumer.lag()


def build(
    settings: Settings,
    stage: str,
    topics: Sequence[str],
    agent: Agent,
    hooks: Hooks | None = None,
    *,
    instance: str = "",
    limits: Limits | None = None,
    in_turn: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> StageApp:
    """Return the app of a stage; its consumer group is ``sentinel.<stage>``.

    Parameters
    ----------
    topics
        All that the stage reads; they must exist.
    agent
        ``async def agent(stream)``, to iterate over ``stream.noack().events()`` and call
        ``event.ack()`` when a batch is done, in any order; ``event.value`` is a `RecordBatch`.
    hooks
        Called as partitions come and go; None: start at the committed offset, and on
        revocation wait until the agent has acknowledged what it has.
    instance
        Static member name, unique among the workers of the stage and stable over restarts
        (such as ``host-1``): a worker that comes back within 10 s gets its partitions without
        a rebalance. Empty: a dynamic member.
    in_turn
        Give the agent a batch of a partition only once it has called `RecordBatch.done` of
        the one before: for agents that work on several partitions at a time.
    extra
        librdkafka settings that override the defaults.
    """
    group = f"sentinel.{stage}"
    app = StageApp(group, broker="rdk://", **_CONF)
    app.stage = stage
    app.consumer_config = consumer_config(settings, group, instance, extra)
    app.hooks = hooks
    app.limits = limits or Limits()
    app.in_turn = in_turn

    async def guarded(stream: StreamT[Any]) -> None:
        stream.add_processor(app.consumer.take)
        try:
            await agent(stream)
            if not app.should_stop:
                raise RuntimeError("expected an agent that iterates for ever, found that it ended")
        except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, restart
            app.fail(error)

    app.agent(app.topic(*topics), name=group, concurrency=1)(guarded)
    return app


def consumer_config(
    settings: Settings, group: str, instance: str = "", extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the librdkafka settings of a stage's consumer; those of `extra` win.

    Fetches are small because they are compressed: logs grow tenfold and more, and one process
    runs several stages. At full speed a consumer takes 85 MB with these sizes, 375 MB with
    fetches of 16 MiB, at the same CPU time a record. A larger record still comes through, for
    the broker sends at least one (KIP-74), up to ``receive.message.max.bytes``.
    ``fetch.queue.backoff.ms`` of 1000, the default, halts a consumer whose prefetch is bounded.
    Members learn of a rebalance by a heartbeat, and a cooperative one takes two rounds.
    Options: librdkafka, CONFIGURATION.md.
    """
    config = client_config(settings) | {
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "fetch.max.bytes": MIB,
        "fetch.message.max.bytes": MIB // 4,
        "fetch.queue.backoff.ms": 10,
        "heartbeat.interval.ms": 1000,
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "queued.max.messages.kbytes": 2 * 1024,
        "queued.min.messages": 100_000,
        "receive.message.max.bytes": 96 * MIB,
        "session.timeout.ms": 10_000,
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    if instance:
        config["group.instance.id"] = f"{group}.{instance}"
    config |= extra or {}
    if config.get("group.protocol") == "consumer":  # KIP-848: the broker decides these
        for name in _CLASSIC_ONLY:
            config.pop(name, None)
    return config


async def serve(apps: Sequence[StageApp], stop: asyncio.Event) -> int:
    """Run apps on this event loop until `stop` is set, then end them cleanly.

    Returns
    -------
    int
        Exit status: 0, or `EXIT_FAILED` where an app crashed or would not stop in time.
    """
    for app in apps:
        await app.maybe_start()
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(app.wait_until_stopped()) for app in apps]
    waits.append(asyncio.create_task(stop.wait()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    crashed = [app for app in apps if app.crashed]
    for app in crashed:
        LOG.critical("crashed", action="exit", stage=app.stage, exc_info=app.crash_reason)
    try:
        async with asyncio.timeout(STOP_S):
            await asyncio.gather(*(app.stop() for app in apps))
    except TimeoutError:
        LOG.warning("the stages did not stop in time", action="exit", limit_s=STOP_S)
        return EXIT_FAILED
    return EXIT_FAILED if crashed else 0


def run(apps: Callable[[], Sequence[StageApp]]) -> int:
    """Run apps until SIGTERM or SIGINT; return the exit status. Leaves logging as it is.

    Parameters
    ----------
    apps
        Makes the apps, within the event loop they will run on.
    """

    async def main() -> int:
        stop = asyncio.Event()
        with stopping(stop):
            return await serve(apps(), stop)

    return asyncio.run(main())


@contextlib.contextmanager
def stopping(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM or SIGINT, while inside, on the running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
