"""The way in: acknowledged only when the broker has it, and in its own words."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from api.app import create
from api.routes import ingest
from sentinel.kafka import create_topics
from sentinel.settings import Settings

PACKED = {"Content-Encoding": "gzip"}
TOKEN = "a-token-of-one-tenant,-long-enough"
LINE = b"type=SYSCALL msg=audit(1700000000.123:4711): arch=c000003e syscall=59 success=yes"


@pytest.fixture(scope="session")
def source(kafka: str) -> str:
    """Make a raw topic of our own and return its source."""
    name = f"api-{uuid4().hex[:8]}"
    create_topics(Settings(kafka=kafka), [name], [f"raw.{name}"])
    return name


@pytest.fixture
async def sender(kafka: str, postgres: str, home: Path, connect: Any) -> AsyncIterator[Any]:
    app = create(Settings(home=home, postgres=postgres, kafka=kafka))
    async with connect(application=app) as client:
        yield client


def received(kafka: str, source: str, key: str) -> list[tuple[bytes, dict[str, bytes]]]:
    """Return what the topic holds under `key`, in order."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": uuid4().hex})
    topic = f"raw.{source}"
    found = []
    partitions = consumer.list_topics(topic).topics[topic].partitions
    for partition in partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition))
        consumer.assign([TopicPartition(topic, partition, 0)])
        position = 0
        while position < end:
            message = consumer.poll(120)
            assert message is not None
            assert message.error() is None
            position = message.offset() + 1
            if message.key().decode().endswith(f"/{key}"):
                found.append((message.value(), dict(message.headers() or ())))
    consumer.close()
    return found


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}', [b'{"a": 1}']),
        (b'{"Records": [{"a": 1}, {"a": 2}]}', [b'{"a": 1}', b'{"a": 2}']),
        (b'[{"a": 1}, {"a": 2}]', [b'{"a": 1}', b'{"a": 2}']),
        (b'{"a": 1}\n\n{"a": 2}\n', [b'{"a": 1}', b'{"a": 2}']),
        (LINE + b"\n" + LINE, [LINE, LINE]),
        (b'{"truncated', [b'{"truncated']),
    ],
)
async def test_what_people_have_becomes_one_message_a_record(
    sender, kafka: str, source: str, body: bytes, expected: list[bytes]
) -> None:
    key = uuid4().hex
    answer = await sender.post(f"/v1/ingest/{source}", params={"key": key}, content=body)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "source": source,
        "topic": f"raw.{source}",
        "tenant": "default",
        "accepted": len(expected),
    }
    found = received(kafka, source, key)
    assert [value for value, _ in found] == expected
    assert {headers["tenant"] for _, headers in found} == {b"default"}


@pytest.mark.e2e
async def test_a_tenant_can_only_send_for_itself(
    kafka: str, postgres: str, home: Path, connect: Any, source: str, tenant: str
) -> None:
    app = create(Settings(home=home, postgres=postgres, kafka=kafka))
    async with connect(TOKEN, application=app) as client:
        url, key = f"/v1/ingest/{source}", uuid4().hex
        answer = await client.post(url, params={"tenant": "other"}, content=b"{}")
        assert answer.status_code == 403
        answer = await client.post(url, params={"key": key}, content=b"{}")
        assert answer.json()["tenant"] == tenant
    assert received(kafka, source, key) == [(b"{}", {"tenant": tenant.encode()})]


@pytest.mark.e2e
async def test_an_unknown_source_lists_the_known(sender, source: str) -> None:
    answer = await sender.post("/v1/ingest/nothing", content=b"{}")
    assert answer.status_code == 404
    assert source in answer.json()["detail"]


@pytest.mark.e2e
async def test_an_empty_body_and_one_too_large_are_refused(sender, source: str) -> None:
    answer = await sender.post(f"/v1/ingest/{source}", content=b"\n")
    assert answer.status_code == 422
    answer = await sender.post(f"/v1/ingest/{source}", content=b"x" * 10_000_000)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"at most {8 * 2**20} bytes" in answer.json()["detail"]


@pytest.mark.e2e
@pytest.mark.parametrize("key", [None, "web-1"])
async def test_lines_stay_in_order_in_one_partition(sender, kafka: str, key: str | None) -> None:
    """An auditd event is several lines: all of a sender's, packed or not, are in one place."""
    source = f"api-{uuid4().hex[:8]}"
    create_topics(Settings(kafka=kafka), [source], [f"raw.{source}"])
    lines = [LINE.replace(b"4711", str(number).encode()) for number in range(500)]
    for headers, body in (
        ({}, b"\n".join(lines[:250])),
        (PACKED, gzip.compress(b"\n".join(lines[250:400])) + gzip.compress(b"\n")),
        ({}, b"\n".join(lines[400:])),
    ):
        params = {"key": key} if key else {}
        url = f"/v1/ingest/{source}"
        answer = await sender.post(url, params=params, headers=headers, content=body)
        assert answer.status_code == 202, answer.text
    found = received(kafka, source, key or "127.0.0.1")
    assert [value for value, _ in found] == lines  # partition by partition, hence in one


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("headers", "body", "status", "detail"),
    [
        (PACKED, gzip.compress(b"{}")[:-4], 422, "cut off"),
        (PACKED, b"{}", 422, "expected gzip"),
        (PACKED, gzip.compress(b"0" * (64 * 2**20 + 1)), 413, f"at most {64 * 2**20} bytes"),
        (PACKED, gzip.compress(b"0" * (40 * 2**20)) * 2, 413, "unpacked"),
        ({"Content-Encoding": "br"}, b"{}", 415, "expected gzip or none, found br"),
    ],
)
async def test_what_cannot_be_unpacked_is_refused(
    sender, source: str, headers: dict[str, str], body: bytes, status: int, detail: str
) -> None:
    answer = await sender.post(f"/v1/ingest/{source}", headers=headers, content=body)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


@pytest.mark.e2e
async def test_the_health_of_the_parts(sender) -> None:
    answer = await sender.get("/health/kafka")
    assert answer.status_code in {200, 503}  # the shared broker may lack topics
    assert "missing" in answer.json()["detail"]
    assert (await sender.get("/health/db")).json()["ok"] is True
    answer = await sender.get("/health/ml")
    assert isinstance(answer.json()["detail"]["partitions"], list)


async def test_without_a_broker_nothing_is_accepted(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "LOOK_S", 0.2)
    answer = await client.post("/v1/ingest/cloudtrail", content=json.dumps({"a": 1}))
    assert answer.status_code == 503
    assert "the Kafka broker cannot be reached" in answer.json()["detail"]
