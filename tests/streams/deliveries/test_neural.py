"""Neural events by webhook: 20,000 spikes a second are one or two requests, signed and valid."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from bci.block import banks, cut
from bci.synth import Synth, SynthSettings
from schemas import avro
from sentinel import topics
from sentinel.settings import Settings
from sentinel.subscribers import signing
from streams.deliver import DeliverStage
from streams.neural import NeuralTask

SCHEMA = Draft202012Validator(json.loads((avro.HERE / "neural_event.schema.json").read_text()))
FS, BANKS, ELECTRODES = 30_000, 16, 64
#: Spikes that are found in a second of 1,024 channels, at least; requests for it, at most.
SPIKES, REQUESTS = 20_000, 2


def a_second(records: Any) -> list[bytes]:
    """Return what the neural stage writes to ``neural.events``; all banks see the same samples."""
    settings = SynthSettings(ELECTRODES, 1.2, seed=4, rate_hz=45.0, snr=(10.0, 16.0))
    samples = np.concatenate(list(Synth(settings).blocks()))
    channels = BANKS * ELECTRODES
    into = banks("lab", float(FS), 10**15, np.full(channels, 0.25), [], None)
    task, found, length = NeuralTask(), [], FS // 4
    for first in range(0, len(samples), length):
        rows = np.tile(samples[first : first + length], BANKS)
        values = [block.encode() for block in cut(into, rows, first, 0)]
        output = task.process(records(values, topics.NEURAL, 0, first))
        found += [r.value for r in output.records if r.topic == topics.NEURAL_EVENTS]
    return found


async def test_20000_spikes_a_second_are_a_few_requests(world, records):
    secret = signing.new("v1")
    await world.subscribe(
        clauses=[{"kinds": ["neural.*"]}], batch_size=100, batch_wait_s=1,
        config={"url": f"{world.server.url}/lab", "secrets": [{"value": secret}]},
    )  # fmt: skip
    values = a_second(records)
    headers = [[("tenant", world.tenant.encode())]] * len(values)
    task = DeliverStage(Settings()).task(topics.NEURAL_EVENTS, 0)
    output = task.process(records(values, topics.NEURAL_EVENTS, headers=headers))
    assert (len(output.notices), output.records) == (len(values), [])

    world.clock.now = time.time()  # the reference refuses what is old
    assert await world.tell(*[notice.data for notice in output.notices]) == len(values)
    await world.pass_time(1)

    requests = world.server.asked("/lab")
    messages = [Webhook(secret).verify(each.body, dict(each.headers)) for each in requests]
    told = [item["data"]["event"] for one in messages for item in one["data"]["items"]]
    assert sorted(e["id"] for e in told) == sorted(json.loads(each)["id"] for each in values)
    for event in told:
        SCHEMA.validate(event)
    spikes = sum(len(event["sample"]) for event in told if event["kind"] == "spike_batch")
    assert spikes >= SPIKES
    assert len(requests) <= REQUESTS
