"""The neural engine on 1,024 channels at 30 kHz, beside scipy's filter alone and SpikeInterface.

CPU time of one core. The engine with field potentials (`bci.engine` and `bci.lfp`) in blocks
of 1, 5 and 10 ms; the neural stage with what it reads and writes; and the latency from the
trough of a spike to the call that returns it, which is the look-ahead, the rest of the block,
and the time that the block takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci.block import banks, cut
from bci.engine import Engine
from bci.lfp import Lfp
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings
from bench._with.context import Context
from bench.measure import Row
from streams.neural import NeuralTask
from streams.transport import RecordBatch
from streams.transport.offsets import Lease

CHANNELS, FS = 1024, 30_000.0
SECONDS = 2.0
#: Learning early, so that what is measured is the matched filter.
SETTINGS = EngineSettings(learn_s=1.0, learn_spikes=50, relearn_s=0.25)
BLOCKS_MS = (1, 5, 10)
#: Blocks of each bank in a poll, as many as come where the stage keeps up.
POLL: Final = 4
PARTITIONS: Final = 4


def run(context: Context) -> Iterator[Row]:
    """Measure blocks of 1, 5 and 10 ms; the share is that of one core, in CPU time."""
    context.report("making two seconds of 1,024 channels")
    synth = Synth(SynthSettings(CHANNELS, SECONDS, FS, seed=7, rate_hz=20.0))
    samples = np.concatenate(list(synth.blocks()))
    half = len(samples) // 2
    engine = Engine(FS, synth.settings.uv_per_bit, synth.probe, SETTINGS)
    lfp = Lfp(FS, np.full(CHANNELS, synth.settings.uv_per_bit))
    engine.process(samples, 0)
    lfp.process(samples[:half])
    lfp.power()
    learnt = engine.snapshot()
    for ms in BLOCKS_MS:
        block = round(ms * FS / 1000)
        engine.restore(learnt)
        spikes = 0

        def process(part: NDArray[np.int16], at: int) -> None:
            nonlocal spikes
            spikes += len(engine.process(part, len(samples) + at).spikes.sample)
            lfp.process(part)

        used = _cpu_s(samples[half:], block, process, lfp.power)
        beside = _scipy_s(samples[half:], block)
        yield {
            "name": f"bci_{ms}ms",
            "core_share": round(used / (half / FS), 3),
            "x_real_time": round(half / FS / used, 1),
            "msamples_per_s": round(half * CHANNELS / used / 1e6),
            "faster_than_sosfilt": round(beside / used, 2),
            "spikes": spikes,
        }
        if ms == BLOCKS_MS[1] and (theirs := _spikeinterface_s(samples[half:])):
            yield {
                "name": "bci_spikeinterface",
                "core_share": round(theirs / (half / FS), 3),
                "engine_faster": round(theirs / used, 1),
            }
    engine.restore(learnt)
    yield _latency(engine, samples[half:], len(samples))
    yield _stage(synth, samples)


def _cpu_s(
    samples: NDArray[np.int16],
    block: int,
    process: Callable[[NDArray[np.int16], int], None],
    finish: Callable[[], object],
) -> float:
    """Return the CPU seconds of `process` over all blocks, and of `finish` after them."""
    before = time.process_time()
    for at in range(0, len(samples), block):
        process(samples[at : at + block], at)
    finish()
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


def _spikeinterface_s(samples: NDArray[np.int16]) -> float:
    """Return the CPU seconds of SpikeInterface's band-pass and detection; 0 without it."""
    try:
        import spikeinterface.core as core
        from spikeinterface.preprocessing import bandpass_filter
        from spikeinterface.sortingcomponents.peak_detection import detect_peaks
    except ImportError:
        return 0.0
    recording = core.NumpyRecording(samples, FS)
    recording.set_channel_gains(0.25)
    recording.set_channel_offsets(0.0)
    places = Synth(SynthSettings(CHANNELS, 0.1, FS)).probe.positions
    recording.set_dummy_probe_from_locations(places)
    filtered = bandpass_filter(recording, freq_min=300.0, freq_max=6000.0, dtype="float32")
    before = time.process_time()
    detect_peaks(
        filtered,
        method="locally_exclusive",
        method_kwargs={"noise_levels": np.full(CHANNELS, 20.0), "detect_threshold": 5.0},
        job_kwargs={"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False},
    )
    return time.process_time() - before


def _latency(engine: Engine, samples: NDArray[np.int16], first: int) -> Row:
    """Return the time from trough to event in blocks of 1 ms."""
    block, late = round(FS / 1000), []
    for at in range(0, len(samples), block):
        begun = time.thread_time()
        found = engine.process(samples[at : at + block], first + at).spikes
        took = time.thread_time() - begun  # on a core of its own; neighbours are not ours
        late.append((first + at + block - found.sample) / FS + took)
    p50, p99 = np.percentile(np.concatenate(late), [50, 99]) * 1000
    return {
        "name": "bci_latency_1ms",
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
    }


def _stage(synth: Synth, samples: NDArray[np.int16]) -> Row:
    """Return the share of a core that the neural stage takes, Kafka apart."""
    scale = np.full(CHANNELS, synth.settings.uv_per_bit)
    into = banks("bench", FS, 0, scale, [], synth.probe.positions)
    length = round(FS / 100)
    values = [
        [block.encode() for block in cut(into, samples[at : at + length], at, 0)]
        for at in range(0, len(samples), length)
    ]
    polls = [
        (part, [group[b] for group in values[k : k + POLL] for b in range(part, 16, PARTITIONS)])
        for k in range(0, len(values), POLL)
        for part in range(PARTITIONS)
    ]
    tasks = [NeuralTask() for _ in range(PARTITIONS)]
    records, before = 0, time.process_time()
    for number, (part, poll) in enumerate(polls):
        count = len(poll)
        batch = RecordBatch(
            Lease(("raw.neural", part)), list(range(number * count, (number + 1) * count)),
            [None] * count, list(poll), [0] * count, [None] * count,
        )  # fmt: skip
        records += len(tasks[part].process(batch).records)
    used = time.process_time() - before
    begun = time.process_time()
    state = sum(len(task.snapshot()) for task in tasks)
    return {
        "name": "bci_stage",
        "core_share": round(used / SECONDS, 3),
        "records": records,
        "snapshot_mb": round(state / 1e6, 1),
        "snapshot_cpu_ms": round(1000 * (time.process_time() - begun), 1),
    }
