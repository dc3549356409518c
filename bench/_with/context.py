"""What every benchmark is given: settings, events, and a real Kafka and PostgreSQL on demand."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import confluent_kafka
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import NewTopic as New  # type: ignore[attr-defined]

import connectors
from bench._with import events
from bench._with.events import ROOT, Sample
from connectors.base import Connector
from sentinel.kafka import client_config, create_topics
from sentinel.local import Stack
from sentinel.local.stack import environment_for_children
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.runtime import migrate

PARTITIONS = 4
CHILD_S = 600
Report = Callable[[str], None]


class Context:
    """What benchmarks share; close it to stop what was started.

    Parameters
    ----------
    settings
        Those of this process: where real logs are, and a broker and database to use instead
        of embedded ones.
    events
        How many events the fast benchmarks run on; slower ones take a part of them.
    report
        Told what is going on.
    """

    def __init__(self, settings: Settings, events: int, report: Report) -> None:
        self.settings = settings
        self.events = events
        self.report = report
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def sample(self) -> Sample:
        """The events."""
        found = events.sample(self.settings, self.events)
        self.report(f"{len(found.raws)} events of {found.mean_bytes} bytes: {found.origin}")
        return found

    @cached_property
    def rules(self) -> list[Path]:
        """Directories of rules beside our own."""
        return events.public_rules(self.settings)

    @cached_property
    def stack(self) -> Stack:
        """A running Kafka and PostgreSQL in a temporary directory, topics and tables made."""
        stack = Stack(self.settings.model_copy(update={"home": self.temporary()}))
        self.report("starting Kafka and PostgreSQL")
        stack.start()
        self._open.callback(stack.stop)
        migrate.apply(stack.postgres)
        sources = discover(connectors, Connector)  # type: ignore[type-abstract]
        create_topics(stack.connected(), sources)
        return stack

    def temporary(self) -> Path:
        """Return a new directory that is removed in the end."""
        return Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-bench")))

    def environment(self) -> dict[str, str]:
        """Return the variables of a child process that uses `stack` and all rules."""
        rules = ":".join(map(str, self.rules))
        more = {"SENTINEL_RULES": rules, "SENTINEL_LOG_LEVEL": "WARNING", "PYTHONPATH": str(ROOT)}
        return environment_for_children() | self.stack.env() | more

    def topic(self, raws: Sequence[bytes] = ()) -> str:
        """Make a topic with `raws` in it and return its name."""
        name = f"bench-{secrets.token_hex(4)}"
        admin = AdminClient(client_config(self.stack.connected()))
        for made in admin.create_topics([New(name, PARTITIONS, 1)]).values():
            made.result(30)
        if raws:
            self.fill(name, raws)
        return name

    def fill(
        self, topic: str, raws: Sequence[bytes], visible: Callable[[], None] | None = None
    ) -> None:
        """Produce `raws` in one transaction: consumers see none of them, then all.

        `visible` is called right before they do.
        """
        config = client_config(self.stack.connected()) | {
            "transactional.id": secrets.token_hex(8),
            "compression.codec": "lz4",
            "queue.buffering.max.messages": len(raws) + 1,
            "queue.buffering.max.kbytes": 1 << 20,
        }
        producer = confluent_kafka.Producer(config)
        producer.init_transactions()
        producer.begin_transaction()
        for place, raw in enumerate(raws):
            producer.produce(topic, raw, partition=place * PARTITIONS // len(raws))
        producer.flush()
        if visible:
            visible()
        producer.commit_transaction()

    @contextmanager
    def child(
        self, module: str, *args: Any, python: str = sys.executable
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``python -m module args…`` meanwhile; it is killed in the end if it still runs."""
        command = [python, "-m", module, *map(str, args)]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment(), stdout=sys.stderr)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def result(self, module: str, *args: Any, python: str = sys.executable) -> Any:
        """Run a child to its end and return the JSON it wrote to the file that is its first."""
        file = self.temporary() / "result.json"
        with self.child(module, file, *args, python=python) as process:
            read_result(process, file)
            return json.loads(file.read_bytes())


def read_result(process: subprocess.Popen[bytes], file: Path) -> Any:
    """Wait for a child and return what it wrote; raise RuntimeError where it failed."""
    if process.wait(CHILD_S) or not file.exists():
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    return json.loads(file.read_bytes())


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end."""
    process.send_signal(signal.SIGTERM)


def write_result(file: str, result: Any) -> None:
    """Write what a child found, all or nothing."""
    part = Path(file).with_suffix(".part")
    part.write_text(json.dumps(result))
    part.replace(file)
