"""Blocks of samples as they travel: ``neural_block.avsc``, one bank of channels each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from bci.engine.plan import TILE
from bci.probe import Probe
from schemas import avro
from sentinel.errors import SchemaError

#: Largest number of bytes of samples in a block; the topic takes somewhat more.
MOST_BYTES: Final = 1 << 20
#: Sampling rates, Hz: below, not even the band called beta (`bci.lfp.BANDS`) is there as a whole;
#: above, the engine's room for a stretch of samples is too small. Spikes are looked for from
#: `bci.settings.spikes_from` on.
RATES: Final = (50.0, 200_000.0)
#: Distance of electrodes of which nothing is known: none is another's neighbour.
APART_UM: Final = 400.0
MOST_BANKS: Final = 1 << 20
#: Counts of samples, and times in µs, that are believed.
MOST_SAMPLES: Final = 1 << 62
NO_STIMULI: Final[NDArray[np.int64]] = np.zeros((0, 2), np.int64)


@dataclass(slots=True)
class Bank:
    """What does not change within a recording.

    Attributes
    ----------
    session
        Id of the recording session.
    number
        Place of the bank, from 0; its first channel is `TILE` times that.
    fs
        Sampling rate, Hz.
    epoch
        Time of device sample 0, µs since 1970 UTC.
    uv_per_bit
        float32[channel], µV.
    positions
        float32[channel, 2], µm, or float32[0, 2] where they are not known.
    labels
        Names of the channels, at most one a channel.
    """

    session: str
    number: int
    fs: float
    epoch: int
    uv_per_bit: NDArray[np.float32]
    positions: NDArray[np.float32]
    labels: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """The key of its records in Kafka."""
        return f"{self.session}/{self.number}".encode()

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.uv_per_bit)

    @property
    def probe(self) -> Probe:
        """Where the electrodes are; far from each other where that is not known."""
        if len(self.positions) == self.channels:
            return Probe(self.positions.astype(np.float64))
        return Probe.line(self.channels, APART_UM)

    def label(self, channel: int) -> str:
        """Return the name of the bank's channel `channel`."""
        if channel < len(self.labels) and self.labels[channel]:
            return self.labels[channel]
        return f"chan{self.number * TILE + channel + 1}"


@dataclass(slots=True)
class Block:
    """Consecutive samples of a bank.

    Attributes
    ----------
    start
        Device sample of the first row.
    sent
        When the block left the reader, µs since 1970 UTC.
    samples
        int16[time, channel].
    stimuli
        int64[n, 2]: first and last device sample to be blanked.
    """

    bank: Bank
    start: int
    sent: int
    samples: NDArray[np.int16]
    stimuli: NDArray[np.int64] = field(default_factory=lambda: NO_STIMULI)

    @property
    def end(self) -> int:
        """Device sample after the last row."""
        return self.start + len(self.samples)

    def encode(self) -> bytes:
        """Return the block as Avro; raise ValueError where it is larger than `MOST_BYTES`."""
        data = np.ascontiguousarray(self.samples, "<i2").tobytes()
        if len(data) > MOST_BYTES:
            raise ValueError(
                f"expected at most {MOST_BYTES} bytes of samples in a block, found {len(data)}; "
                "send shorter blocks"
            )
        bank = self.bank
        return avro.encode(
            "neural_block",
            {
                "session": bank.session,
                "bank": bank.number,
                "fs": bank.fs,
                "epoch": bank.epoch,
                "start": self.start,
                "sent": self.sent,
                "channels": bank.channels,
                "samples": data,
                "uv_per_bit": np.asarray(bank.uv_per_bit, "<f4").tobytes(),
                "positions": np.asarray(bank.positions, "<f4").tobytes(),
                "labels": "\n".join(bank.labels),
                "stimuli": np.asarray(self.stimuli, "<i8").tobytes(),
            },
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; samples are a view.

        Raises
        ------
        SchemaError
            Not a block, or its parts do not fit together.
        """
        found = avro.decode("neural_block", data, views=True)
        channels, wide = found["channels"], len(found["samples"])
        bank = _bank(
            found["session"], found["bank"], found["fs"], found["epoch"], channels,
            bytes(found["uv_per_bit"]), bytes(found["positions"]), found["labels"],
        )  # fmt: skip
        _check("samples", wide % (2 * channels) == 0, f"rows of {channels} int16", wide)
        _check("samples", wide <= MOST_BYTES, f"at most {MOST_BYTES} bytes", wide)
        _check("start", 0 <= found["start"] < MOST_SAMPLES, "a count of samples", found["start"])
        stimuli = NO_STIMULI
        if found["stimuli"]:
            stimuli = _array(found["stimuli"], "stimuli", "<i8", (len(found["stimuli"]) // 16, 2))
        samples = np.frombuffer(found["samples"], "<i2").reshape(-1, channels)
        return cls(bank, found["start"], found["sent"], samples, stimuli)


@lru_cache(maxsize=2048)  # every block of a bank says the same
def _bank(
    session: str,
    number: int,
    fs: float,
    epoch: int,
    channels: int,
    uv_per_bit: bytes,
    positions: bytes,
    labels: str,
) -> Bank:
    """Return what a block says of its bank; the same object while it says the same."""
    _check("channels", 1 <= channels <= TILE, f"1 to {TILE}", channels)
    check_rate(fs)
    _check("bank", 0 <= number < MOST_BANKS, f"0 to {MOST_BANKS - 1}", number)
    _check("epoch", abs(epoch) < MOST_SAMPLES, "µs since 1970", epoch)
    scale = _array(uv_per_bit, "uv_per_bit", "<f4", (channels,))
    places = _array(positions, "positions", "<f4", (channels if positions else 0, 2))
    _check("uv_per_bit", bool(np.isfinite(scale).all()), "finite numbers", "others")
    _check("positions", bool(np.isfinite(places).all()), "finite numbers", "others")
    names = tuple(labels.split("\n")) if labels else ()
    return Bank(session, number, fs, epoch, scale, places, names)


def check_rate(fs: float) -> None:
    """Make sure that recordings of a sampling rate, Hz, are worked on; else raise SchemaError."""
    if not RATES[0] <= fs <= RATES[1]:
        raise SchemaError(
            f"expected a sampling rate of {RATES[0]:.0f} to {RATES[1]:.0f} Hz, found {fs:g} Hz; "
            "resample the recording"
        )


def banks(
    session: str,
    fs: float,
    epoch: int,
    uv_per_bit: NDArray[Any],
    labels: Sequence[str],
    positions: NDArray[Any] | None,
) -> list[Bank]:
    """Cut the channels of a recording into banks of `TILE`; SchemaError as of `check_rate`."""
    check_rate(fs)
    scale = np.asarray(uv_per_bit, np.float32)
    none = np.zeros((0, 2), np.float32)
    places = none if positions is None else np.asarray(positions, np.float32)
    return [
        Bank(
            session,
            number,
            fs,
            epoch,
            scale[first : first + TILE],
            places[first : first + TILE],
            tuple(label.replace("\n", " ") for label in labels[first : first + TILE]),
        )
        for number, first in enumerate(range(0, len(scale), TILE))
    ]


def cut(into: Sequence[Bank], samples: NDArray[np.int16], start: int, sent: int) -> Iterator[Block]:
    """Yield the blocks of int16[time, channel] of a whole recording, one a bank."""
    for bank in into:
        first = bank.number * TILE
        part = np.ascontiguousarray(samples[:, first : first + bank.channels])
        yield Block(bank, start, sent, part)


def _array(data: Any, name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a field as an array."""
    wanted = math.prod(shape) * np.dtype(kind).itemsize
    _check(name, len(data) == wanted, f"{wanted} bytes", len(data))
    return np.frombuffer(data, kind).reshape(shape)


def _check(name: str, fits: bool, expected: str, found: Any) -> None:
    if not fits:
        raise SchemaError(f"neural_block: expected {expected} in {name}, found {found}")
