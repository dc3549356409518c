"""One bank of a live stream: blocks in, windows of spikes and events out, all state kept.

What comes out depends on the samples alone, not on how they were cut into blocks or calls:
windows lie at fixed sample indices, and the second, in which rates, band power and health are
looked at, is one of device time. So after a crash the same comes out again, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bci import events
from bci.block import Bank, Block
from bci.engine import Engine, Found, Spikes
from bci.engine.plan import TILE
from bci.events import Event
from bci.lfp import Lfp
from bci.settings import EngineSettings, spikes_from, without_spikes
from bci.unusual.activity import GOOD, Activity
from bci.unusual.rhythm import Rhythm
from schemas import avro

#: Length of a window of spikes, ms: what one record of ``neural.spikes`` holds.
WINDOW_MS: Final = 20.0
#: Raw samples between two looks at health; a prime, as in `EngineSettings.noise_every`. Where
#: the rate leaves no room for spikes every sample is looked at: there are few.
LOOK_EVERY: Final = 61


class Window(NamedTuple):
    """The spikes of a bank with ``first <= sample < last``; channels count in the bank."""

    first: int
    last: int
    sent: int
    spikes: Spikes

    def encode(self, bank: Bank) -> bytes:
        """Return the window as ``neural_spikes.avsc``."""
        found = self.spikes
        return avro.encode(
            "neural_spikes",
            {
                "session": bank.session,
                "bank": bank.number,
                "fs": bank.fs,
                "epoch": bank.epoch,
                "first": self.first,
                "last": self.last,
                "sent": self.sent,
                "sample": found.sample.astype("<i8").tobytes(),
                "channel": (found.channel + bank.number * TILE).astype("<i4").tobytes(),
                "score": found.score.astype("<f4").tobytes(),
                "amplitude": found.amplitude.astype("<f4").tobytes(),
                "taps": found.snippets.shape[1],
                "snippets": found.snippets.astype("<f4").tobytes(),
                "unit": found.unit.astype("<i4").tobytes(),
            },
        )


class Given(NamedTuple):
    """What some blocks gave."""

    windows: list[Window]
    events: list[Event]


class Place(msgspec.Struct):
    """Where a stream is, in device samples.

    Attributes
    ----------
    next
        Expected next, -1 before the first block.
    window, second
        Where the window and the second that are open begin.
    certain
        Before which spikes went into a second.
    sent
        End of recent blocks, and when they were sent.
    stimuli
        First and last sample of those in the second that is open.
    """

    next: int = -1
    window: int = 0
    second: int = 0
    certain: int = 0
    sent: list[tuple[int, int]] = []
    stimuli: list[tuple[int, int]] = []


class BankStream:
    """All that is done to one bank.

    Parameters
    ----------
    bank
        What the blocks say; blocks of another bank must not come here.
    settings
        Of the engine.
    """

    def __init__(self, bank: Bank, settings: EngineSettings | None = None) -> None:
        self.bank = bank
        wanted = settings or EngineSettings()
        #: Whether spikes are looked for; seizures are seen by their rhythm otherwise.
        self._spiking = bank.fs >= spikes_from(wanted)
        used = wanted if self._spiking else without_spikes(wanted, bank.fs)
        self._engine = Engine(bank.fs, bank.uv_per_bit, bank.probe, used)
        self._lfp = Lfp(bank.fs, bank.uv_per_bit)
        self._activity = Activity(bank.channels, bank.fs)
        self._rhythm = Rhythm(bank.channels)
        self._look_every = LOOK_EVERY if self._spiking else 1
        self._window = max(1, round(WINDOW_MS * bank.fs / 1000))
        self._second = max(1, round(bank.fs))
        self._place = Place()
        #: Spikes that wait for the end of their window, and of their second.
        self._open: list[Spikes] = []
        self._recent: list[Spikes] = []
        self._looks: list[NDArray[np.int16]] = []
        self._artefacts: list[NDArray[np.int64]] = []

    def process(self, blocks: Sequence[Block]) -> Given:
        """Take the next blocks; return what is complete now."""
        given = Given([], [])
        for run in _runs(blocks):
            place, start = self._place, run[0].start
            if place.next != start:
                self._jump(start, given)
            for block in run:
                place.sent.append((block.end, block.sent))
                if len(block.stimuli):
                    self._stimulate(block)
            # a copy: views of a message cannot be written to, and would be compiled for anew
            samples = np.concatenate([block.samples for block in run])
            self._run(samples, start, given)
        return given

    def _stimulate(self, block: Block) -> None:
        """Blank the stimuli that a block announces."""
        for first, last in block.stimuli.tolist():
            self._engine.blank(first, last)
            self._place.stimuli.append((first, last))

    def finish(self) -> Given:
        """Return what still waited; the recording has ended."""
        given = Given([], [])
        if self._place.next >= 0:
            self._take(self._engine.finish())
            self._close(self._place.next, given)
            self._place.next = -1
        return given

    def _run(self, samples: NDArray[np.int16], start: int, given: Given) -> None:
        """Take samples without a gap, second by second."""
        place, at, end = self._place, start, start + len(samples)
        while at < end:
            stop = min(end, (at // self._second + 1) * self._second)
            part = samples[at - start : stop - start]
            self._take(self._engine.process(part, at))
            self._lfp.process(part)
            self._looks.append(part[-at % self._look_every :: self._look_every].copy())
            place.next = at = stop
            self._windows(self._engine.certain, given)
            if at % self._second == 0:
                self._summarise(self._engine.certain, given)

    def _take(self, found: Found) -> None:
        """Keep what the engine gave."""
        if len(found.spikes.sample):
            self._open.append(found.spikes)
            self._recent.append(found.spikes)
        if len(found.artefacts):
            self._artefacts.append(found.artefacts)

    def _jump(self, start: int, given: Given) -> None:
        """Begin at `start`, after a gap or for the first time."""
        place = self._place
        if place.next >= 0:
            self._take(self._engine.process(np.zeros((0, self.bank.channels), np.int16), start))
            self._close(place.next, given)
            given.events.append(events.gap(self.bank, place.next, start))
            self._activity.gap()
            self._rhythm.gap()
            self._lfp.begin()
        place.next = place.window = place.second = place.certain = start
        place.sent.clear()

    def _close(self, end: int, given: Given) -> None:
        """Let go all windows and the second that are open; samples end at `end`."""
        self._windows(end, given)
        if end > self._place.window:
            self._window_to(end, given)
        if end > self._place.second:
            self._summarise(end, given)
        elif self._recent:  # the second was over, but for what waited for more samples
            rest, first = _joined(self._recent), self._place.certain
            given.events.extend(events.spike_batches(self.bank, first, end, rest))
            self._recent = []

    def _windows(self, certain: int, given: Given) -> None:
        """Let go the windows that end before `certain`."""
        place, size = self._place, self._window
        while (last := (place.window // size + 1) * size) <= certain:
            if not self._open:  # nothing to tell: go on to the window that is open
                place.window = certain // size * size
                break
            self._window_to(last, given)
        while len(place.sent) > 1 and place.sent[0][0] < place.window:
            place.sent.pop(0)

    def _window_to(self, last: int, given: Given) -> None:
        """Let go the window that is open, up to the sample `last`."""
        place = self._place
        if self._open:
            spikes = _joined(self._open)
            cut = int(np.searchsorted(spikes.sample, last))
            rest = _part(spikes, cut, len(spikes.sample))
            self._open = [rest] if len(rest.sample) else []
            if cut:
                sent = next((at for end, at in place.sent if end >= last), 0)
                given.windows.append(Window(place.window, last, sent, _part(spikes, 0, cut)))
        place.window = last

    def _summarise(self, certain: int, given: Given) -> None:
        """End the second that is open: everything up to `certain` is known."""
        bank, place = self.bank, self._place
        spikes = _joined(self._recent) if self._recent else None
        sample = spikes.sample if spikes else np.zeros(0, np.int64)
        channel = spikes.channel if spikes else np.zeros(0, np.int32)
        looks = np.concatenate([*self._looks, np.zeros((0, bank.channels), np.int16)])
        span = (place.certain, certain)
        sigma = self._engine.sigma
        unusual = self._activity.second(*span, sample, channel, looks, sigma)
        if unusual.changes:  # at a whole second of device time, hence the same in any blocks
            self._engine.mute(self._activity.state != GOOD)
        powers = self._lfp.power()
        out = given.events
        if spikes:
            out.extend(events.spike_batches(bank, *span, spikes))
        seconds = (place.next - place.second) / bank.fs
        counts = np.bincount(channel, minlength=bank.channels)
        rates = counts / seconds if self._spiking else None
        out.append(events.activity(bank, *span, rates, sigma, self._activity.state, powers))
        out.extend(events.unusual(bank, *span, unusual))
        if not self._spiking and place.next - place.second == self._second:
            good = self._activity.state == GOOD
            if found := self._rhythm.second(place.second, place.next, good, powers):
                out.append(events.rhythm(bank, found))
        if self._artefacts:
            out.append(events.artefact(bank, np.concatenate(self._artefacts)[:, 1:]))
        if place.stimuli:
            out.append(events.stimulus(bank, place.stimuli))
        place.second, place.certain = place.next, certain
        self._recent, self._looks, self._artefacts, place.stimuli = [], [], [], []

    def snapshot(self) -> dict[str, Any]:
        """Return the state between two calls, for `restore`."""
        bank = self.bank
        return {
            "bank": {name: getattr(bank, name) for name in Bank.__slots__},
            "place": msgspec.to_builtins(self._place),
            "engine": self._engine.snapshot(),
            "lfp": self._lfp.snapshot(),
            "activity": self._activity.snapshot(),
            "rhythm": self._rhythm.snapshot(),
            "open": _packed(self._open),
            "recent": _packed(self._recent),
            "looks": [np.concatenate(self._looks)] if self._looks else [],
            "artefacts": self._artefacts,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], settings: EngineSettings | None = None) -> BankStream:
        """Return the stream whose `snapshot` this is; SchemaError where settings differ."""
        given = dict(state["bank"])
        made = cls(Bank(**{**given, "labels": tuple(given["labels"])}), settings)
        made._place = msgspec.convert(state["place"], Place)
        made._engine.restore(state["engine"])
        made._lfp.restore(state["lfp"])
        made._activity.restore(state["activity"])
        if "rhythm" in state:  # not in those of an earlier release
            made._rhythm.restore(state["rhythm"])
        made._open = [Spikes(**part) for part in state["open"]]
        made._recent = [Spikes(**part) for part in state["recent"]]
        made._looks, made._artefacts = list(state["looks"]), list(state["artefacts"])
        return made


def _runs(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Yield blocks that follow one another without a gap, together."""
    run: list[Block] = []
    for block in blocks:
        if run and run[-1].end != block.start:
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _joined(parts: Sequence[Spikes]) -> Spikes:
    """Return the spikes of all parts; each begins where the one before ends."""
    if len(parts) == 1:
        return parts[0]
    return Spikes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _part(spikes: Spikes, first: int, last: int) -> Spikes:
    parts: list[Any] = [column[first:last] for column in spikes]
    return Spikes(*parts)


def _packed(parts: Sequence[Spikes]) -> list[dict[str, NDArray[Any]]]:
    return [_joined(parts)._asdict()] if parts else []
