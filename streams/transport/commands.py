"""What other threads ask of the thread that owns the consumer."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import KafkaException

T = TypeVar("T")


class Commands:
    """A queue of work for one thread; after `close`, work is answered with an error at once."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False

    def wake(self) -> None:
        """End the wait of `run_one`, if it waits."""
        self._queue.put(None)

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Return the result of `work`, run by the owning thread; any thread may call."""
        return self.answer(lambda future: future.set_result(work()))

    def answer(self, work: Callable[[Future[T]], None]) -> Future[T]:
        """Do the same with work that answers the future itself, now or later."""
        future: Future[T] = Future()

        def command() -> None:
            if not future.set_running_or_notify_cancel():
                return  # whoever asked has been cancelled; from here on, it no longer can be
            try:
                if self._closed:
                    raise RuntimeError("expected an open consumer, found it closed")
                work(future)
            except (KafkaException, RuntimeError) as error:
                future.set_exception(error)

        self._queue.put(command)
        if self._closed:
            self.run_all()
        return future

    def run_one(self, wait_s: float) -> None:
        """Run one command, waiting for it at most `wait_s`."""
        with contextlib.suppress(queue.Empty):
            if (command := self._queue.get(timeout=wait_s)) is not None:
                command()

    def run_all(self) -> None:
        """Run what is there."""
        while not self._queue.empty():
            self.run_one(0.01)

    def close(self) -> None:
        """Take no more work; what waits is answered with an error."""
        self._closed = True
        self.run_all()
