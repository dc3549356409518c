"""What is unusual in a bank: bursts, synchrony like that of a seizure, rate shifts, bad channels.

Everything is worked out second by second of device time, from spikes that are final and from
looks at raw samples at fixed sample indices: so it does not depend on blocks either. What is
usual is learnt from the bank itself, with exponential forgetting.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

#: Bins in which coincidence is looked at, a second; hence 25 ms.
BINS: Final = 40
#: Share of the good channels that fire in a bin of a burst, at least; and standard deviations
#: above what is usual.
BURST_SHARE, BURST_SIGMAS = 0.5, 5.0
#: Good channels below which coincidence says nothing.
FEWEST: Final = 8
#: Bins after which what is usual is known, and how fast that is forgotten.
WARM_BINS, BIN_RATE = 5 * BINS, 1 / (10 * BINS)
#: Synchrony: so many bursts within so many bins, or one that lasts so many bins.
BURSTS, WITHIN, LASTING = 5, 10 * BINS, 3 * BINS
#: Seconds of one comparison of rates, comparisons until rates are known, and forgetting.
SHIFT_S, WARM_SHIFTS, SHIFT_RATE = 5, 6, 0.1
#: A channel's rate has shifted beyond so many standard deviations; share of channels that make
#: an event; and comparisons after which the new rates are the usual ones.
SHIFT_SIGMAS, SHIFT_SHARE, SHIFT_LASTS = 6.0, 0.25, 12
#: Looks at raw samples: a channel is flat whose values span at most so many bits, saturated
#: where so many looks are at its own limits.
FLAT_BITS, RAIL_SHARE = 2, 0.1
#: Noise of a channel against the median of its bank: below it is weak, above noisy.
WEAK, NOISY = 0.25, 4.0
#: Seconds for which a channel must look different before it is said.
CONFIRM: Final = 2
GOOD, FLAT, SATURATED, WEAK_STATE, NOISY_STATE = range(5)
STATES: Final = ("good", "flat", "saturated", "weak", "noisy")


class Burst(NamedTuple):
    """Many channels at once: first and last sample, spikes, most channels in a bin."""

    first: int
    last: int
    spikes: int
    channels: int


class Synchrony(NamedTuple):
    """Bursts like those of a seizure: since when, until now, and how many."""

    first: int
    last: int
    bursts: int


class Shift(NamedTuple):
    """Rates of many channels changed: Hz before and now, of these channels."""

    channels: NDArray[np.int64]
    before: NDArray[np.float64]
    now: NDArray[np.float64]


class Change(NamedTuple):
    """A channel looks different: states of `STATES`."""

    channel: int
    was: int
    state: int


class Open(msgspec.Struct):
    """A burst that lasts."""

    first: int
    last: int
    spikes: int
    channels: int
    bins: int


class Memory(msgspec.Struct):
    """What is remembered besides arrays."""

    bins: int = 0
    mean: float = 0.0
    variance: float = 0.0
    burst: Open | None = None
    starts: list[list[int]] = []
    seizing: bool = False
    seconds: int = 0
    shifts: int = 0
    shifted: int = 0


class Unusual(NamedTuple):
    """What a second gave."""

    bursts: list[Burst]
    synchrony: list[Synchrony]
    shift: Shift | None
    changes: list[Change]


class Activity:
    """Watches the spikes and the health of one bank.

    Parameters
    ----------
    channels
        Number of channels.
    fs
        Sampling rate, Hz.
    """

    def __init__(self, channels: int, fs: float) -> None:
        self._bin = max(1, round(fs / BINS))
        self._memory = Memory()
        whole = np.zeros(channels, np.int64)
        self._arrays: dict[str, NDArray[Any]] = {
            "state": whole.copy(),
            "seen": whole.copy(),
            "since": whole.copy(),
            "counts": whole.copy(),
            "mean": np.zeros(channels),
            "variance": np.zeros(channels),
        }

    @property
    def state(self) -> NDArray[np.int64]:
        """Index into `STATES` of each channel, once confirmed."""
        state: NDArray[np.int64] = self._arrays["state"]
        return state

    def second(
        self,
        first: int,
        last: int,
        sample: NDArray[np.int64],
        channel: NDArray[np.int32],
        looks: NDArray[np.int16],
        sigma: NDArray[np.float32],
    ) -> Unusual:
        """Take all that became final in a second.

        Parameters
        ----------
        first, last
            Device samples between which spikes became final.
        sample, channel
            These spikes, ascending.
        looks
            int16[n, channel], raw samples at fixed indices.
        sigma
            float32[channel], µV, 0 while unknown.
        """
        bursts, synchrony = self._bursts(first, last, sample, channel)
        shift = self._rates(np.bincount(channel, minlength=len(self.state)))
        return Unusual(bursts, synchrony, shift, self._health(looks, sigma))

    def gap(self) -> None:
        """Forget what lasted: samples are missing."""
        self._memory.burst = None

    def _bursts(
        self, first: int, last: int, sample: NDArray[np.int64], channel: NDArray[np.int32]
    ) -> tuple[list[Burst], list[Synchrony]]:
        """Look for bursts in the bins that end between `first` and `last`."""
        bursts: list[Burst] = []
        synchrony: list[Synchrony] = []
        good = int((self.state == GOOD).sum())
        if good < FEWEST or last <= first:
            return bursts, synchrony
        number = max(1, round((last - first) / self._bin))
        edges = np.linspace(first, last, number + 1).astype(np.int64)
        cuts = np.searchsorted(sample, edges)
        for k in range(number):
            members = channel[cuts[k] : cuts[k + 1]]
            active = len(np.unique(members))
            span = int(edges[k]), int(edges[k + 1])
            if ended := self._bin_of(span, active, len(members), good):
                bursts.append(ended)
            if self._seizes(span[1]):
                starts = self._memory.starts
                synchrony.append(Synchrony(starts[0][0], span[1], len(starts)))
        return bursts, synchrony

    def _bin_of(self, span: tuple[int, int], active: int, spikes: int, good: int) -> Burst | None:
        """Take one bin; return the burst that ended before it."""
        memory = self._memory
        usual = memory.mean + BURST_SIGMAS * max(memory.variance, 1.0) ** 0.5
        if memory.bins >= WARM_BINS and active >= max(BURST_SHARE * good, usual):
            if memory.burst is None:
                memory.burst = Open(span[0], span[1], 0, 0, 0)
                memory.starts.append([span[0], 0])
            burst = memory.burst
            burst.last, burst.bins = span[1], burst.bins + 1
            burst.spikes, burst.channels = burst.spikes + spikes, max(burst.channels, active)
            memory.starts[-1][1] = burst.bins
            return None
        memory.bins += 1
        rate = max(BIN_RATE, 1 / memory.bins)
        away = active - memory.mean
        memory.mean += rate * away
        memory.variance += rate * (away * away - memory.variance)
        ended, memory.burst = memory.burst, None
        return Burst(ended.first, ended.last, ended.spikes, ended.channels) if ended else None

    def _seizes(self, now: int) -> bool:
        """Say whether synchrony like that of a seizure begins at sample `now`."""
        memory = self._memory
        oldest = now - WITHIN * self._bin
        lasts = memory.burst is not None
        memory.starts = [
            start
            for place, start in enumerate(memory.starts)
            if start[0] >= oldest or (lasts and place == len(memory.starts) - 1)
        ][-4 * BURSTS :]
        starts = memory.starts
        long = any(start[1] >= LASTING for start in starts)
        if len(starts) >= BURSTS or long:
            begins, memory.seizing = not memory.seizing, True
            return begins
        if not starts:
            memory.seizing = False
        return False

    def _rates(self, counts: NDArray[np.int64]) -> Shift | None:
        """Add a second's counts; compare with what is usual every `SHIFT_S` seconds."""
        memory, arrays = self._memory, self._arrays
        arrays["counts"] += counts
        memory.seconds += 1
        if memory.seconds % SHIFT_S:
            return None
        found, arrays["counts"] = arrays["counts"], np.zeros_like(arrays["counts"])
        mean, variance = arrays["mean"], arrays["variance"]
        away = found - mean
        if memory.shifts >= WARM_SHIFTS:
            limit = SHIFT_SIGMAS * np.sqrt(np.maximum(variance, mean) + 1)
            far = np.flatnonzero((np.abs(away) > limit) & (self.state == GOOD))
            enough = len(far) >= max(2, SHIFT_SHARE * (self.state == GOOD).sum())
            if enough and memory.shifted < SHIFT_LASTS:
                memory.shifted += 1
                if memory.shifted > 1:
                    return None
                return Shift(far, mean[far] / SHIFT_S, found[far] / SHIFT_S)
            memory.shifted = 0
        memory.shifts += 1
        rate = max(SHIFT_RATE, 1 / memory.shifts)
        mean += rate * away
        variance += rate * (away * away - variance)
        return None

    def _health(self, looks: NDArray[np.int16], sigma: NDArray[np.float32]) -> list[Change]:
        """Return the channels that have looked different for long enough."""
        if not len(looks):
            return []
        now = _look(looks, sigma)
        arrays = self._arrays
        arrays["since"] = np.where(now == arrays["seen"], arrays["since"] + 1, 1)
        arrays["seen"] = now
        changed = np.flatnonzero((now != arrays["state"]) & (arrays["since"] >= CONFIRM))
        changes = [Change(int(c), int(arrays["state"][c]), int(now[c])) for c in changed]
        arrays["state"][changed] = now[changed]
        return changes

    def snapshot(self) -> dict[str, Any]:
        """Return the state, for `restore`."""
        return {"memory": msgspec.to_builtins(self._memory), "arrays": dict(self._arrays)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `snapshot` returned."""
        self._memory = msgspec.convert(state["memory"], Memory)
        self._arrays = dict(state["arrays"])


def _look(looks: NDArray[np.int16], sigma: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the state that each channel seems to be in."""
    low, high = looks.min(axis=0), looks.max(axis=0)
    span = high.astype(np.int64) - low
    at_rails = ((looks == low) | (looks == high)).mean(axis=0)
    now = np.full(looks.shape[1], GOOD, np.int64)
    known = sigma[(sigma > 0) & (span > FLAT_BITS)]
    if len(known) >= FEWEST:
        usual = np.median(known)
        now[(sigma > 0) & (sigma < WEAK * usual)] = WEAK_STATE
        now[sigma > NOISY * usual] = NOISY_STATE
    # a converter of few bits is at its own limits often, too: those of the whole range count
    wide = np.maximum(np.abs(low.astype(np.int64)), np.abs(high.astype(np.int64))) > 1000
    now[(at_rails >= RAIL_SHARE) & wide] = SATURATED
    now[span <= FLAT_BITS] = FLAT
    return now
