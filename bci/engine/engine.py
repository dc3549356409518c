"""The engine: blocks of samples in, detections out; see `bci.engine`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.engine import filtering, scanning
from bci.engine.advancing import advance
from bci.engine.found import Found, Part, Scratch, joined, spikes_of
from bci.engine.plan import TILE, Plan, Room
from bci.engine.prototype import matched
from bci.engine.state import LIMITS_EVERY, State
from bci.engine.state import chunk as chunk_of
from bci.engine.units import describing, levels, templates
from bci.engine.units.memory import COLLECTS, FIELD
from bci.probe import Probe
from bci.settings import EngineSettings

#: Share of the score that a detection needs on one channel, without what its neighbours add,
#: below which a few taps of the filter say that it is none.
SCREEN: Final = 0.6
#: Channels at least whose mean is taken off: that of fewer is mostly the signal itself.
COMMON: Final = 3
#: Neighbours at most that a local reference is the mean of.
LOCAL: Final = 8
#: Distance up to which a unit is looked at, µm.
FIELD_UM: Final = 120.0
#: σ with which a channel counts at most towards the reference.
LIMIT: Final = 2.0
#: Channels at least that must be hit at once for an artefact.
FEWEST: Final = 8


class Engine:
    """Detects spikes in one stream of int16 samples.

    Parameters
    ----------
    fs
        Sampling rate, Hz.
    uv_per_bit
        float[channel] or one number: µV of one bit.
    probe
        Positions; without them no two channels are neighbours.
    settings
        See `EngineSettings`.

    Examples
    --------
    >>> engine = Engine(30_000.0, 0.25, Probe.line(4))
    >>> found = engine.process(np.zeros((300, 4), np.int16), start=0)
    >>> len(found.spikes.sample), engine.delay
    (0, 40)
    """

    def __init__(
        self,
        fs: float,
        uv_per_bit: float | NDArray[Any],
        probe: Probe,
        settings: EngineSettings | None = None,
    ) -> None:
        self.fs = fs
        self.settings = settings = settings or EngineSettings()
        self.channels = channels = len(probe.positions)
        self._tiles = -(-channels // TILE)
        self._chunk = chunk_of(self._tiles)
        lead, after = self._samples(settings.before_ms), self._samples(settings.after_ms)
        self._taps, self._ahead = lead + after, after + scanning.SHIFTS + 1
        self._plan = plan = self._make_plan(uv_per_bit, probe, lead)
        self._history = self._ahead + 2 * plan.exclusive + 2 * self._taps + 4
        #: Samples by which detections lag behind what was processed.
        self.delay = self._ahead + plan.exclusive + 1
        self._sorts = bool(plan.sorts.any())
        self.state = State.new(
            self._tiles, len(plan.sos), self._history, self._taps, settings, self._sorts
        )
        self._blank: list[tuple[int, int]] = []
        self._room = Room.of(
            self._taps + 2 * scanning.SHIFTS, settings.noise_rows,
            2 * describing.AROUND + 1, templates.FEATURES,
            max(self._chunk, self.delay + self._taps),
        )  # fmt: skip
        self._out = Scratch.of(self._tiles, self._taps, plan)

    def _make_plan(self, uv_per_bit: float | NDArray[Any], probe: Probe, lead: int) -> Plan:
        """Turn settings into what the kernels work with."""
        settings = self.settings
        usable = np.ones(self.channels, bool)
        usable[list(settings.bad_channels)] = False
        good = self._by_tile(usable.astype(np.float32))
        count = good.sum(axis=1)
        around, spread = self._nearest(probe, LOCAL, settings.radius_um)
        itself = np.broadcast_to(np.arange(TILE, dtype=np.int32)[:, None], (*around.shape[:2], 1))
        field = np.concatenate([itself, self._nearest(probe, FIELD - 1, FIELD_UM)[0]], axis=2)
        exclusive = self._samples(settings.exclusive_ms)
        dense = (around >= 0).any(axis=(1, 2))
        sorts = dense & settings.sort & settings.matched
        own = ~dense & settings.levels & settings.matched
        least = np.minimum(np.where(own, levels.LOWEST, np.inf), settings.matched_threshold)
        return Plan(
            gain=self._by_tile(np.broadcast_to(uv_per_bit, self.channels) * usable),
            good=good,
            share=np.where(count >= COMMON, 1 / np.maximum(count, 1), 0).astype(np.float32),
            need=np.maximum(np.ceil(count * settings.artefact_share), FEWEST).astype(np.int64),
            near=self._neighbours(probe),
            screen=np.float32(SCREEN * least[:, None] / np.sqrt(1 + (spread**2).sum(axis=2))),
            around=around,
            spread=spread,
            field=np.ascontiguousarray(field),
            sorts=sorts,
            levels=own,
            sos=filtering.band_pass(settings, self.fs),
            mode=("none", "car", "local").index(settings.reference),
            gate=np.where(sorts, settings.sort_gate, settings.gate).astype(np.float32),
            threshold=settings.threshold,
            matched_threshold=settings.matched_threshold,
            sort_from=settings.sort_from,
            unit_gain=settings.unit_gain,
            artefact=settings.artefact_sigmas,
            every=settings.noise_every,
            rate=settings.noise_rate,
            before=min(self._samples(settings.artefact_before_ms), exclusive),
            after=self._samples(settings.artefact_after_ms),
            lead=lead,
            exclusive=exclusive,
            refractory=self._samples(settings.refractory_ms),
        )

    def _samples(self, ms: float) -> int:
        return max(1, round(ms * self.fs / 1000))

    def _by_tile(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return values of channels as float32[tile, TILE], 0 where there is no channel."""
        padded = np.zeros(self._tiles * TILE, np.float32)
        padded[: self.channels] = values
        return padded.reshape(self._tiles, TILE)

    def _neighbours(self, probe: Probe) -> NDArray[np.bool_]:
        """Return bool[tile, TILE, TILE]; neighbours in another bank do not count."""
        near = np.zeros((self._tiles, TILE, TILE), bool)
        for tile in range(self._tiles):
            part = Probe(probe.positions[tile * TILE : (tile + 1) * TILE])
            width = len(part.positions)
            near[tile, :width, :width] = part.neighbours(self.settings.radius_um)
        return near

    def _nearest(
        self, probe: Probe, most: int, radius_um: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return int32[tile, TILE, most]: the nearest neighbours in the bank, -1 for none.

        And float32 of the same shape: how large a spike is there, if 1 on the channel itself.
        """
        settings = self.settings
        around = np.full((self._tiles, TILE, most), -1, np.int32)
        spread = np.zeros((self._tiles, TILE, most), np.float32)
        for tile in range(self._tiles):
            places = probe.positions[tile * TILE : (tile + 1) * TILE]
            for c, place in enumerate(places):
                apart = np.hypot(*(places - place).T)
                order = np.argsort(apart, kind="stable")[1 : most + 1]
                order = order[apart[order] <= radius_um]
                around[tile, c, : len(order)] = order
                spread[tile, c, : len(order)] = np.exp(-apart[order] / settings.spread_um)
        return around, spread

    @property
    def sigma(self) -> NDArray[np.float32]:
        """Noise of each channel, µV; 0 while unknown."""
        known: NDArray[np.float32] = self.state.arrays.sigma.reshape(-1)[: self.channels]
        return known

    @property
    def certain(self) -> int:
        """Device sample before which all detections have been returned."""
        return min(self.state.next, self.state.scanned - self._plan.exclusive)

    def mute(self, bad: NDArray[np.bool_]) -> None:
        """Look for nothing in bad channels from now on, and keep them out of the reference.

        Parameters
        ----------
        bad
            bool[channel]; those that are not, are good (again). Their noise is still watched.
        """
        muted = self._by_tile(bad.astype(np.float32)) > 0
        self.state.arrays.limit[self.state.arrays.muted & ~muted] = np.inf
        self.state.arrays.muted[:] = muted
        self.state.arrays.limit[muted] = 0

    def blank(self, first: int, last: int) -> None:
        """Ignore the samples `first` to `last` (a stimulus), which must not be processed yet."""
        self._blank.append((first, last))

    def process(self, samples: NDArray[np.int16], start: int) -> Found:
        """Take the next block and return what is certain now.

        Parameters
        ----------
        samples
            int16[time, channel].
        start
            Device sample of the first row. A jump is a gap: what is on either side of it is
            never joined, and filters start anew.

        Raises
        ------
        ValueError
            The block has another number of channels.
        """
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise ValueError(
                f"expected int16[time, {self.channels}], found shape {samples.shape}; "
                "make an engine for this stream"
            )
        parts: list[Part] = []
        blanks: list[NDArray[np.int64]] = []
        gaps: list[tuple[int, int]] = []
        state = self.state
        if state.next != start:
            if state.next >= 0:
                self._flush(parts, blanks)
                gaps.append((state.next, start))
            state.begin(start, self._samples(self.settings.settle_ms), self._learn_times(start))
            self._room.stamps[:] = -1
        held = self._held(start, len(samples))
        first = 0
        while first < len(samples):
            chunk = slice(first, first + min(self._chunk, state.limits_at - state.next))
            self._advance(_plain(samples[chunk]), held[chunk], parts, blanks)
            if state.next == state.limits_at:
                self._limit()
            first = chunk.stop
        return Found(
            spikes_of(parts, self._taps, self._plan.lead),
            joined(blanks),
            np.array(gaps, np.int64).reshape(-1, 2),
        )

    def finish(self) -> Found:
        """Return what still waited for more samples; the stream has ended."""
        parts: list[Part] = []
        blanks: list[NDArray[np.int64]] = []
        if self.state.next >= 0:
            self._flush(parts, blanks)
        self.state.next = -1
        return Found(
            spikes_of(parts, self._taps, self._plan.lead),
            joined(blanks),
            np.zeros((0, 2), np.int64),
        )

    def _learn_times(self, start: int) -> int:
        """Return the sample at which the prototype is tried for the first time."""
        return start + round(self.settings.learn_s * self.fs)

    def _held(self, start: int, count: int) -> NDArray[np.bool_]:
        """Return which samples of a block are blanked."""
        held = np.zeros(count, bool)
        for first, last in self._blank:
            held[max(0, first - start) : max(0, last + 1 - start)] = True
        self._blank = [item for item in self._blank if item[1] >= start + count]
        return held

    def _flush(self, parts: list[Part], blanks: list[NDArray[np.int64]]) -> None:
        """Decide on all that waits, as if silence followed."""
        count = self.delay + self._taps
        rest = np.zeros((count, self.channels), np.int16)
        self._advance(rest, np.ones(count, bool), parts, blanks)
        self.state.next -= count

    def _advance(
        self,
        samples: NDArray[np.int16],
        held: NDArray[np.bool_],
        parts: list[Part],
        blanks: list[NDArray[np.int64]],
    ) -> None:
        """Filter a chunk, then scan up to what has its look-ahead."""
        state, count = self.state, len(samples)
        at = state.room(count, self._history)
        state.arrays.held[at : at + count] = held
        state.next += count
        end = state.next - self._ahead
        stop = max(state.scanned, min(end, state.learn_at))
        self._run(samples, held, at, stop, parts, blanks)
        while state.scanned < end or state.scanned == state.learn_at:
            if state.scanned == state.learn_at:
                self._learn()
            stop = min(end, state.learn_at)
            self._run(samples[:0], held[:0], at, stop, parts, blanks)

    def _run(
        self,
        samples: NDArray[np.int16],
        held: NDArray[np.bool_],
        at: int,
        end: int,
        parts: list[Part],
        blanks: list[NDArray[np.int64]],
    ) -> None:
        """Filter into the rows from `at` on, scan up to `end`, decide on what is complete."""
        state, out = self.state, self._out
        found, artefacts = advance(
            samples, held, at, state.base, state.scanned, end, state.settled, self._plan,
            state.arrays, state.sorting, self._room,
            out.ended, out.at, out.on, out.unit, out.score, out.snippets,
        )  # fmt: skip
        state.scanned = end
        if artefacts:
            blanks.append(out.ended[:artefacts].copy())
        if found:
            parts.append(out.first(found))

    def _limit(self) -> None:
        """Let no channel add more to the reference than noise would."""
        state = self.state
        known = (state.arrays.sigma > 0) & ~state.arrays.muted
        state.arrays.limit[known] = LIMIT * state.arrays.sigma[known]
        state.limits_at += LIMITS_EVERY

    def _learn(self) -> None:
        """Learn the prototype of every bank that has seen enough and has none yet; then units."""
        state, settings = self.state, self.settings
        for tile in range(self._tiles):
            spikes, noise = state.arrays.prototype[tile], state.arrays.covariance[tile]
            enough = spikes[-1] >= settings.learn_spikes and noise[-1] >= self._taps
            if settings.matched and enough and not state.arrays.learnt[tile]:
                shape = spikes[:-1] / spikes[-1]
                found = matched(shape, noise[:-1] / noise[-1])
                state.arrays.weights[tile] = found.weights
                state.arrays.first_at[tile], state.arrays.first[tile] = found.first_at, found.first
                state.arrays.learnt[tile] = True
                state.arrays.level_due[tile] = state.learn_at + round(settings.level_s * self.fs)
                if self._plan.sorts[tile]:
                    self._collect(tile)
            elif state.sorting.mode[tile] == COLLECTS and state.learn_at >= state.sorting.due[tile]:
                self._sort(tile)
            elif self._plan.levels[tile] and 0 < state.arrays.level_due[tile] <= state.learn_at:
                self._level(tile)
        state.learn_at += round(settings.relearn_s * self.fs)

    def _level(self, tile: int) -> None:
        """Make the thresholds of a bank's channels, and say when to do so again."""
        state, settings, arrays = self.state, self.settings, self.state.arrays
        least, odds = settings.matched_threshold, settings.level_odds
        arrays.level[tile] = levels.levels(arrays.counts[tile], least, odds)
        arrays.counts[tile] *= np.float32(levels.KEPT)
        arrays.level_due[tile] = state.learn_at + round(settings.level_s * self.fs)

    def _collect(self, tile: int) -> None:
        """Collect what units of a bank are learnt from."""
        state, sorting = self.state, self.state.sorting
        noise, count = state.arrays.covariance[tile], state.arrays.prototype[tile, -1]
        made = templates.basis(sorting.moment[tile] / count, noise[:-1] / noise[-1])
        sorting.views[tile], sorting.shapes[tile] = made.filters, made.shapes
        sorting.collect(tile, state.learn_at + round(self.settings.sort_s * self.fs))

    def _sort(self, tile: int) -> None:
        """Go by units from now on, if there are any yet."""
        sorting, plan = self.state.sorting, self._plan
        count = int(sorting.lessons[tile])
        made = templates.Basis(sorting.views[tile].astype(np.float64), sorting.shapes[tile])
        found = templates.learn(
            sorting.lesson_on[tile, :count], sorting.lesson[tile, :count], plan.field[tile],
            made, self.settings.unit_trough,
        )  # fmt: skip
        if found is not None:
            sorting.sort(tile, found, plan.field[tile])

    def snapshot(self) -> bytes:
        """Return the state between two blocks; `restore` continues bit for bit."""
        return self.state.pack({**asdict(self.settings), "fs": self.fs}, self._blank, self._history)

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` of an engine with the same settings returned.

        Raises
        ------
        SchemaError
            Of another version, or of other settings.
        """
        self.state, self._blank = State.unpack(
            state, {**asdict(self.settings), "fs": self.fs}, self._sorts
        )


def _plain(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return samples as kernels take them: views into files would be compiled for anew."""
    return np.require(samples, np.int16, ("C", "A", "W"))
