"""Closed loop: from a spike's trough to the stimulus that answers it, blocks of 1 ms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bci.engine import Engine
from bci.settings import EngineSettings
from bci.stimulator.audit import Record
from bci.stimulator.clock import ManualClock
from bci.stimulator.closed_loop import LoopRule, respond
from bci.stimulator.rig import Command, Rig
from bci.synth import Synth, SynthSettings
from bench._with.context import Context
from bench.measure import Row, percentile

CHANNELS, FS, SECONDS = 64, 30_000.0, 8.0
#: Samples a block.
BLOCK = 30
SETTINGS = EngineSettings(learn_s=1.0, learn_spikes=50, relearn_s=0.25)
#: Any spike of any channel is answered, but not more often than every 20 ms.
RULE = LoopRule("any", electrode=7, config=1, spikes=1, hold_ms=20.0, device="rig")
PATTERN = {
    "configID": 1, "afcf": 1, "pulses": 1, "amp1": 50, "amp2": 50,
    "width1": 200, "width2": 200, "frequency": 100, "interphase": 53,
}  # fmt: skip
SETUP: list[tuple[str, dict[str, Any]]] = [
    ("setDevice", {"index": 0}),
    ("connect", {}),
    ("configureStimulusPattern", PATTERN),
]


class Loop(NamedTuple):
    """What a run gave: ms of stream, of CPU and of wall time from trough to call; device time."""

    stream: list[float]
    cpu: list[float]
    wall: list[float]
    device_ms: float
    stimuli: int


def run(context: Context) -> Iterator[Row]:
    """Measure what passes from trough to call.

    The wait for the rest of the block and the look-ahead of the detector are stream time, the
    same on every machine; to it comes computing, in CPU time of the thread (``p50_ms``,
    ``p99_ms``) or wall time, which on a shared machine tells of its neighbours.
    ``device_ms`` is what the stimulator needs for a call over USB.
    """
    context.report(f"making {SECONDS:g} seconds of {CHANNELS} channels")
    synth = Synth(SynthSettings(CHANNELS, SECONDS, FS, seed=7, rate_hz=5.0))
    samples = np.concatenate(list(synth.blocks()))
    engine = Engine(FS, synth.settings.uv_per_bit, synth.probe, SETTINGS)
    found = loop(engine, samples)
    yield {
        "name": "closed_loop_1ms",
        "stimuli": found.stimuli,
        "p50_ms": round(percentile(_sums(found.stream, found.cpu), 50), 3),
        "p99_ms": round(percentile(_sums(found.stream, found.cpu), 99), 3),
        "wall_p50_ms": round(percentile(_sums(found.stream, found.wall), 50), 3),
        "wall_p99_ms": round(percentile(_sums(found.stream, found.wall), 99), 3),
        "cpu_p50_ms": round(percentile(found.cpu, 50), 3),
        "device_ms": found.device_ms,
    }


def _sums(first: list[float], second: list[float]) -> list[float]:
    return [a + b for a, b in zip(first, second, strict=True)]


def loop(engine: Engine, samples: NDArray[np.int16]) -> Loop:
    """Run blocks through detection, rule and stimulator."""
    clock = ManualClock()
    rig = Rig(clock=lambda: clock)
    for number, (name, arguments) in enumerate(SETUP):
        rig.obey(Command(str(number), RULE.device, name, arguments, 0), 0)
    rig.records()
    state: Any = {}
    stream, cpu, wall = list[float](), list[float](), list[float]()
    stimuli, device = list[Record](), 0.0
    for start in range(0, len(samples), BLOCK):
        block = samples[start : start + BLOCK]
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        spikes = engine.process(block, start).spikes
        if not len(spikes.sample):
            continue
        event = {
            "kind": "spike_batch", "session": "bench", "bank": 0, "fs": FS,
            "sample": spikes.sample.tolist(), "channel": spikes.channel.tolist(),
        }  # fmt: skip
        state, commands = respond([RULE], state, event, 0)
        for command in commands:
            before = clock.now()
            rig.obey(Command(**command), 0)
            cpu.append(1000 * (time.thread_time() - begun_cpu))
            wall.append(1000 * (time.perf_counter() - begun))
            device = (clock.now() - before) / 1000
            trough = int(command["id"].rpartition("/")[2])
            stream.append((start + len(block) - trough) * 1000 / FS)
        stimuli += [record for _, record in rig.records() if record["kind"] == "stimulus"]
        clock.sleep(1000)
    return Loop(stream, cpu, wall, device, len(stimuli))
