"""The transport on a real broker: delivery, acknowledgement, back-pressure, seek, the end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from faust.transport import by_url
from faust.types import TP
from yarl import URL

from sentinel.settings import Settings
from streams.app import build, consumer_config
from streams.transport import Limits, RecordBatch, Transport, member


class Recorder:
    """An agent that keeps what it gets and acknowledges it."""

    def __init__(self, *, ack: bool = True) -> None:
        self.events: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._ack = ack

    async def __call__(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.events.append(event)
            await self.gate.wait()
            if self._ack:
                event.ack()

    @property
    def batches(self) -> list[RecordBatch]:
        return [event.value for event in self.events]

    @property
    def values(self) -> list[bytes | None]:
        return [value for batch in self.batches for value in batch.values]


class Hooks:
    """Hooks that note calls and answer with fixed starts."""

    def __init__(self, start: int | None = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.start = start

    async def on_assigned(self, tp: Any) -> int | None:
        self.calls.append(("assigned", tp))
        return self.start

    async def on_revoked(self, tps: frozenset[Any]) -> None:
        self.calls.append(("revoked", tps))

    async def on_lost(self, tps: frozenset[Any]) -> None:
        self.calls.append(("lost", tps))


@pytest.fixture
def settings(kafka: str) -> Settings:
    return Settings(kafka=kafka)


def fill(producer: Producer, topic: str, count: int, partition: int = 0, size: int = 0) -> None:
    for number in range(count):
        producer.produce(topic, str(number).encode().ljust(size), partition=partition)
        if number % 1000 == 999:
            producer.flush()
    producer.flush()


def idle() -> Callable[[], bool]:
    """Return whether a second went by with nothing but timers; a busy loop never has one."""
    since = [(time.monotonic(), time.process_time())]

    def quiet() -> bool:
        (began, cpu), now = since[-1], (time.monotonic(), time.process_time())
        if now[0] - began >= 1:
            since.append(now)
        return now[0] - began >= 1 and now[1] - cpu < 0.3 * (now[0] - began)

    return quiet


def test_faust_finds_the_transport_by_its_url():
    assert by_url(URL("rdk://")) is Transport


async def test_every_record_arrives_once_with_all_that_belongs_to_it(
    settings, topic, producer, running, until
):
    name = topic(partitions=3)
    sent: dict[tuple[int, bytes], tuple[Any, ...]] = {}
    for number in range(3000):
        value, partition = b"v%d" % number, number % 3
        key = None if number % 5 == 0 else b"k%d" % number
        headers = None if number % 7 else [("h", b"%d" % number), ("h", b"again"), ("é", b"")]
        stamp = 1_700_000_000_000 + number
        producer.produce(
            name, value, key, partition=partition, timestamp=stamp, headers=headers or []
        )
        sent[partition, value] = (key, headers, stamp)
    producer.produce(name, None, b"tombstone", partition=0)
    producer.flush()
    agent = Recorder()
    async with running(build(settings, name, [name], agent)):
        await until(lambda: len(agent.values) >= 3001)
    got: dict[tuple[int, Any], tuple[Any, ...]] = {}
    for batch in agent.batches:
        assert batch.topic == name
        assert (batch.first, batch.last) == (batch.offsets[0], batch.offsets[-1])
        assert batch.offsets == list(range(batch.first, batch.last + 1))
        rows = zip(batch.keys, batch.values, batch.timestamps, batch.headers, strict=True)
        for key, value, stamp, headers in rows:
            assert (batch.partition, value) not in got
            got[batch.partition, value] = (key, headers, stamp)
    assert got.pop((0, None))[0] == b"tombstone"
    assert got == sent
    assert len(agent.batches) < 300, "records come in batches"


async def test_apps_of_one_process_each_get_every_record_of_their_topics(
    settings, kafka, producer, topic, running, until, committed
):
    first = topic(partitions=2)
    admin = AdminClient({"bootstrap.servers": kafka})
    second = first + "-b"
    admin.create_topics([NewTopic(second, 1, 1)])[second].result(30)
    fill(producer, first, 500, partition=1)
    fill(producer, second, 300)
    both, one = Recorder(), Recorder()
    apps = [
        build(settings, f"{first}-both", [first, second], both),
        build(settings, f"{first}-one", [first], one),
    ]
    async with running(*apps):
        await until(lambda: len(both.values) >= 800 and len(one.values) >= 500)
        assert sorted(set(one.values)) == sorted(one.values)
        await until(idle())
    assert len(both.values) == 800
    assert {batch.topic for batch in both.batches} == {first, second}
    assert committed(f"{first}-both", first, 2)[1] == 500
    assert committed(f"{first}-both", second) == [300]
    assert committed(f"{first}-one", first, 2)[1] == 500


async def test_a_single_record_does_not_wait_for_a_batch_to_fill(
    settings, topic, producer, running, until
):
    name, agent = topic(), Recorder()
    async with running(build(settings, name, [name], agent)):
        for number in range(15):
            fill(producer, name, 1)
            await until(lambda number=number: len(agent.values) == number + 1)
    assert [len(batch) for batch in agent.batches] == [1] * 15


async def test_batches_keep_to_their_limits_and_a_huge_record_gets_through(
    settings, topic, producer, kafka, running, until
):
    name = topic(**{"max.message.bytes": str(17 << 20)})
    big = Producer({"bootstrap.servers": kafka, "message.max.bytes": 17 << 20})
    fill(producer, name, 300, size=1000)
    big.produce(name, b"x" * (16 << 20))
    big.flush()
    fill(producer, name, 300, size=1000)
    agent = Recorder()
    limits = Limits(batch_records=100, batch_bytes=50_000)
    async with running(build(settings, name, [name], agent, limits=limits)):
        await until(lambda: len(agent.values) == 601)
    assert [len(batch) for batch in agent.batches if batch.size > 50_000] == [1]
    assert max(map(len, agent.batches)) <= 100
    assert [o for batch in agent.batches for o in batch.offsets] == list(range(601))


async def test_only_the_acknowledged_prefix_is_committed_whatever_the_order(
    settings, topic, producer, running, until, committed
):
    name = topic()
    fill(producer, name, 40)
    agent = Recorder(ack=False)
    limits = Limits(batch_records=10, revoke_s=0.2)
    app = build(settings, name, [name], agent, limits=limits)
    async with running(app):
        await until(lambda: len(agent.values) == 40)
        third = next(i for i, b in enumerate(agent.batches) if b.first >= 20)
        for event in agent.events[third:]:
            event.ack()
        assert not await app.consumer.commit()
        agent.events[0].ack()
        expected = agent.batches[0].last + 1
        await until(lambda: app.consumer.ledger.committable((name, 0)) is None)
        assert app.lag() in ({}, {(name, 0): 40 - expected})
        await until(lambda: app.lag() == {(name, 0): 40 - expected})
    assert committed(name, name) == [expected]
    again = Recorder()
    async with running(build(settings, name, [name], again)):
        await until(lambda: len(again.values) == 40 - expected)
    assert again.batches[0].first == expected


async def test_a_slow_agent_stops_the_reading_and_the_worker_stays_in_the_group(
    settings, topic, producer, running, until
):
    name, agent, hooks = topic(), Recorder(), Hooks()
    fill(producer, name, 20_000, size=1000)
    agent.gate.clear()
    limits = Limits(batch_records=500, queued_bytes=2 << 20)
    quick = {"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}
    app = build(settings, name, [name], agent, hooks, limits=limits, extra=quick)
    async with running(app):
        await until(lambda: app.consumer.paused)
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 8)  # longer than max.poll.interval
        assert len(agent.events) == 1
        assert app.consumer.queued_bytes < 3 << 20
        agent.gate.set()
        await until(lambda: len(agent.values) == 20_000)
        await until(lambda: not app.consumer.paused)
    assert agent.values == [str(number).encode().ljust(1000) for number in range(20_000)]
    assert [call for call, _ in hooks.calls] == ["assigned", "revoked"]


@pytest.mark.parametrize(("start", "first"), [(70, 70), (-2, 0), (None, 50)])
async def test_the_stage_may_say_where_to_start(
    settings, topic, producer, running, until, committed, start: int | None, first: int
):
    name = topic()
    fill(producer, name, 50)
    before = Recorder()
    async with running(build(settings, name, [name], before)):
        await until(lambda: len(before.values) == 50)
    assert committed(name, name) == [50]
    fill(producer, name, 50)
    agent, hooks = Recorder(), Hooks(start)
    async with running(build(settings, name, [name], agent, hooks)):
        await until(lambda: len(agent.values) >= 100 - first)
    assert [o for batch in agent.batches for o in batch.offsets] == list(range(first, 100))
    assert hooks.calls[0] == ("assigned", (name, 0))
    assert committed(name, name) == [100]


async def test_markers_of_transactions_are_no_lag(settings, kafka, topic, running, until):
    name = topic(partitions=2)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": name})
    producer.init_transactions()
    for count, end in ((3, producer.commit_transaction), (2, producer.abort_transaction)):
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(name, b"x", partition=0)
        producer.flush()
        end()
    agent = Recorder()
    app = build(settings, name, [name], agent)
    async with running(app):
        # 3 records, a marker; 2 records that were taken back, a marker
        await until(lambda: app.reached(name, 0, 3) == 7)
        assert len(agent.values) == 3
        assert [app.reached(name, 0, done) for done in (0, 2, 9)] == [0, 2, 9]
        assert app.reached(name, 1, -2) == -2, "nothing was ever there"
        assert app.reached("else", 0, 5) == 5
        await until(lambda: app.lag() == {(name, 0): 0})


async def test_seek_delivers_again_and_forgets_what_was_delivered_before(
    settings, topic, producer, running, until, committed
):
    name = topic()
    fill(producer, name, 100)
    agent = Recorder(ack=False)
    app = build(settings, name, [name], agent, limits=Limits(revoke_s=0.2))
    async with running(app):
        await until(lambda: len(agent.values) == 100)
        stale = list(agent.events)
        agent.events.clear()
        await app.consumer.seek(stale[0].message.tp, 30)
        await until(lambda: len(agent.values) == 70)
        assert agent.batches[0].first == 30
        assert all(event.value.revoked for event in stale)
        assert not any(event.ack() for event in stale)
        assert app.consumer.ledger.committable((name, 0)) is None
        assert all(event.ack() for event in agent.events)
    assert committed(name, name) == [100]


async def test_records_deleted_before_they_were_read_are_reported(
    settings, kafka, topic, producer, running, until, caplog
):
    name = topic()
    fill(producer, name, 100)
    admin = AdminClient({"bootstrap.servers": kafka})
    for done in admin.delete_records([TopicPartition(name, 0, 60)]).values():
        done.result(30)
    agent = Recorder()
    async with running(build(settings, name, [name], agent, Hooks(20))):
        await until(lambda: len(agent.values) == 40)
    assert agent.batches[0].first == 60
    [report] = [r for r in caplog.records if "deleted before they were read" in str(r.msg)]
    assert "'first': 20" in str(report.msg)
    assert "'last': 59" in str(report.msg)


async def test_a_clean_stop_commits_and_leaves_no_thread(
    settings, topic, producer, running, until, committed
):
    name = topic()
    fill(producer, name, 100)

    class Checkpoint(Hooks):
        async def on_revoked(self, tps: frozenset[Any]) -> None:
            await super().on_revoked(tps)
            for event in agent.events:
                event.ack()

    agent, hooks = Recorder(ack=False), Checkpoint()
    async with running(build(settings, name, [name], agent, hooks)):
        await until(lambda: len(agent.values) == 100)
    assert hooks.calls[-1] == ("revoked", frozenset({(name, 0)}))
    assert committed(name, name) == [100]
    assert not [t for t in threading.enumerate() if t.name.startswith("pump-")]


async def test_stopping_does_not_need_a_broker(running, until):
    app = build(Settings(kafka="127.0.0.1:1"), "nowhere", ["t"], Recorder())
    async with asyncio.timeout(60), running(app):
        await until(lambda: app.started)


def test_security_settings_reach_librdkafka(tmp_path):
    authority = tmp_path / "ca.pem"
    authority.touch()
    config = consumer_config(
        Settings(
            kafka="broker:9093",
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="SCRAM-SHA-512",
            kafka_sasl_username="u",
            kafka_sasl_password="p",
            kafka_ssl_ca=str(authority),
        ),
        "sentinel.detect",
        "host-1",
    )
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl.username"], config["sasl.password"]) == ("u", "p")
    assert config["ssl.ca.location"] == str(authority)
    assert config["group.instance.id"] == "sentinel.detect.host-1"
    assert config["enable.auto.commit"] is False


async def test_a_partition_that_is_not_read_any_more_is_read_by_a_new_consumer(
    settings, topic, producer, running, until, monkeypatch
):
    """As after a bug of the client library: the broker has records, and none comes."""
    name = topic()
    fill(producer, name, 10)
    agent, hooks = Recorder(), Hooks(start=-2)
    app = build(settings, name, [name], agent, hooks, instance="host-1")
    async with running(app):
        await until(lambda: len(agent.values) == 10)
        pump = app.consumer._pump
        there = [TopicPartition(name, 0)]
        await asyncio.wrap_future(pump._commands.call(lambda: pump._consumer.pause(there)))
        hooks.start = 10
        fill(producer, name, 5)
        with monkeypatch.context() as impatient:  # until it noticed: a new one may be slow
            impatient.setattr(member, "DEAF_S", 1.0)
            await until(lambda: ("lost", frozenset({(name, 0)})) in hooks.calls)
        await until(lambda: len(agent.values) == 15)
    assert [call for call, _ in hooks.calls] == ["assigned", "lost", "assigned", "revoked"]


async def test_a_member_that_fell_out_and_is_fenced_by_its_own_ghost_goes_on(
    settings, topic, producer, running, until
):
    """A broker that comes back has several of its askings to be let in, all by its name."""
    name = topic()
    fill(producer, name, 10)
    agent, hooks = Recorder(), Hooks(start=-2)
    app = build(settings, name, [name], agent, hooks, instance="host-1")
    async with running(app):
        await until(lambda: len(agent.values) == 10)
        app.consumer._pump._lost_at = time.monotonic()
        ghost = Consumer(consumer_config(settings, f"sentinel.{name}", "host-1"))
        ghost.subscribe([name])
        hooks.start = 10
        while ("lost", frozenset({TP(name, 0)})) not in hooks.calls:
            await asyncio.to_thread(ghost.poll, 0.1)
        await until(lambda: app.consumer.assignment() == {TP(name, 0)})
        fill(producer, name, 5)
        await until(lambda: len(agent.values) == 15)
        await asyncio.to_thread(ghost.close)
