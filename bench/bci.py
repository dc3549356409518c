"""The neural engine on 1,024 channels at 30 kHz, beside scipy's filter alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci.engine import Engine
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings
from bench._with.context import Context
from bench.measure import Row

CHANNELS, FS = 1024, 30_000.0
SECONDS = 2.0
#: Learning early, so that what is measured is the matched filter.
SETTINGS = EngineSettings(learn_s=1.0, learn_spikes=50, relearn_s=0.25)
BLOCKS_MS = (1, 5, 10)


def run(context: Context) -> Iterator[Row]:
    """Measure blocks of 1, 5 and 10 ms; the share is that of one core, in CPU time."""
    context.report("making two seconds of 1,024 channels")
    synth = Synth(SynthSettings(CHANNELS, SECONDS, FS, seed=7, rate_hz=20.0))
    samples = np.concatenate(list(synth.blocks()))
    half = len(samples) // 2
    engine = Engine(FS, synth.settings.uv_per_bit, synth.probe, SETTINGS)
    engine.process(samples, 0)
    learnt = engine.snapshot()
    for ms in BLOCKS_MS:
        block = round(ms * FS / 1000)
        engine.restore(learnt)
        spikes = 0

        def process(part: NDArray[np.int16], at: int) -> None:
            nonlocal spikes
            spikes += len(engine.process(part, len(samples) + at).spikes.sample)

        used = _cpu_s(samples[half:], block, process)
        beside = _scipy_s(samples[half:], block)
        yield {
            "name": f"bci_{ms}ms",
            "core_share": round(used / (half / FS), 3),
            "x_real_time": round(half / FS / used, 1),
            "msamples_per_s": round(half * CHANNELS / used / 1e6),
            "faster_than_sosfilt": round(beside / used, 2),
            "spikes": spikes,
        }


def _cpu_s(
    samples: NDArray[np.int16], block: int, process: Callable[[NDArray[np.int16], int], None]
) -> float:
    """Return the CPU seconds of `process` over all blocks."""
    before = time.process_time()
    for at in range(0, len(samples), block):
        process(samples[at : at + block], at)
    return time.process_time() - before


def _scipy_s(samples: NDArray[np.int16], block: int) -> float:
    """Return the CPU seconds of the same filter in scipy, float32, channels first: its best."""
    sections = butter(2, [300.0, 6000.0], "bandpass", fs=FS, output="sos").astype(np.float32)
    volts = np.ascontiguousarray(samples.T, dtype=np.float32)
    state = np.zeros((len(sections), CHANNELS, 2), np.float32)
    before = time.process_time()
    for at in range(0, volts.shape[1], block):
        _, state = sosfilt(sections, volts[:, at : at + block], axis=1, zi=state)
    return time.process_time() - before
