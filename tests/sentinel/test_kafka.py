"""The producer: what flush promises, on librdkafka's own mock broker and on the real one."""

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading

import pytest
from confluent_kafka import Consumer, TopicPartition

from sentinel.errors import KafkaError, SettingsError
from sentinel.kafka import DeliveryError, Producer, client_config, cluster, reach
from sentinel.kafka import producer as producer_module
from sentinel.settings import Settings

MOCK = {"test.mock.num.brokers": 1, "allow.auto.create.topics": True}


@pytest.fixture
def producer():
    """Yield a producer on a broker inside librdkafka, with four partitions a topic."""
    with Producer(Settings(kafka="mock:1"), extra=MOCK) as made:
        yield made


async def test_flush_returns_when_everything_sent_is_on_the_broker(producer):
    for n in range(5000):
        producer.send("t", b"%d" % n, key=b"%d" % (n % 50))
    await producer.flush()
    assert producer.pending() == 0
    assert sum(end + 1 for end in producer.delivered.values()) == 5000


async def test_flush_names_what_was_not_delivered_and_only_once(producer):
    producer.send("t", b"fine")
    producer.send("t", b"x" * (65 << 20), key=b"big", partition=2)
    with pytest.raises(DeliveryError) as caught:
        await producer.flush()
    (failure,) = caught.value.failures
    assert failure._asdict() == {
        "topic": "t",
        "partition": 2,
        "key": b"big",
        "size": 65 << 20,
        "reason": "MSG_SIZE_TOO_LARGE",
    }
    assert isinstance(caught.value, KafkaError)
    await producer.flush()


async def test_missing_topic_fails_the_flush_instead_of_making_the_topic():
    extra = MOCK | {"allow.auto.create.topics": False, "topic.metadata.propagation.max.ms": 500}
    producer = Producer(Settings(kafka="mock:1"), extra=extra)
    producer.send("missing", b"x")
    with pytest.raises(DeliveryError, match="sentinel topics") as caught:
        await producer.flush()
    assert caught.value.failures[0].topic == "missing"
    producer.close()


async def test_concurrent_flushes_each_wait_for_what_was_sent_before(producer):
    async def one(n):
        producer.send("t", b"%d" % n, partition=0)
        await producer.flush()
        return sum(end + 1 for end in producer.delivered.values())

    seen = await asyncio.gather(*(one(n) for n in range(20)))
    assert all(delivered > n for n, delivered in enumerate(seen))


async def test_a_producer_that_sends_nothing_to_a_broker_that_answers_says_so(monkeypatch):
    monkeypatch.setattr(producer_module, "STUCK_S", 0.2)
    stuck = Producer(Settings(kafka="mock:1"), linger_ms=900_000, extra=MOCK)
    stuck.send("t", b"kept back")
    with pytest.raises(KafkaError, match="which answers, to confirm some of 1 messages"):
        await stuck.flush()
    stuck.close()


async def test_a_broker_that_is_away_is_waited_for(monkeypatch):
    monkeypatch.setattr(producer_module, "STUCK_S", 0.1)
    monkeypatch.setattr(producer_module, "_ANSWER_S", 0.1)
    waiting = Producer(Settings(kafka="127.0.0.1:1"))
    waiting.send("t", b"waits")
    flushing = asyncio.ensure_future(waiting.flush())
    _, unfinished = await asyncio.wait([flushing], timeout=1.5)
    assert unfinished
    waiting.close()
    await asyncio.wait([flushing])
    assert isinstance(flushing.exception(), KafkaError)


async def test_cancelled_flush_leaves_its_failures_to_the_next(producer):
    producer.send("t", b"x" * (65 << 20))
    producer.send("t", b"keeps the first flush waiting")
    flushing = asyncio.ensure_future(producer.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    with pytest.raises((asyncio.CancelledError, DeliveryError)):
        await flushing
    if flushing.cancelled():
        with pytest.raises(DeliveryError):
            await producer.flush()


def test_full_queue_makes_send_wait_and_loses_nothing():
    extra = MOCK | {"queue.buffering.max.messages": 10}
    with Producer(Settings(kafka="mock:1"), extra=extra, linger_ms=0) as producer:
        for n in range(500):
            producer.send("t", b"%d" % n)
        ends = producer.flush_sync()
    assert sum(end + 1 for end in ends.values()) == 500


def test_unreachable_broker_is_waited_for_and_the_wait_can_be_bounded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        producer = Producer(Settings(kafka=f"127.0.0.1:{taken.getsockname()[1]}"))
        producer.send("t", b"x")
        with pytest.raises(KafkaError, match="1 are unconfirmed"):
            producer.flush_sync(timeout_s=0.2)
        assert producer.pending() == 1
        producer.close()


async def test_message_timeout_gives_up():
    settings = Settings(kafka="127.0.0.1:1")
    producer = Producer(settings, message_timeout_s=0.3)
    producer.send("t", b"x")
    with pytest.raises(DeliveryError, match="_MSG_TIMED_OUT"):
        await producer.flush()
    producer.close()


def test_closed_producer_takes_nothing(producer):
    producer.close()
    with pytest.raises(KafkaError, match="closed"):
        producer.send("t", b"x")
    producer.close()


def test_no_broker_named_is_a_settings_error():
    with pytest.raises(SettingsError, match="sentinel up"):
        client_config(Settings(kafka=""))


def test_security_settings_reach_librdkafka(tmp_path):
    authority = tmp_path / "ca.pem"
    authority.touch()
    settings = Settings(
        kafka="b:9093",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="u",
        kafka_sasl_password="hunter2",
        kafka_ssl_ca=str(authority),
    )
    config = client_config(settings)
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert config["sasl.username"] == "u"
    assert config["sasl.password"] == "hunter2"
    assert config["ssl.ca.location"] == str(authority)
    assert "ssl.key.location" not in config


@pytest.mark.parametrize(
    ("given", "named", "expected"),
    [
        ({"security_protocol": "TLS"}, "SECURITY_PROTOCOL", "one of PLAINTEXT, SSL, "),
        ({"sasl_password": "hunter2"}, "SECURITY_PROTOCOL", "SASL_SSL where SENTINEL_KAFKA_SASL_P"),
        ({"security_protocol": "SASL_SSL"}, "SASL_MECHANISM", "one of PLAIN, "),
        (
            {"security_protocol": "sasl_ssl", "sasl_mechanism": "PLAIN", "sasl_username": "u"},
            "SASL_PASSWORD",
            "it set for PLAIN",
        ),
        ({"security_protocol": "SSL", "ssl_ca": "/nowhere.pem"}, "SSL_CA", "found /nowhere.pem"),
        ({"ssl_key": __file__}, "SECURITY_PROTOCOL", "SSL or SASL_SSL for "),
    ],
)
def test_security_settings_that_do_not_go_together_are_named(given, named, expected):
    settings = Settings(kafka="b:9093", **{f"kafka_{name}": value for name, value in given.items()})
    with pytest.raises(SettingsError) as caught:
        client_config(settings)
    assert str(caught.value).startswith(f"SENTINEL_KAFKA_{named}: expected ")
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_password_is_in_no_log_line_and_no_error(caplog):
    caplog.set_level(logging.DEBUG)
    settings = Settings(
        kafka="127.0.0.1:1",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username="u",
        kafka_sasl_password="hunter2",
    )
    producer = Producer(settings, message_timeout_s=0.3, extra={"debug": "security,broker,conf"})
    producer.send("t", b"x")
    with pytest.raises(DeliveryError) as caught:
        await producer.flush()
    producer.close()
    assert caplog.text
    assert "hunter2" not in caplog.text + str(caught.value) + repr(settings)


@pytest.mark.e2e
async def test_key_partition_headers_and_value_arrive_on_the_real_broker(stack_settings, topic):
    name = topic(partitions=3)
    producer = Producer(stack_settings, compression="zstd")
    for n in range(100):
        producer.send(name, b"v%d" % n, key=b"k", partition=1, headers={"stage": "test", "n": b"1"})
    await producer.flush()
    assert producer.delivered == {(name, 1): 99}
    producer.close()

    consumer = Consumer(client_config(stack_settings) | {"group.id": name})
    consumer.assign([TopicPartition(name, 1, 0)])
    messages = []
    while len(messages) < 100:
        messages += consumer.consume(100, timeout=30)
    consumer.close()
    assert [m.value() for m in messages] == [b"v%d" % n for n in range(100)]
    assert messages[0].key() == b"k"
    assert dict(messages[0].headers()) == {"stage": b"test", "n": b"1"}


@pytest.mark.e2e
async def test_broker_that_answers_late_gets_everything(stack_settings, topic):
    """The only way to the broker is a relay that opens after the messages were sent."""
    name = topic()
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        settings = stack_settings.model_copy(update={"kafka": f"127.0.0.1:{port}"})
        producer = Producer(settings)
        for n in range(100):
            producer.send(name, b"%d" % n)
        with pytest.raises(KafkaError, match="100 are unconfirmed"):
            producer.flush_sync(timeout_s=0.3)

    async def relay(reader, writer):
        host, _, broker_port = stack_settings.kafka.partition(":")
        there, back = await asyncio.open_connection(host, int(broker_port))
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async def pipe(source, target):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
        target.close()

    async with await asyncio.start_server(relay, "127.0.0.1", port):
        await producer.flush()
        assert producer.delivered == {(name, 0): 99}
        producer.close()


FORGETFUL = """
import json, sys
from sentinel.kafka import Producer
from sentinel.settings import Settings
producer = Producer(Settings(kafka="mock:1"), extra=json.loads(sys.argv[1]))
producer.send("t", b"unsent", partition=0)
"""


def test_process_that_forgets_to_close_still_ends():
    """The polling thread must not keep a finished process alive."""
    done = subprocess.run(
        [sys.executable, "-c", FORGETFUL, json.dumps(MOCK)],
        timeout=240,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_broker_that_hangs_up_is_asked_about_its_protocol(monkeypatch):
    """As one that speaks TLS does to a client that does not."""
    monkeypatch.setattr(cluster, "CLOSED_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up():
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    line.recv(4)
                    line.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(KafkaError, match="closes connections that speak PLAINTEXT"):
            reach(Settings(kafka=f"127.0.0.1:{port}"))


def test_an_address_where_nothing_listens_is_told_with_its_reason():
    with pytest.raises(
        KafkaError, match=r"127\.0\.0\.1:1 within \d+ s, found: .*refused; is it up"
    ):
        reach(Settings(kafka="127.0.0.1:1"), timeout_s=0.6)
