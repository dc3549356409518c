"""What stimulation does to detection: spikes found near its artefacts and away from them.

The recording is ours (`bci.synth`, 32 electrodes of a Utah array, seeds that nothing was tuned
on); from the twelfth second on an artefact comes 20 times a second: 0.4 ms of a biphasic pulse
of several mV, then a decay of 0.3 to 0.8 ms, each electrode with its own sizes. Three engines
look at the same samples: one that blanks nothing, one that sees artefacts by themselves (many
channels at once) and one that is told of every stimulus, as the stimulator's events do.
Near: from 0.5 ms before a pulse to 10 ms after it. What was blanked counts as missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bci.engine import Engine
from bci.score import score
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings
from bench._with.context import Context
from bench.measure import Row

SEEDS: Final = (41, 42, 43)
FS: Final = 30_000.0
SECONDS: Final = 30.0
#: When stimulation begins, s, how often it comes, Hz, and how long it lasts, ms.
BEGIN_S, RATE_HZ, PULSE_MS = 12.0, 20.0, 0.4
BEFORE_MS, NEAR_MS = 0.5, 10.0
#: Told of a stimulus, what rings after it is left out, too, ms.
RING_MS: Final = 2.0


def run(context: Context) -> Iterator[Row]:
    """Score the three on all seeds together."""
    totals: dict[str, NDArray[np.int64]] = {}
    for seed in SEEDS:
        context.report(f"stimulating recording {seed}")
        synth = Synth(SynthSettings(32, SECONDS, FS, seed=seed))
        samples = np.concatenate(list(synth.blocks()))
        pulses = _stimulate(samples, synth.settings)
        for name, settings, told in (
            ("nothing", EngineSettings(artefact_share=2.0), False),
            ("seen", EngineSettings(), False),
            ("told", EngineSettings(), True),
        ):
            found = _detect(synth, samples, settings, pulses if told else pulses[:0])
            counts = _counts(synth, pulses, *found)
            totals[name] = totals.get(name, np.zeros((2, 3), np.int64)) + counts
    for name, counts in totals.items():
        row: Row = {"name": f"bci_artefacts_{name}", "recordings": len(SEEDS)}
        for where, (right, missed, false) in zip(("near", "away"), counts.tolist(), strict=True):
            row[f"precision_{where}"] = round(right / max(1, right + false), 3)
            row[f"recall_{where}"] = round(right / max(1, right + missed), 3)
        yield row


def _stimulate(samples: NDArray[np.int16], made: SynthSettings) -> NDArray[np.int64]:
    """Add the artefacts to `samples`; return the first sample of each pulse."""
    draw = np.random.default_rng([made.seed, 5])
    channels, half = samples.shape[1], round(PULSE_MS / 2 * FS / 1000)
    size = draw.uniform(1000, 6000, channels) / made.uv_per_bit
    rest, decay_ms = size * draw.uniform(0.05, 0.2, channels), draw.uniform(0.3, 0.8, channels)
    time_ms = np.arange(round(0.01 * FS)) / FS * 1000
    shape = rest * np.exp(-time_ms[:, None] / decay_ms)
    shape[:half] -= size
    shape[half : 2 * half] += size
    step = round(FS / RATE_HZ)
    pulses = np.arange(round(BEGIN_S * FS), len(samples) - step, step)
    pulses += draw.integers(0, step // 4, len(pulses))
    for at in pulses:
        part = samples[at : at + len(shape)]
        part[:] = np.clip(part + shape, -32768, 32767).astype(np.int16)
    return pulses


def _detect(
    synth: Synth, samples: NDArray[np.int16], settings: EngineSettings, told: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sample and channel of what is found, in blocks of 10 ms."""
    engine = Engine(FS, synth.settings.uv_per_bit, synth.probe, settings)
    ring = round((PULSE_MS + RING_MS) * FS / 1000)
    for first in told.tolist():
        engine.blank(first, first + ring)
    step = round(FS / 100)
    spikes = [
        engine.process(samples[at : at + step], at).spikes for at in range(0, len(samples), step)
    ]
    spikes.append(engine.finish().spikes)
    return (
        np.concatenate([each.sample for each in spikes]).astype(np.int64),
        np.concatenate([each.channel for each in spikes]).astype(np.int64),
    )


def _counts(
    synth: Synth, pulses: NDArray[np.int64], sample: NDArray[np.int64], channel: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return spikes found, spikes missed and false detections, near pulses and away from them."""
    order = np.argsort(sample, kind="stable")
    sample, channel = sample[order], channel[order]
    truth = synth.truth
    matched = score(
        truth.sample, truth.positions[truth.unit], sample, truth.electrodes[channel], FS
    ).matched
    wrong = np.ones(len(sample), bool)
    wrong[matched[matched >= 0]] = False
    counts = np.zeros((2, 3), np.int64)
    for row, want in enumerate((True, False)):
        mine = (_near(truth.sample, pulses) == want) & (truth.sample >= BEGIN_S * FS)
        theirs = (_near(sample, pulses) == want) & (sample >= BEGIN_S * FS)
        counts[row] = (
            (mine & (matched >= 0)).sum(),
            (mine & (matched < 0)).sum(),
            (theirs & wrong).sum(),
        )
    return counts


def _near(at: NDArray[np.int64], pulses: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which samples lie near a pulse."""
    last = np.searchsorted(pulses, at + round(BEFORE_MS * FS / 1000), "right") - 1
    after = at - pulses[np.maximum(last, 0)]
    return (last >= 0) & (after <= round(NEAR_MS * FS / 1000))
