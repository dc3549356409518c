"""Start, supervise and stop the parts that Sentinel needs, all under one directory."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import IO, Any, Self

import psutil

from sentinel.errors import StackError
from sentinel.local import broker, database
from sentinel.local import search as elasticsearch
from sentinel.local.home import Identity, identity, lock, write_private
from sentinel.local.probe import HOST
from sentinel.local.process import Report, Service, Supervised, reap
from sentinel.settings import Settings

Prepare = Callable[[Any, Identity, Report], Service]


def _same(service: Service) -> Service:
    return service


def _silent(_message: str) -> None:
    """Report nothing."""


class Stack:
    """Kafka and PostgreSQL (and Elasticsearch), run here or elsewhere.

    A part whose setting is given (``SENTINEL_KAFKA``, ``SENTINEL_POSTGRES``,
    ``SENTINEL_ELASTICSEARCH``) runs elsewhere and is not started here.

    Parameters
    ----------
    settings
        Where the data directory is and what runs elsewhere.
    search
        Start Elasticsearch too.

    Notes
    -----
    `start` may be called once. The parts are stopped by `stop`, at the end of a ``with``
    block, and by the kernel if this process is killed. Start it from any thread.
    """

    def __init__(self, settings: Settings, search: bool = False) -> None:
        self.settings = settings
        self.home = settings.home.resolve()
        self.services: dict[str, Supervised] = {}
        self._search = search and not settings.elasticsearch
        self._lock: IO[str] | None = None
        self._identity: Identity | None = None
        self._report: Report = _silent
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._facts: dict[str, Any] = {}

    def start(self, report: Report = _silent) -> None:
        """Start the parts in parallel and return when all are ready.

        Parameters
        ----------
        report
            Told in one sentence of each step, and later of each crash and restart; it is
            called from several threads, one at a time.

        Raises
        ------
        StackError
            Another stack runs here, or a part does not start; nothing is left running.
        """
        self._lock = lock(self.home)
        self._report = self._serialised(report)
        try:
            (self.home / "stack.json").unlink(missing_ok=True)  # that of a killed run
            reap(self.home, self._report)
            self._identity = identity(self.home)
            parts: list[Prepare] = []
            if not self.settings.kafka:
                parts.append(broker.prepare)
            if not self.settings.postgres:
                parts.append(database.prepare)
            if self._search:
                parts.append(elasticsearch.prepare)
            self._together([partial(self._prepare, part) for part in parts])
            self.note()
        except BaseException:  # an interrupt too must leave nothing running
            self.stop()
            raise

    def _prepare(self, part: Prepare) -> Service:
        return part(self.home, self.identity, self._report)

    def add(self, *services: Service) -> None:
        """Run more services under this supervisor; return when all are ready.

        They start together, and stop in the opposite order of being named.

        Raises
        ------
        StackError
            One does not become ready.
        """
        self._together([partial(_same, service) for service in services])
        self.note()

    def _together(self, makers: Sequence[Callable[[], Service]]) -> None:
        """Make and start services, each on a thread, and wait for all."""
        pool = ThreadPoolExecutor(max(1, len(makers)))
        try:
            for started in [pool.submit(self._bring_up, make) for make in makers]:
                started.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _bring_up(self, make: Callable[[], Service]) -> None:
        service = make()
        with self._adding:
            if self._lock is None:
                raise StackError(f"{service.name} is not started: the stack was stopped")
            supervised = Supervised(service, self.home, self._report)
            self.services[service.name] = supervised
            supervised.start()
        supervised.wait_ready()

    def stop(self) -> None:
        """Stop everything, last started first; a second call does nothing."""
        with self._adding:
            held, self._lock = self._lock, None
        if held is None:
            return
        for supervised in reversed(self.services.values()):
            supervised.stop()
        self.services.clear()
        (self.home / "stack.json").unlink(missing_ok=True)
        held.close()

    def __enter__(self) -> Self:
        """Start with no report."""
        if self._lock is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def identity(self) -> Identity:
        """What the data directory keeps: ports, cluster id, password.

        Raises
        ------
        StackError
            The stack is not started.
        """
        if self._identity is None:
            raise StackError("the stack is not started: call start() first")
        return self._identity

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.settings.kafka or f"{HOST}:{self.identity.ports['kafka']}"

    @property
    def postgres(self) -> str:
        """DSN of the owner of the database."""
        return self.settings.postgres or database.dsn(self.identity)

    @property
    def elasticsearch(self) -> str:
        """URL of Elasticsearch, or empty where there is none."""
        if not self._search:
            return self.settings.elasticsearch
        return f"http://{HOST}:{self.identity.ports['elasticsearch']}"

    def connected(self) -> Settings:
        """Return the settings with the addresses of this stack filled in."""
        where = {
            "home": self.home,
            "kafka": self.kafka,
            "postgres": self.postgres,
            "elasticsearch": self.elasticsearch,
        }
        return self.settings.model_copy(update=where)

    def env(self) -> dict[str, str]:
        """Return the variables through which a child process finds this stack."""
        return {
            "SENTINEL_HOME": str(self.home),
            "SENTINEL_KAFKA": self.kafka,
            "SENTINEL_POSTGRES": self.postgres,
            "SENTINEL_ELASTICSEARCH": self.elasticsearch,
        }

    def note(self, **more: Any) -> None:
        """Write ``stack.json``: where everything is, plus `more` (such as ``api``)."""
        with self._writing:
            self._facts |= more
            parts = {
                name: {"pid": part.pid, "ready": part.is_ready, "restarts": part.restarts}
                for name, part in self.services.items()
            }
            me = psutil.Process()
            where = {
                "pid": me.pid,
                "created": me.create_time(),
                "kafka": self.kafka,
                "postgres": self.postgres,
                "elasticsearch": self.elasticsearch,
                "parts": parts,
            }
            write_private(self.home / "stack.json", where | self._facts)

    def _serialised(self, report: Report) -> Report:
        """Let one thread report at a time, and keep ``stack.json`` current."""
        speaking = threading.Lock()

        def tell(message: str) -> None:
            # the thread that supervises tells it, and must not end for want of space
            with speaking, suppress(OSError):
                report(message)
            with suppress(OSError):
                if (self.home / "stack.json").exists():
                    self.note()

        return tell

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a part, for tests of crashes; the supervisor restarts it."""
        self.services[name].kill(number)


def environment_for_children() -> dict[str, str]:
    """Return the variables of this process that Python children of ours keep."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "NUMBA_CACHE_DIR", "VIRTUAL_ENV")
    return {
        key: value
        for key, value in os.environ.items()
        if key in kept or key.startswith(("SENTINEL_", "AWS_", "SSL_", "PYTHON"))
    }
