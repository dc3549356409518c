"""Fixtures of the tests of streams: a producer, committed offsets, an app while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.app import StageApp, serve
from streams.transport import RecordBatch
from streams.transport.offsets import Lease

DEADLINE_S = 120.0

Running = Callable[..., AbstractAsyncContextManager[None]]
Until = Callable[[Callable[[], bool]], object]


async def wait_until(condition: Callable[[], bool], limit_s: float = DEADLINE_S) -> None:
    """Return once `condition` holds; fail after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        await asyncio.sleep(0.01)


def make_records(
    values: Sequence[bytes | None],
    topic: str = "raw.cloudtrail",
    partition: int = 0,
    first: int = 0,
    headers: Sequence[Any] | None = None,
) -> RecordBatch:
    """Return a batch as the transport hands it to a stage, at offsets from `first` on."""
    return RecordBatch(
        Lease((topic, partition)),
        list(range(first, first + len(values))),
        [None] * len(values),
        list(values),
        [1_767_600_000_000 + first + place for place in range(len(values))],
        list(headers or [None] * len(values)),
    )


@pytest.fixture(scope="session")
def records() -> Callable[..., RecordBatch]:
    """Return `make_records`."""
    return make_records


@pytest.fixture
def until() -> Until:
    """Return ``await until(condition)``, which polls with a deadline."""
    return wait_until


@pytest.fixture
def producer(kafka: str) -> Producer:
    """Return a producer; flush it."""
    return Producer({"bootstrap.servers": kafka, "linger.ms": 5})


@pytest.fixture
def committed(kafka: str) -> Callable[[str, str, int], list[int]]:
    """Return ``committed(stage, topic, partitions)``: the offsets, -1001 where there is none."""

    def read(stage: str, topic: str, partitions: int = 1) -> list[int]:
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"sentinel.{stage}"})
        try:
            wanted = [TopicPartition(topic, number) for number in range(partitions)]
            return [found.offset for found in consumer.committed(wanted, timeout=30)]
        finally:
            consumer.close()

    return read


@pytest.fixture
def running() -> Running:
    """Return ``async with running(app, …)``: the apps run inside and stop cleanly after."""

    @asynccontextmanager
    async def run(*apps: StageApp) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(serve(list(apps), stop))
        try:
            yield
        finally:
            stop.set()
            assert await task == 0

    return run
