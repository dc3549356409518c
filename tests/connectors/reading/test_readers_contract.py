"""What every way in owes: killed at any moment, nothing is lost and nothing becomes two events.

A real process, ``sentinel connector run``, on a real broker, killed with SIGKILL while pages are
on their way. What is then twice in the topic has one ``record-id``, from which normalize makes
one event id (``tests/streams/test_normalize.py``).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import NewTopic as New

from sentinel.kafka import create_topics
from sentinel.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "0123456789abcdef"
RECORDS = 60_000
WAIT_S = 240


class Platform:
    """Inputs of one tenant on the shared broker, and what of them is in ``raw.generic``."""

    def __init__(self, settings: Settings, folder: Path, tenant: str) -> None:
        self.folder, self.tenant = folder, tenant
        self.config = folder / "inputs.yml"
        self.env = {
            **{"PATH": os.environ["PATH"], "HOME": str(folder), "PUSH_TOKEN": TOKEN},
            **{"SENTINEL_KAFKA": settings.kafka, "SENTINEL_HOME": str(settings.home)},
            "SENTINEL_CONNECTORS": str(self.config),
        }
        create_topics(settings, ["generic"])
        self.consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": tenant,
                "auto.offset.reset": "earliest",
            }
        )
        found = self.consumer.list_topics("raw.generic").topics["raw.generic"].partitions
        self.consumer.assign([TopicPartition("raw.generic", number) for number in found])
        self.seen: Counter[str] = Counter()
        self.values: dict[str, int] = {}

    def configure(self, reader: str, **settings: Any) -> None:
        entry = {"name": self.tenant, "source": "generic", "reader": reader, "tenant": self.tenant}
        self.config.write_text(yaml.safe_dump([entry | {"settings": settings}]))

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / "run.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "sentinel.cli", "connector", "run", *options],
                env=self.env, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def until(self, condition: Callable[[], bool]) -> None:
        """Read what arrives until `condition`."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, (self.folder / "run.log").read_text()[-3000:]
            for message in self.consumer.consume(1000, 0.1):
                headers = dict(message.headers() or ())
                if message.error() is None and headers.get("tenant") == self.tenant.encode():
                    name = headers["record-id"].decode()
                    self.seen[name] += 1
                    self.values[name] = json.loads(message.value())["n"]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def platform(stack_settings: Settings, tmp_path: Path, topic_name: str) -> Iterator[Platform]:
    made = Platform(stack_settings, tmp_path, topic_name)
    yield made
    made.consumer.close()


def killed_midway(platform: Platform, total: int) -> None:
    """Run, kill while pages arrive, run to the end; check that all is there, under one name."""
    process = platform.start()
    platform.until(lambda: len(platform.seen) > total // 10)
    platform.kill(process)
    done = platform.start("--once")
    assert done.wait(WAIT_S) == 0, (platform.folder / "run.log").read_text()[-3000:]
    platform.until(lambda: len(platform.seen) >= total)
    assert sorted(platform.values.values()) == list(range(total))  # one name a record


def lines(start: int, end: int) -> bytes:
    return b"".join(b'{"n":%d,"time":"2026-03-02T09:15:00Z"}\n' % n for n in range(start, end))


@pytest.mark.e2e
def test_tail_killed_midway_with_a_rotation_while_it_is_down(platform: Platform) -> None:
    log = platform.folder / "app.log"
    log.write_bytes(lines(0, RECORDS))
    platform.configure("tail", paths=[str(log)])
    process = platform.start()
    platform.until(lambda: len(platform.seen) > RECORDS // 10)
    platform.kill(process)
    log.rename(platform.folder / "app.log.1")
    log.write_bytes(lines(RECORDS, RECORDS + 10))
    assert platform.start("--once").wait(WAIT_S) == 0
    platform.until(lambda: len(platform.seen) >= RECORDS + 10)
    assert sorted(platform.values.values()) == list(range(RECORDS + 10))


@pytest.mark.e2e
def test_files_killed_midway(platform: Platform) -> None:
    logs = platform.folder / "logs"
    logs.mkdir()
    for number in range(4):
        part = RECORDS // 4
        (logs / f"{number}.json").write_bytes(lines(part * number, part * (number + 1)))
    platform.configure("files", paths=[str(logs)], settle_s=0)
    killed_midway(platform, RECORDS)


@pytest.mark.e2e
def test_kafka_killed_midway(platform: Platform, stack_settings: Settings, topic_name: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack_settings.kafka})
    for made in admin.create_topics([New(topic_name, num_partitions=2)]).values():
        made.result(30)
    producer = Producer(
        {"bootstrap.servers": stack_settings.kafka, "queue.buffering.max.messages": RECORDS}
    )
    for number in range(RECORDS):
        producer.produce(topic_name, b'{"n":%d}' % number, key=str(number).encode())
    producer.flush(240)
    platform.configure("kafka", bootstrap=stack_settings.kafka, topics=[topic_name], poll_s=1)
    killed_midway(platform, RECORDS)


@pytest.mark.e2e
def test_http_killed_midway_has_every_push_that_was_answered(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    platform.configure("http", port=port, token="env:PUSH_TOKEN")
    total, answered = 300, threading.Event()

    def push() -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            for number in range(total):
                while not sent(client, number):
                    time.sleep(0.02)  # as a client would, whose push was not answered
        answered.set()

    def sent(client: httpx.Client, number: int) -> bool:
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": f"k{number}"}
        try:
            url = f"http://127.0.0.1:{port}/"
            answer = client.post(url, content=b'{"n":%d}' % number, headers=headers)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    process = platform.start()
    client = threading.Thread(target=push, daemon=True)
    client.start()
    platform.until(lambda: len(platform.seen) > total // 4)
    platform.kill(process)
    process = platform.start()
    platform.until(answered.is_set)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    platform.until(lambda: len(platform.seen) >= total)
    assert sorted(platform.values.values()) == list(range(total))


@pytest.mark.e2e
def test_a_second_runner_takes_over_and_the_first_stops(platform: Platform) -> None:
    log = platform.folder / "app.log"
    log.write_bytes(lines(0, 10))
    platform.configure("tail", paths=[str(log)], poll_s=0.1)
    first = platform.start()
    platform.until(lambda: len(platform.seen) == 10)
    second = platform.start()
    platform.until(
        lambda: (platform.folder / "run.log").read_text().count('"action": "claim"') == 2
    )
    with log.open("ab") as file:
        file.write(lines(10, 20))
    platform.until(lambda: len(platform.seen) == 20)
    platform.until(
        lambda: "another runner has claimed" in (platform.folder / "run.log").read_text()
    )
    assert first.poll() is None  # it stays, so that a supervisor does not let it claim again
    with log.open("ab") as file:
        file.write(lines(20, 30))
    platform.until(lambda: len(platform.seen) == 30)
    assert sorted(platform.values.values()) == list(range(30))
    for process in (first, second):
        process.terminate()
    assert [process.wait(WAIT_S) for process in (second, first)] == [0, 1]
