"""10,240 channels at 30 kHz: two processes of 5,120 each, side by side, in blocks of 5 ms.

Each process makes two seconds of 1,024 channels, learns from the first and gives the second to
five engines, field potentials included, as `bench.bci` does to one. ``core_share`` is the CPU
time of the slower process over the time of the recording: below 1, it keeps up on a core of its
own. Kafka is not in it; 614 MB/s would be more than a broker on two cores takes.

What a live stream waits for at its beginning is measured, too: ``load_s`` is what the neural
stage takes to load its kernels as it starts (`make setup` and the first start compile them),
``first_ms`` its first block of 5 ms and 1,024 channels, ``usual_ms`` the median of the others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.engine import Engine
from bci.lfp import Lfp
from bci.synth import Synth, SynthSettings
from bench._with.context import Context, read_result, write_result
from bench.bci import CHANNELS, FS, SECONDS, SETTINGS
from bench.measure import Row
from streams.neural import NeuralStage

PROCESSES, PROBES = 2, 5
BLOCK: Final = round(0.005 * FS)


def run(context: Context) -> Iterator[Row]:
    """Run both processes at once and show the slower one."""
    folder = context.temporary()
    with ExitStack() as open_:
        files = [folder / f"{number}.json" for number in range(PROCESSES)]
        started = [
            open_.enter_context(context.child("bench.bci_wide", file, number))
            for number, file in enumerate(files)
        ]
        found = [read_result(*each) for each in zip(started, files, strict=True)]
    row: Row = {
        "name": "bci_10240ch",
        "processes": PROCESSES,
        "channels": len(found) * PROBES * CHANNELS,
    }
    yield row | max(found, key=lambda each: float(each["core_share"]))


def main(file: str, seed: str) -> None:
    """Be one of the processes."""
    begun = time.perf_counter()
    NeuralStage()
    loaded = time.perf_counter() - begun
    synth = Synth(SynthSettings(CHANNELS, SECONDS, FS, seed=int(seed), rate_hz=20.0))
    samples = np.concatenate(list(synth.blocks()))
    scale = np.full(CHANNELS, synth.settings.uv_per_bit)
    engines = [
        (Engine(FS, synth.settings.uv_per_bit, synth.probe, SETTINGS), Lfp(FS, scale))
        for _ in range(PROBES)
    ]
    half = len(samples) // 2
    starts = _learn(*engines[0], samples[:half])
    for engine, lfp in engines[1:]:
        engine.restore(engines[0][0].snapshot())
        lfp.process(samples[:half])
    before, spikes = time.process_time(), 0
    for at in range(half, len(samples), BLOCK):
        for engine, lfp in engines:
            spikes += len(engine.process(samples[at : at + BLOCK], at).spikes.sample)
            lfp.process(samples[at : at + BLOCK])
    used = time.process_time() - before
    result: dict[str, Any] = {
        "core_share": round(used / ((len(samples) - half) / FS), 3),
        "spikes": spikes,
        "load_s": round(loaded, 2),
        "first_ms": round(starts[0] * 1000, 2),
        "usual_ms": round(float(np.median(starts[1:])) * 1000, 2),
    }
    write_result(file, result)


def _learn(engine: Engine, lfp: Lfp, samples: NDArray[np.int16]) -> list[float]:
    """Give the first second to an engine; return the CPU seconds of each block."""
    took = []
    for at in range(0, len(samples), BLOCK):
        begun = time.thread_time()
        engine.process(samples[at : at + BLOCK], at)
        lfp.process(samples[at : at + BLOCK])
        took.append(time.thread_time() - begun)
    return took


if __name__ == "__main__":
    main(*sys.argv[1:])
