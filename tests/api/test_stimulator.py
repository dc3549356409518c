"""A stimulator over HTTP: calls go to the topic, state comes from one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from api.app import create
from bci.stimulator.rig import Command, Rig
from sentinel import topics
from sentinel.kafka import create_topics
from sentinel.settings import Settings

TOKEN = "a token of one tenant, long enough".replace(" ", "-")
URL = "/v1/neural/stimulator"

pytestmark = pytest.mark.e2e


@pytest.fixture
async def caller(kafka: str, postgres: str, home: Path, connect: Any) -> AsyncIterator[Any]:
    settings = Settings(home=home, postgres=postgres, kafka=kafka)
    create_topics(settings, ["cloudtrail"], [topics.COMMANDS, topics.STIMULI])
    async with connect(application=create(settings)) as client:
        # topics that were just made have no leader yet
        while (await client.get(URL, params={"device": "none"})).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        yield client


@pytest.fixture
def device() -> str:
    return f"device-{uuid4().hex[:8]}"


def commands(kafka: str, key: bytes) -> list[Any]:
    """Return the commands of a key, and their headers."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": uuid4().hex})
    found = []
    for partition in consumer.list_topics(topics.COMMANDS).topics[topics.COMMANDS].partitions:
        place = TopicPartition(topics.COMMANDS, partition)
        _, end = consumer.get_watermark_offsets(place)
        consumer.assign([TopicPartition(topics.COMMANDS, partition, 0)])
        position = 0
        while position < end:
            message = consumer.poll(120)
            assert message is not None
            position = message.offset() + 1
            if message.key() == key:
                found.append((message.value(), dict(message.headers() or ())))
    consumer.close()
    return found


async def test_a_call_is_a_command_and_its_outcome_is_shown(caller, kafka, device):
    answer = await caller.get(URL, params={"device": device})
    assert answer.status_code == 404
    assert "expected one that had a command lately" in answer.json()["detail"]
    for call, arguments in (("setDevice", {"index": 0}), ("connect", None), ("play", {"times": 1})):
        answer = await caller.post(f"{URL}/{call}", params={"device": device}, json=arguments)
        assert answer.status_code == 202, answer.text
        assert answer.json()["topic"] == "neural.commands"
    key = f"default/{device}".encode()
    sent = commands(kafka, key)
    assert [json.loads(value)["call"] for value, _ in sent] == ["setDevice", "connect", "play"]

    rig, producer = Rig(), Producer({"bootstrap.servers": kafka})
    for value, _ in sent:  # what the stage does
        order = Command.decode(value)
        producer.produce(topics.STIMULI, json.dumps(rig.obey(order, order.time_ms)), key)
        for _, record in rig.records():
            producer.produce(topics.STIMULI, json.dumps(record), key)
    assert producer.flush(30) == 0

    answer = await caller.get(URL, params={"device": device, "limit": 2})
    assert answer.status_code == 200, answer.text
    state = answer.json()
    assert (state["connected"], state["locked"], state["sequence"]) == (True, False, 0)
    shown = [(each["call"], each["result"], each["name"]) for each in state["outcomes"]]
    assert shown == [("play", -102, "sequence_error"), ("connect", 0, "success")]


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("explode", {}),
        ("manualStimulus", None),
        ("play", {"times": 1, "more": 1}),
        ("play", {"times": "x"}),
        ("play", [1]),
    ],
)
async def test_what_can_be_no_call_is_refused(caller, device, call, body):
    answer = await caller.post(f"{URL}/{call}", params={"device": device}, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_service_token_may_look_but_not_stimulate(
    kafka: str, postgres: str, home: Path, connect: Any, device: str
) -> None:
    settings = Settings(home=home, postgres=postgres, kafka=kafka)
    create_topics(settings, ["cloudtrail"], [topics.COMMANDS, topics.STIMULI])
    async with connect(TOKEN, application=create(settings)) as client:
        answer = await client.post(f"{URL}/connect", params={"device": device})
        assert answer.status_code == 403
        assert "neural:stimulate" in answer.json()["detail"]
        answer = await client.get(URL, params={"device": device})
        assert answer.status_code == 404
        answer = await client.get(URL, params={"device": device, "tenant": "another"})
        assert answer.status_code == 403
