"""A recording put through an engine in pieces, as tests of exactness do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from bci.engine import Engine, Spikes
from bci.settings import EngineSettings
from bci.synth import Synth

Through = Callable[..., Spikes]


@pytest.fixture(scope="session")
def through() -> Through:
    """Return ``through(synth, samples, start, sizes, settings, restart=0)``: what is found.

    `start` is the device sample of the first, `sizes` are those of the blocks; with `restart`, a
    new engine goes on after so many of them.
    """

    def run(
        synth: Synth,
        samples: NDArray[np.int16],
        start: int,
        sizes: Iterator[int],
        settings: EngineSettings,
        restart: int = 0,
    ) -> Spikes:
        def made() -> Engine:
            return Engine(synth.settings.fs, synth.settings.uv_per_bit, synth.probe, settings)

        engine, parts, at, count = made(), [], 0, 0
        while at < len(samples):
            size = next(sizes)
            parts.append(engine.process(samples[at : at + size], start + at).spikes)
            at, count = at + size, count + 1
            if restart and count % restart == 0:
                kept, engine = engine.snapshot(), made()
                engine.restore(kept)
        parts.append(engine.finish().spikes)
        return Spikes(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return run
