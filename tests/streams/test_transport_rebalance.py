"""Workers that come, go, fall out and die: nothing is lost, and nothing is committed early.

Run as a program, this file is a worker: ``python FILE BOOTSTRAP STAGE TOPIC INSTANCE OUT``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from sentinel.settings import Settings
from streams.app import EXIT_FAILED, StageApp, build, run, serve
from streams.transport import Limits

PARTITIONS = 4
PROTOCOLS = {
    "cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
    "eager": {"partition.assignment.strategy": "range,roundrobin"},
    "kip-848": {"group.protocol": "consumer"},
}


class Worker:
    """One member of a group, started by a test."""

    def __init__(self, app: StageApp) -> None:
        self.app = app
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(serve([app], self._stop))

    async def stop(self) -> None:
        self._stop.set()
        assert await self._task == 0


@pytest.fixture
async def start() -> AsyncIterator[Callable[[StageApp], Worker]]:
    """Return ``start(app)``; what still runs at the end of the test is stopped."""
    workers: list[Worker] = []

    def begin(app: StageApp) -> Worker:
        workers.append(Worker(app))
        return workers[-1]

    yield begin
    for worker in workers:
        await worker.stop()


class Tally:
    """An agent for several workers: counts each record, acknowledges after a moment."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[int, int]] = Counter()

    async def __call__(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await asyncio.sleep(0)
            batch = event.value
            self.seen.update((batch.partition, offset) for offset in batch.offsets)
            event.ack()


@pytest.fixture
def settings(kafka: str) -> Settings:
    return Settings(kafka=kafka)


def send(producer: Producer, topic: str, count: int) -> None:
    for number in range(count):
        producer.produce(topic, b"x" * 100, partition=number % PARTITIONS)
    producer.flush()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_workers_join_and_leave_under_load(
    settings, topic, producer, start, until, committed, protocol: str
):
    name, tally = topic(PARTITIONS), Tally()
    extra = PROTOCOLS[protocol]

    def worker() -> Worker:
        limits = Limits(batch_records=50)
        return start(build(settings, name, [name], tally, limits=limits, extra=extra))

    async def load() -> int:
        sent = 0
        while not enough.is_set():
            await asyncio.to_thread(send, producer, name, 200)
            sent += 200
            await asyncio.sleep(0.02)
        return sent

    async def settle(workers: list[Worker]) -> None:
        def spread() -> bool:
            owned = [len(worker.app.consumer.assignment()) for worker in workers]
            return sum(owned) == PARTITIONS and min(owned) >= 1

        await until(spread)
        before = tally.seen.total()
        await until(lambda: tally.seen.total() > before + 1000)

    enough = asyncio.Event()
    loading = asyncio.create_task(load())
    workers = [worker()]
    await settle(workers)
    rounds = 1 if protocol == "kip-848" else 2  # its members learn of changes every 5 s
    for _ in range(rounds):
        workers.append(worker())
        await settle(workers)
    for _ in range(rounds):
        await workers.pop(0).stop()
        await settle(workers)
    enough.set()
    total = await loading
    await until(lambda: len(tally.seen) == total)
    await workers.pop().stop()
    # Nobody crashed, so each record was handled exactly once although partitions moved.
    assert set(tally.seen.values()) == {1}
    assert sum(committed(name, name, PARTITIONS)) == total


async def test_revocation_with_work_in_flight_commits_only_what_is_done(
    settings, topic, producer, start, until, committed
):
    name = topic(2)
    for partition in range(2):
        for number in range(30):
            producer.produce(name, b"%d" % number, partition=partition)
    producer.flush()
    held: list[Any] = []
    later = Tally()

    async def hold(stream: Any) -> None:
        async for event in stream.noack().events():
            held.append(event)  # noqa: PERF401 - one by one, as they come

    limits = Limits(batch_records=10, revoke_s=0.3)
    first = start(build(settings, name, [name], hold, limits=limits))
    await until(lambda: sum(len(event.value) for event in held) == 60)
    done = [event for event in held if event.value.first < 10]
    assert all(event.ack() for event in done)
    begun = {event.value.partition: event.value.last + 1 for event in done}
    second = start(build(settings, name, [name], later))
    await until(lambda: len(second.app.consumer.assignment()) == 1)
    [(_, moved)] = second.app.consumer.assignment()
    stale = [event for event in held if event.value.partition == moved and event not in done]
    assert stale
    assert all(event.value.revoked for event in stale)
    assert not any(event.ack() for event in stale)
    expected = {(moved, offset) for offset in range(begun[moved], 30)}
    await until(lambda: set(later.seen) == expected)
    kept = [event for event in held if event.value.partition != moved and event not in done]
    assert all(event.ack() for event in kept), "the other partition was not disturbed"
    await first.stop()
    await second.stop()
    assert committed(name, name, 2) == [30, 30]


async def test_a_checkpoint_on_revocation_is_committed_before_the_next_owner_starts(
    settings, topic, producer, start, until
):
    name, calls, tally = topic(2), [], Tally()
    send(producer, name, 0)
    for partition in range(2):
        for _ in range(30):
            producer.produce(name, b"x", partition=partition)
    producer.flush()
    held: list[Any] = []

    class Checkpoint:
        async def on_assigned(self, tp: Any) -> None:
            calls.append(("assigned", tp))

        async def on_revoked(self, tps: frozenset[Any]) -> None:
            calls.append(("revoked", tps))
            for event in held:
                if event.message.tp in tps:
                    event.ack()

        async def on_lost(self, tps: frozenset[Any]) -> None:
            calls.append(("lost", tps))

    async def hold(stream: Any) -> None:
        async for event in stream.noack().events():
            held.append(event)  # noqa: PERF401 - one by one, as they come

    first = start(build(settings, name, [name], hold, Checkpoint()))
    await until(lambda: sum(len(event.value) for event in held) == 60)
    second = start(build(settings, name, [name], tally))
    await until(lambda: len(second.app.consumer.assignment()) == 1)
    [moved] = second.app.consumer.assignment()
    producer.produce(name, b"new", partition=moved.partition)
    producer.flush()
    await until(lambda: bool(tally.seen))
    assert set(tally.seen) == {(moved.partition, 30)}
    await first.stop()
    await second.stop()
    assert calls == [
        ("assigned", (name, 0)),
        ("assigned", (name, 1)),
        ("revoked", frozenset({moved})),
        ("revoked", frozenset({(name, 1 - moved.partition)})),
    ]


# -- worker processes ---------------------------------------------------------------------


@contextlib.contextmanager
def process(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    started = subprocess.Popen([sys.executable, __file__, *args], env=environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


async def ended(process: subprocess.Popen[bytes], limit_s: float = 120) -> int:
    """Return the exit status of a worker that is to end."""
    return await asyncio.to_thread(process.wait, limit_s)


def recorded(folder: Path) -> Counter[tuple[int, int]]:
    """Return what workers wrote; a line that a kill cut short does not count."""
    seen: Counter[tuple[int, int]] = Counter()
    for file in folder.iterdir():
        for line in file.read_text().split("\n")[:-1]:
            partition, first, last = map(int, line.split())
            seen.update((partition, offset) for offset in range(first, last + 1))
    return seen


async def test_killed_workers_lose_nothing_though_they_acknowledge_out_of_order(
    kafka, topic, producer, until, committed, tmp_path
):
    name, total = topic(PARTITIONS), 8000
    args = (kafka, name, name, "only", str(tmp_path))
    sent = 0
    for _ in range(3):
        goal = len(recorded(tmp_path)) + 500  # before more is sent: a quick worker may be done
        with process(*args):
            send(producer, name, total // 4)
            sent += total // 4
            await until(lambda goal=goal: len(recorded(tmp_path)) >= goal)  # then kill -9
    with process(*args) as last:
        send(producer, name, total - sent)
        await until(lambda: len(recorded(tmp_path)) == total)
        await until(lambda: sum(committed(name, name, PARTITIONS)) == total)
        last.send_signal(signal.SIGTERM)
        assert await ended(last) == 0
    assert recorded(tmp_path).total() < 2 * total, "restarts repeat only what was in flight"


async def test_a_worker_that_was_frozen_comes_back_without_harm(
    kafka, topic, producer, until, committed, tmp_path
):
    name, total = topic(PARTITIONS), 0
    with (
        process(kafka, name, name, "", str(tmp_path)) as frozen,
        process(kafka, name, name, "", str(tmp_path)) as other,
    ):

        async def all_seen() -> None:
            nonlocal total
            send(producer, name, 400)
            total += 400
            await until(lambda: len(recorded(tmp_path)) == total)

        await all_seen()
        await until(lambda: len(list(tmp_path.iterdir())) == 2)
        await all_seen()
        frozen.send_signal(signal.SIGSTOP)
        await all_seen()  # takes until the group notices, session.timeout.ms
        frozen.send_signal(signal.SIGCONT)
        await all_seen()
        other.send_signal(signal.SIGTERM)
        assert await ended(other) == 0
        await all_seen()
        await until(lambda: sum(committed(name, name, PARTITIONS)) == total)
        assert frozen.poll() is None


async def test_of_two_workers_by_one_name_the_older_gives_way(kafka, topic, producer, tmp_path):
    name = topic()
    send(producer, name, 0)
    producer.produce(name, b"x")
    producer.flush()
    with process(kafka, name, name, "host-1", str(tmp_path)) as older:
        while not recorded(tmp_path):
            assert older.poll() is None
        with process(kafka, name, name, "host-1", str(tmp_path)) as newer:
            assert await ended(older) == EXIT_FAILED
            assert newer.poll() is None


async def test_a_worker_whose_agent_raises_exits_70_and_commits_nothing_of_that_batch(
    kafka, topic, producer, committed, tmp_path
):
    name = topic()
    producer.produce(name, b"fine")
    producer.flush()
    with process(kafka, name, name, "", str(tmp_path)) as worker:
        while committed(name, name) != [1]:
            assert worker.poll() is None
        producer.produce(name, b"poison")
        producer.flush()
        assert await ended(worker) == EXIT_FAILED
    assert committed(name, name) == [1]


def work(bootstrap: str, stage: str, topic: str, instance: str, folder: str) -> int:
    """Run a worker that writes down what it gets, then acknowledges in random order."""
    out = (Path(folder) / f"{os.getpid()}").open("a")

    async def agent(stream: Any) -> None:
        held: list[Any] = []
        loop = asyncio.get_running_loop()
        async for event in stream.noack().events():
            batch = event.value
            if b"poison" in batch.values:
                raise RuntimeError("poison")
            out.write(f"{batch.partition} {batch.first} {batch.last}\n")
            out.flush()
            held.append(event)
            random.shuffle(held)
            for each in held[1:]:
                each.ack()
            del held[1:]
            loop.call_later(0.2, lambda: [each.ack() for each in held])

    settings = Settings(kafka=bootstrap)
    limits = Limits(batch_records=20)
    quick = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
    return run(
        lambda: [
            build(settings, stage, [topic], agent, instance=instance, limits=limits, extra=quick)
        ]
    )


if __name__ == "__main__":
    sys.exit(work(*sys.argv[1:]))
