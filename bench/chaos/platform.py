"""A platform to break: its own Kafka and PostgreSQL, workers, and a proxy before each store."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from unittest.mock import patch
from urllib.request import urlopen

import psycopg
from prometheus_client.parser import text_string_to_metric_families

import connectors
from bench.chaos.disk import Disk
from bench.chaos.load import PARTITIONS
from bench.chaos.oracle import Outcome
from bench.chaos.proxy import HOST, Proxy
from connectors.base import Connector
from sentinel.errors import KafkaError
from sentinel.kafka import create_topics
from sentinel.ledger import Report
from sentinel.local import Service, Stack, Supervised, broker
from sentinel.local.probe import healthy
from sentinel.local.stack import environment_for_children
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.runtime import migrate, progress
from streams.runtime.checkpoint import Store

#: So low that models signal on the sample, too.
THRESHOLD = 0.3
#: Disks by the part that is on them; on the first is all the rest.
DISKS = ("", "kafka", "postgres")
START_S = 180.0
DRAIN_S = 300.0
#: Longest wait for work to go on after a fault, however slow the machine is.
RESUME_S = 180.0
POLL_S = 0.2
SABOTEUR = "bench.chaos.saboteur"
STORED = ("persist", "events")


class Place(NamedTuple):
    """A partition, and the stage that reads it."""

    stage: str
    topic: str
    partition: int


class Platform:
    """Kafka, PostgreSQL and workers under `home`; what the workers reach goes through proxies."""

    def __init__(self, home: Path) -> None:
        base = Settings(home=home, partitions=PARTITIONS, model_threshold=THRESHOLD)
        self.stack = Stack(base)
        #: Disks that can be filled, by the part that is on them; none where none can be mounted.
        self.disks: dict[str, Disk] = {}
        self.workers: dict[int, Supervised] = {}
        #: What the supervisors said.
        self.said: list[str] = []
        self.stop_s: list[float] = []

    def __enter__(self) -> Self:
        """Start the stores; workers are started by `add`."""
        self._mount()
        address = broker._properties  # the broker must name the proxy as its address
        kafka = Proxy(0)

        def through(data: Path, ports: dict[str, int]) -> dict[str, object]:
            kafka.target = ports["kafka"]
            named = {"advertised.listeners": f"PLAINTEXT://{HOST}:{kafka.port}"}
            return address(data, ports) | named

        self.kafka = kafka
        with patch.object(broker, "_properties", through):
            self.stack.start(self.said.append)
        self.postgres = Proxy(self.stack.identity.ports["postgres"])
        self.settings = self.stack.connected()
        migrate.apply(self.settings.postgres)
        create_topics(self.settings, discover(connectors, Connector))  # type: ignore[type-abstract]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        for slot in list(self.workers):
            self.remove(slot)
        self.stack.stop()
        self.kafka.close()
        self.postgres.close()
        for disk in reversed(self.disks.values()):
            disk.remove()

    def _mount(self) -> None:
        """Give all a disk, and on it Kafka and PostgreSQL one each, where that is allowed."""
        home = self.stack.home
        images = home.with_name(f"{home.name}-disks")
        images.mkdir(parents=True, exist_ok=True)
        for name in DISKS:
            try:
                self.disks[name] = Disk(home / name, images / f"{name or 'all'}.img")
            except OSError as error:
                self.said.append(f"no disk that can be filled: {error}")
                return

    # -- workers ---------------------------------------------------------------------------

    def add(
        self, slot: int, *, rule: str = "", stages: Sequence[str] = (), wait: bool = True
    ) -> Supervised:
        """Start a worker.

        Parameters
        ----------
        rule
            Let this rule, and a model, raise (`bench.chaos.saboteur`).
        stages
            Run only these.
        wait
            Until it is ready.
        """
        port = _free_port()
        target = self.stack.identity.ports["postgres"]
        dsn = self.stack.postgres.replace(f":{target}/", f":{self.postgres.port}/")
        where = {"SENTINEL_POSTGRES": dsn, "SENTINEL_METRICS_PORT": str(port),
                 "SENTINEL_MODEL_THRESHOLD": str(THRESHOLD)}  # fmt: skip
        options = [part for name in stages for part in ("--stage", name)]
        module = [SABOTEUR, rule] if rule else ["sentinel.cli"]
        service = Service(
            name=f"worker-{slot}",
            command=[sys.executable, "-m", *module, "worker", "--slot", str(slot), *options],
            ready=lambda: healthy(port),
            env=environment_for_children() | self.stack.env() | where,
            start_s=START_S,
            stop_s=60.0,
        )
        worker = Supervised(service, self.stack.home, self.said.append)
        self.workers[slot] = worker
        worker.start()
        if wait:
            worker.wait_ready()
        return worker

    def remove(self, slot: int) -> None:
        """Stop a worker as a supervisor would, and note how long it took, in seconds."""
        began = time.monotonic()
        self.workers.pop(slot).stop()
        self.stop_s.append(time.monotonic() - began)

    def kill(self, slot: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a worker, once it is up (it may be restarting of its own accord)."""
        self.workers[slot].wait_ready()
        self.workers[slot].kill(number)

    # -- what it has done --------------------------------------------------------------------

    def resumed(self, since: float, limit_s: float = RESUME_S) -> float:
        """Return how long after `since` all went on, in seconds, while there is load.

        That is: each stage has moved on in every partition that it had not read to its end,
        and new rows have been stored.

        Raises
        ------
        TimeoutError
            It did not within `limit_s`; the message says where.
        """
        _, before = self._places()
        waiting, moved = dict[Place, int](), False
        first = True
        while first or waiting or not moved:
            behind, done = self._places()
            if first:
                waiting, first = {place: done.get(place, 0) for place in behind}, False
            waiting = {at: was for at, was in waiting.items() if done.get(at, 0) <= was}
            moved = moved or any(done[at] > before.get(at, 0) for at in done if at[:2] == STORED)
            if time.monotonic() - since > limit_s:
                raise TimeoutError(f"no progress after {limit_s} s in {sorted(waiting)}")
            time.sleep(POLL_S)
        return time.monotonic() - since

    def _places(self) -> tuple[list[Place], dict[Place, int]]:
        """Return which partitions are not read to their ends, and how far each is done."""

        async def look(store: Store) -> tuple[list[Place], dict[Place, int]]:
            behind, _ = await progress.read(self.settings, store)
            done = {Place(*row[:3]): row.next_offset or 0 for row in await store.read_all()}
            return [Place(*lag[:3]) for lag in behind if lag.records], done

        found: tuple[list[Place], dict[Place, int]] = self._ask(look)
        return found

    def drain(self, limit_s: float = DRAIN_S) -> None:
        """Return when every stage has handled all there is.

        Raises
        ------
        TimeoutError
            It has not after `limit_s`; the message says where it hangs.
        """
        deadline = time.monotonic() + limit_s
        while not self._ask(lambda store: progress.drained(self.settings, store)):
            if time.monotonic() > deadline:
                report, lags = self._ask(lambda store: progress.report(self.settings, store))
                held = [lag for lag in lags if lag.records]
                raise TimeoutError(f"not drained after {limit_s} s: {held}, {report}")
            time.sleep(POLL_S)

    def ledger(self) -> Report:
        """Return the ledger added up."""
        report, _ = self._ask(lambda store: progress.report(self.settings, store))
        found: Report = report
        return found

    def stored(self) -> Outcome:
        """Return what is in PostgreSQL, in the oracle's terms."""
        found = Outcome()
        with psycopg.connect(self.stack.postgres) as database:
            database.execute("SELECT set_config('sentinel.tenant', '*', false)")
            found.events = _rows(database, "SELECT tenant, uid::text FROM events")
            found.evidence = _rows(
                database,
                "SELECT a.id::text, a.kind, a.rule_id, e.event_uid::text FROM alerts a "
                "JOIN alert_events e ON (e.tenant, e.alert_id) = (a.tenant, a.id)",
            )
            found.alerts = dict(_rows(database, "SELECT id::text, count FROM alerts"))
            found.letters = _rows(
                database,
                "SELECT origin_topic, origin_partition, origin_offset, origin_index "
                "FROM dead_letters",
            )
        return found

    def _ask(self, question: Any) -> Any:
        """Answer a question about the stores, as soon as they can be asked.

        Raises
        ------
        KafkaError
            They could not within `DRAIN_S`.
        """
        deadline = time.monotonic() + DRAIN_S
        while True:
            try:
                return self._ask_once(question)
            except KafkaError:  # just restarted: it knows its topics, but not yet all of them
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def _ask_once(self, question: Any) -> Any:
        async def ask() -> Any:
            store = await Store.open(self.settings.postgres)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(ask())

    def failures(self) -> Counter[tuple[str, str]]:
        """Return what the workers that run have counted as failed, by stage and reason."""
        found: Counter[tuple[str, str]] = Counter()
        for worker in self.workers.values():
            port = worker.service.env["SENTINEL_METRICS_PORT"]
            with urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == "sentinel_errors_total":
                        where = sample.labels["stage"], sample.labels["reason"]
                        found[where] += int(sample.value)
        return found


def _rows(database: psycopg.Connection[Any], query: str) -> list[Any]:
    return [tuple(row) for row in database.execute(query).fetchall()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
