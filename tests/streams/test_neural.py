"""The neural stage: spikes and events out of blocks, the same after a crash."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from numpy.typing import NDArray

from bci.bank import BankStream
from bci.block import Block, banks, cut
from bci.formats.nsx_write import NsxWriter
from bci.synth import Synth, SynthSettings
from schemas import avro
from sentinel import topics
from streams.neural import NeuralTask
from streams.runtime.stage import Output

FS = 30_000.0
ROOT = Path(__file__).resolve().parents[2]
SYNTH = SynthSettings(channels=70, seconds=3.0, seed=9, rate_hz=30.0)


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """Two banks in blocks of 20 ms, and their ends."""
    synth = Synth(SYNTH)
    samples = np.concatenate(list(synth.blocks()))
    labels = [f"e{channel}" for channel in range(70)]
    into = banks("rec", FS, 10**15, np.full(70, 0.25), labels, synth.probe.positions)
    blocks = [
        block
        for start in range(0, len(samples), 600)
        for block in cut(into, samples[start : start + 600], start, start + 600)
    ]
    blocks += [Block(b, len(samples), 0, np.zeros((0, b.channels), np.int16)) for b in into]
    return [block.encode() for block in blocks]


def told(output: Output) -> list[tuple[str, bytes | None, bytes]]:
    return [(record.topic, record.key, record.value) for record in output.records]


def run(records, values: list[bytes], sizes: Iterator[int], task: NeuralTask) -> list[Any]:
    found, at = [], 0
    while at < len(values):
        size = next(sizes)
        found += told(task.process(records(values[at : at + size], topics.NEURAL, 0, at)))
        at += size
    return found


def test_spikes_and_events_go_to_their_topics(records, values):
    task = NeuralTask()
    found = run(records, values, iter(lambda: 7, None), task)

    spikes = [avro.decode("neural_spikes", v) for topic, _, v in found if topic == topics.SPIKES]
    events = [json.loads(v) for topic, _, v in found if topic == topics.NEURAL_EVENTS]
    count = sum(len(window["sample"]) // 8 for window in spikes)
    assert count == sum(len(e["sample"]) for e in events if e["kind"] == "spike_batch") > 1000
    assert {key for topic, key, _ in found if topic == topics.SPIKES} == {b"rec/0", b"rec/1"}
    assert len([e for e in events if e["kind"] == "activity"]) == 6
    assert task.ledger.dump() == [
        {"stage": "neural", "tenant": "default", "source": "neural", "in": 302, "out": 302}
    ]
    assert len({e["id"] for e in events}) == len(events)


def test_batches_and_a_crash_do_not_change_what_comes_out(records, values):
    whole = sorted(run(records, values, iter(lambda: len(values), None), NeuralTask()))
    found, task = [], NeuralTask()
    for at in range(0, len(values), 50):
        found += told(task.process(records(values[at : at + 50], topics.NEURAL, 0, at)))
        state = task.snapshot()
        # what follows is lost, but not the checkpoint
        task.process(records(values[at + 50 : at + 60] or values[-1:], topics.NEURAL, 0, at + 50))
        task = NeuralTask()
        task.restore(state)

    assert sorted(found) == whole


def test_what_is_no_block_is_a_dead_letter(records, values):
    task = NeuralTask()
    output = task.process(records([b"junk", None, values[0]], topics.NEURAL))

    assert [record.topic for record in output.records] == ["dead_letter", "dead_letter"]
    assert output.records[0].headers["reason"] == "schema"
    assert task.ledger.dump()[0] | {"in": 3, "out": 1, "dead_lettered": 2} == task.ledger.dump()[0]


def test_a_tenant_keeps_its_own(records, values):
    headers = [[("tenant", b"acme")]] * 100
    output = NeuralTask().process(records(values[:100], topics.NEURAL, headers=headers))

    assert output.records
    assert {record.headers["tenant"] for record in output.records} == {"acme"}


def test_what_is_notable_goes_to_the_rules(records, values):
    task = NeuralTask()
    task.process(records(values[:100], topics.NEURAL))
    output = task.process(records(values[104:], topics.NEURAL, 0, 104))

    gaps = [
        json.loads(record.value)
        for record in output.records
        if record.topic == topics.raw("bci_event")
    ]
    assert [(gap["kind"], gap["bank"], gap["missing_samples"]) for gap in gaps[:2]] == [
        ("gap", 0, 1200),
        ("gap", 1, 1200),
    ]


def sentinel(stack, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sentinel.cli", *arguments],
        env=stack.env() | {"PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def read(kafka: str, topic: str, enough) -> list[bytes]:
    """Return the records of a topic once `enough` says so."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "test-neural"})
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        found: list[bytes] = []
        deadline = time.monotonic() + 120
        while not enough(found):
            assert time.monotonic() < deadline, f"{len(found)} records of {topic}"
            found += [m.value() for m in consumer.consume(500, 0.5) if m.error() is None]
        return found
    finally:
        consumer.close()


@pytest.mark.e2e
def test_replayed_through_kafka_and_killed_on_the_way_it_is_as_if_nothing_was(
    stack, kafka, postgres, tmp_path
):
    synth = Synth(SYNTH)
    samples = np.concatenate(list(synth.blocks()))
    labels = [f"e{channel}" for channel in range(70)]
    with NsxWriter(tmp_path / "rec.ns5", FS, 0.25, labels) as writer:
        writer.write(samples)
    made = sentinel(stack, "topics", "create")
    _, said = made.communicate(timeout=240)
    assert made.returncode == 0, said
    monitor = sentinel(stack, "bci", "monitor", "--json", "--seconds", "600")
    worker = sentinel(stack, "worker", "--stage", "neural")
    try:
        replay = sentinel(stack, "bci", "replay", str(tmp_path / "rec.ns5"), "--session", "kill",
                          "--speed", "max", "--json")  # fmt: skip
        out, err = replay.communicate(timeout=240)
        assert replay.returncode == 0, err
        assert json.loads(out)["channels"] == 70
        read(kafka, topics.SPIKES, lambda found: len(found) > 20)
        worker.kill()
        worker.communicate(timeout=120)
        worker = sentinel(stack, "worker", "--stage", "neural")

        wanted = _straight(synth, samples)
        values = read(kafka, topics.NEURAL_EVENTS, lambda found: _spikes(found) >= set(wanted))

        assert sorted(_spikes(values)) == wanted
        line = monitor.stdout.readline()
        assert json.loads(line)["session"] == "kill"
    finally:
        for process in (worker, monitor):
            process.kill()
            process.communicate(timeout=120)
            for pipe in (process.stdout, process.stderr):
                pipe.close()


def _spikes(values: list[bytes]) -> set[tuple[int, int]]:
    """Return sample and channel of all spikes; an event that came twice counts once."""
    events = {event["id"]: event for event in map(json.loads, values)}
    batches = [event for event in events.values() if event["kind"] == "spike_batch"]
    return {pair for e in batches for pair in zip(e["sample"], e["channel"], strict=True)}


def _straight(synth: Synth, samples: NDArray[np.int16]) -> list[tuple[int, int]]:
    """Return the spikes of the samples without Kafka, blocks or crashes."""
    found: set[tuple[int, int]] = set()
    for block in cut(banks("kill", FS, 0, np.full(70, 0.25), [], None), samples, 0, 0):
        stream = BankStream(block.bank)
        given = [stream.process([block]), stream.finish()]
        found |= {
            (sample, channel + 64 * block.bank.number)
            for part in given
            for window in part.windows
            for sample, channel in zip(
                window.spikes.sample.tolist(), window.spikes.channel.tolist(), strict=True
            )
        }
    return sorted(found)
