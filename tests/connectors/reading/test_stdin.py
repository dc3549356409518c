"""Standard input, and topics of a Kafka: lines and messages, and what is wrong with them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from connectors._reading import kafka, stdin
from connectors._reading.base import Page, ReaderSettings, SourceError
from connectors._reading.kafka import KafkaReader, KafkaSettings
from connectors._reading.stdin import StdinReader
from connectors.generic import Generic


def values(pages: list[Page]) -> list[bytes]:
    return [record.value for page in pages for record in page.records]


def test_standard_input_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    monkeypatch.setattr(stdin, "STDIN", read_end)
    os.write(write_end, b'{"a":1}\n\n{"a":2}\nlast')
    os.close(write_end)
    reader = StdinReader(ReaderSettings(), Generic())
    pages = list(reader.read(None))
    os.close(read_end)
    assert values(pages) == [b'{"a":1}', b'{"a":2}', b"last"]
    assert len({record.id for page in pages for record in page.records}) == 3
    assert list(reader.read(None)) == []


@pytest.mark.e2e
def test_a_topic_goes_on_where_it_was_and_keeps_keys(topic: Any, kafka: str) -> None:
    name = topic(2)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(10):
        producer.produce(name, b"%d" % number, key=b"k%d" % (number % 3))
    producer.produce(name, None, key=b"deleted")
    producer.flush(30)
    chosen = KafkaSettings(bootstrap=kafka, topics=[name], poll_s=0.5)
    reader = KafkaReader(chosen, Generic())
    pages = list(reader.read(None))
    assert sorted(values(pages)) == [b"%d" % number for number in range(10)]
    assert {record.key for page in pages for record in page.records} == {b"k0", b"k1", b"k2"}
    assert sum(page.skipped.get("empty", 0) for page in pages) == 1
    producer.produce(name, b"10")
    producer.flush(30)
    assert values(list(reader.read(pages[-1].position))) == [b"10"]
    assert [check.ok for check in reader.check()] == [True]


@pytest.mark.e2e
def test_messages_that_retention_took_are_counted(topic: Any, kafka: str) -> None:
    name = topic(1)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(10):
        producer.produce(name, b"%d" % number)
    producer.flush(30)
    admin = AdminClient({"bootstrap.servers": kafka})
    for gone in admin.delete_records([TopicPartition(name, 0, 6)]).values():
        gone.result(30)
    chosen = KafkaSettings(bootstrap=kafka, topics=[name], poll_s=0.5)
    pages = list(KafkaReader(chosen, Generic()).read({"offsets": {f"{name}/0": 2}}))
    assert values(pages) == [b"6", b"7", b"8", b"9"]
    assert pages[0].skipped == {"lost": 4}


@pytest.mark.e2e
def test_a_topic_that_is_missing_says_so(topic_name: str, kafka: str) -> None:
    reader = KafkaReader(KafkaSettings(bootstrap=kafka, topics=[topic_name]), Generic())
    with pytest.raises(SourceError, match=f"expected the topic {topic_name}"):
        list(reader.read(None))
    (check,) = reader.check()
    assert not check.ok


def test_a_broker_that_cannot_be_reached_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "TIMEOUT_S", 0.5)
    secret = SecretStr("not to be shown")
    chosen = KafkaSettings(
        bootstrap="127.0.0.1:1", topics=["x"], security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN", sasl_username="u", sasl_password=secret,
    )  # fmt: skip
    (check,) = KafkaReader(chosen, Generic()).check()
    assert not check.ok
    assert "check" in check.detail
    assert "not to be shown" not in check.detail
