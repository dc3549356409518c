"""Recordings whose spikes are known: for tests, for tuning thresholds, and to try things out.

Units are points near the electrodes. A spike is a trough of 0.2 ms and a slower, smaller
peak after it, each unit with widths of its own; its amplitude falls off as ``1 / (1 + (r /
30 µm)²)`` with the distance. Trains are Poisson with a dead time. To that come white noise,
background spikes too small to be told apart (``hash``), and a slow field (LFP) that all
electrodes of a bank share. It is made second by second from ``(seed, second)``, so that any
second can be made alone and memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bci.probe import Probe
from bci.truth import Truth

#: Distance from a unit at which its amplitude is half, µm.
HALF_UM: Final = 30.0
#: Amplitudes below this share of the noise are left out of a unit's footprint.
LEAST: Final = 0.05
DEAD_MS: Final = 3.0


@dataclass(frozen=True, slots=True)
class SynthSettings:
    """What is made.

    Attributes
    ----------
    channels, seconds, fs, seed
        Size, Hz, and what all random numbers come from.
    pitch_um
        Distance of electrodes, in a square grid; 400 is a Utah array, 20 a dense probe.
    units
        Number of units; 0 means one for every two channels.
    rate_hz
        Mean firing rates are drawn evenly from 0.2 to 1.8 times this.
    snr
        Peak amplitudes on the nearest electrode are drawn evenly from this range, in σ of the
        white noise.
    noise_uv, hash_uv, lfp_uv
        σ of the white noise, largest amplitude of background spikes, σ of the slow field.
    uv_per_bit
        Resolution of the int16 samples.
    """

    channels: int = 32
    seconds: float = 10.0
    fs: float = 30_000.0
    seed: int = 0
    pitch_um: float = 400.0
    units: int = 0
    rate_hz: float = 8.0
    snr: tuple[float, float] = (4.0, 14.0)
    noise_uv: float = 8.0
    hash_uv: float = 0.0
    lfp_uv: float = 60.0
    uv_per_bit: float = 0.25


class Synth:
    """Makes a recording in blocks, and tells what is in it.

    Examples
    --------
    >>> synth = Synth(SynthSettings(channels=4, seconds=0.5, seed=7))
    >>> blocks = list(synth.blocks())
    >>> blocks[0].shape, blocks[0].dtype.name
    ((15000, 4), 'int16')
    >>> len(synth.truth.positions)
    2
    """

    def __init__(self, settings: SynthSettings) -> None:
        self.settings = settings
        columns = max(1, round(np.sqrt(settings.channels)))
        rows = -(-settings.channels // columns)
        grid = Probe.grid(rows, columns, settings.pitch_um)
        self.probe = Probe(grid.positions[: settings.channels])
        self._draw = np.random.default_rng([settings.seed, 0])
        self._units = settings.units or max(1, settings.channels // 2)
        self._shapes, self._before = self._make_shapes(self._units)
        self.truth = self._make_truth()
        self._footprint = self._make_footprint()

    def _samples(self, ms: float) -> int:
        return round(ms * self.settings.fs / 1000)

    def _make_shapes(self, count: int) -> tuple[NDArray[np.float32], int]:
        """Return float32[unit, time], trough -1, and the samples before the trough."""
        before, after = self._samples(1.0), self._samples(2.0)
        time = np.arange(-before, after) / self.settings.fs * 1000
        width = self._draw.uniform(0.08, 0.16, (count, 1))
        later, slower = (
            self._draw.uniform(0.35, 0.6, (count, 1)),
            self._draw.uniform(2, 3, (count, 1)),
        )
        size = self._draw.uniform(0.2, 0.45, (count, 1))
        trough = np.exp(-0.5 * (time / width) ** 2)
        peak = size * np.exp(-0.5 * ((time - later) / (slower * width)) ** 2)
        return (peak - trough).astype(np.float32), before

    def _make_truth(self) -> Truth:
        """Draw places, amplitudes and trains."""
        settings, draw = self.settings, self._draw
        near = self.probe.positions[draw.integers(0, settings.channels, self._units)]
        angle, away = draw.uniform(0, 2 * np.pi, self._units), draw.uniform(0, 15, self._units)
        positions = near + np.column_stack([np.cos(angle) * away, np.sin(angle) * away])
        amplitudes = draw.uniform(*settings.snr, self._units) * settings.noise_uv
        trains = [self._train(rate) for rate in draw.uniform(0.2, 1.8, self._units)]
        sample = np.concatenate(trains)
        unit = np.repeat(np.arange(self._units, dtype=np.int32), [len(train) for train in trains])
        order = np.lexsort((unit, sample))
        return Truth(
            settings.fs,
            self.probe.positions,
            sample[order],
            unit[order],
            positions,
            amplitudes,
        )

    def _train(self, share: float) -> NDArray[np.int64]:
        """Draw a Poisson train with a dead time; no spike is cut off at either end."""
        settings = self.settings
        total = round(settings.seconds * settings.fs)
        rate = settings.rate_hz * share
        count = self._draw.poisson(rate * settings.seconds * 1.2) + 20
        gaps = self._draw.exponential(max(1e-9, 1 / rate - DEAD_MS / 1000), count) + DEAD_MS / 1000
        times = np.round(np.cumsum(gaps) * settings.fs).astype(np.int64)
        return times[(times >= self._before) & (times < total - self._samples(2.0))]

    def _make_footprint(self) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return for each unit the channels that see it, and its amplitude there, µV."""
        found = []
        for place, amplitude in zip(self.truth.positions, self.truth.amplitudes, strict=True):
            apart = np.hypot(*(self.probe.positions - place).T)
            fall = 1 / (1 + (apart / HALF_UM) ** 2)
            size = amplitude * fall / fall.max()
            seen = np.flatnonzero(size > LEAST * self.settings.noise_uv)
            found.append((seen, size[seen].astype(np.float32)))
        return found

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """Yield the recording as int16[time, channel], at most a second at a time."""
        settings = self.settings
        step, total = round(settings.fs), round(settings.seconds * settings.fs)
        for first in range(0, total, step):
            volts = self._background(first // step, min(step, total - first))
            self._add_spikes(volts, first)
            np.clip(np.round(volts / settings.uv_per_bit, out=volts), -32768, 32767, out=volts)
            yield volts.astype(np.int16)

    def _background(self, second: int, count: int) -> NDArray[np.float32]:
        """Return noise, background spikes and the slow field of a second, µV."""
        settings = self.settings
        draw = np.random.default_rng([settings.seed, 1, second])
        volts = draw.standard_normal((count, settings.channels), dtype=np.float32)
        volts *= np.float32(settings.noise_uv)
        if settings.hash_uv:
            self._add_hash(volts, draw)
        if settings.lfp_uv:
            time = np.arange(count) / settings.fs
            waves = draw.uniform(1, 60, 8)
            phases = draw.uniform(0, 2 * np.pi, 8)
            field = sum(
                np.sin(2 * np.pi * f * time + p) / np.sqrt(f)
                for f, p in zip(waves, phases, strict=True)
            )
            edges = np.minimum(1, np.minimum(time, time[::-1]) * 50)  # no step between seconds
            volts += (settings.lfp_uv * field * edges).astype(np.float32)[:, None]
        return volts

    def _add_hash(self, volts: NDArray[np.float32], draw: np.random.Generator) -> None:
        """Add background spikes: a dozen trains of 20 Hz on every channel."""
        count, channels = volts.shape
        number = draw.poisson(12 * 20 * count / self.settings.fs * channels)
        width = self._shapes.shape[1]
        at = draw.integers(0, max(1, count - width), number)
        on, unit = draw.integers(0, channels, number), draw.integers(0, self._units, number)
        size = draw.uniform(0.15, 1, number) * self.settings.hash_uv
        for k in range(number):
            volts[at[k] : at[k] + width, on[k]] += (size[k] * self._shapes[unit[k]])[
                : count - at[k]
            ]

    def _add_spikes(self, volts: NDArray[np.float32], first: int) -> None:
        """Add what of every spike falls into the block that begins at `first`."""
        width, truth = self._shapes.shape[1], self.truth
        low = np.searchsorted(truth.sample, first - width)
        high = np.searchsorted(truth.sample, first + len(volts) + self._before)
        for sample, unit in zip(truth.sample[low:high], truth.unit[low:high], strict=True):
            start = sample - self._before - first
            here = slice(max(0, start), min(len(volts), start + width))
            if here.start < here.stop:
                channels, size = self._footprint[unit]
                shape = self._shapes[unit, here.start - start : here.stop - start]
                volts[here, channels] += shape[:, None] * size
