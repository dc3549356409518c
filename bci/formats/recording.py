"""What every reader returns, and how it keeps what does not belong together apart."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sentinel.errors import SentinelError

#: What libraries raise on bytes that are not what they expect. Readers turn it into `FormatError`.
BROKEN: Final = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError),
    *(NameError, OSError, RuntimeError, SyntaxError, TypeError, ValueError, Warning),
    *(struct.error, zlib.error),
)
#: Bytes of a file that a reader takes into memory as a whole; larger ones must be converted.
MOST_LOADED: Final = 4 << 30
#: Samples by which the count goes on after the device's clock was set anew: nobody knows how
#: long that took, and it must not look as if nothing were missing. A second or more.
AFTER_RESET: Final = 65_536


class FormatError(SentinelError):
    """A file is not in the format it claims; names what was expected, found, and where."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples without a gap.

    Attributes
    ----------
    start
        Device sample of the first row, counted at the recording's rate. Never falls: where
        the device's counter wrapped, the carry is added; where it was reset, it goes on
        `AFTER_RESET` later.
    samples
        int16[time, channel]; often a view into the file.
    cause
        Why it does not continue the one before: ``""`` it does, ``gap``, ``reset`` of the
        device's clock, ``invalid`` samples in between.
    """

    start: int
    samples: NDArray[np.int16]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SpikeTrain:
    """Spikes that the device itself has found, in order of time.

    Attributes
    ----------
    sample
        int64[n], device sample, as `Segment.start` counts.
    channel
        int32[n], index into `Recording.labels`.
    unit
        uint8[n]: 0 not sorted, 255 noise.
    row
        int64[n], row of `body` that holds the waveform.
    body
        uint8[packet, bytes]: waveforms as they are in the file, of which it is a view.
    width
        int64[channel], samples of a waveform.
    bytes_each
        int64[channel], bytes of a sample of it: 1, 2 or 4.
    """

    sample: NDArray[np.int64]
    channel: NDArray[np.int32]
    unit: NDArray[np.uint8]
    row: NDArray[np.int64]
    body: NDArray[np.uint8]
    width: NDArray[np.int64]
    bytes_each: NDArray[np.int64]

    def waveform(self, which: int) -> NDArray[np.signedinteger]:
        """Return the waveform of a spike, int[time] in bits: a view into the file."""
        channel = int(self.channel[which])
        each = int(self.bytes_each[channel])
        raw = self.body[int(self.row[which]), : int(self.width[channel]) * each]
        found: NDArray[np.signedinteger] = raw.view(f"<i{each}")
        return found

    def waveforms(self, channel: int) -> NDArray[np.signedinteger]:
        """Return the waveforms of a channel, int[spike, time] in bits, gathered from the file."""
        each = int(self.bytes_each[channel])
        rows = self.row[self.channel == channel]
        raw = np.ascontiguousarray(self.body[rows, : int(self.width[channel]) * each])
        found: NDArray[np.signedinteger] = raw.view(f"<i{each}")
        return found


@dataclass(frozen=True, slots=True)
class Marks:
    """What was noted beside the samples, in order of time.

    Attributes
    ----------
    sample
        int64[n], device sample.
    kind
        For each: ``digital``, ``serial``, ``comment``, ``reset``, ``marker`` or another word.
    value
        int64[n]: of a port, else 0.
    text
        For each: of a comment or marker, else empty.
    """

    sample: NDArray[np.int64]
    kind: tuple[str, ...]
    value: NDArray[np.int64]
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of one device at one rate.

    Attributes
    ----------
    fs
        Sampling rate, Hz.
    uv_per_bit
        float64[channel], µV; negative where the input was inverted.
    labels
        Names of the channels.
    segments
        In order of time; none in files of events alone.
    positions
        float64[channel, 2], µm, or None where the file does not say.
    spikes, marks
        Events of the device, None where there are none.
    notes
        What of the file could not be used, and why: for people.
    """

    fs: float
    uv_per_bit: NDArray[np.float64]
    labels: tuple[str, ...]
    segments: tuple[Segment, ...]
    positions: NDArray[np.float64] | None = None
    spikes: SpikeTrain | None = None
    marks: Marks | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Length of all segments together, s."""
        return sum(len(segment.samples) for segment in self.segments) / self.fs

    def blocks(self, length: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Yield device sample and at most `length` rows; never over the end of a segment."""
        for segment in self.segments:
            for first in range(0, len(segment.samples), length):
                yield segment.start + first, segment.samples[first : first + length]


def placed(
    parts: Iterable[tuple[int, NDArray[np.int16]]],
    wrap: int = 0,
    ticks: Fraction | int = 1,
    cause: str = "gap",
) -> tuple[Segment, ...]:
    """Return parts of a recording as segments whose count never falls.

    Parameters
    ----------
    parts
        The device's own count at the first row, and the rows; empty ones are left out.
    wrap
        Count at which the device's counter begins anew, 0 for never. A fall that a wrap
        explains, by more than half of a turn, is one; any other is a reset.
    ticks
        Counts a sample.
    cause
        Of a part that begins later than the one before ended.

    Examples
    --------
    >>> rows = np.zeros((10, 1), np.int16)
    >>> [(s.start, s.cause) for s in placed([(90, rows), (0, rows), (50, rows)], wrap=100)]
    [(90, ''), (100, ''), (150, 'gap')]
    >>> [(s.start, s.cause) for s in placed([(90, rows), (0, rows)])]
    [(90, ''), (65636, 'reset')]
    """
    found: list[Segment] = []
    carry, each, end = Fraction(0), Fraction(ticks), 0
    for count, samples in parts:
        if not len(samples):
            continue
        start, why = _sample(count + carry, each), ""
        if found and start < end:
            fall = end * each - count - carry
            if wrap and 2 * fall > wrap > fall - each:
                carry += wrap
            else:
                carry, why = (end + AFTER_RESET) * each - count, "reset"
            start = _sample(count + carry, each)
        if found and start > end and not why:
            why = cause
        found.append(Segment(start, samples, why))
        end = start + len(samples)
    return tuple(found)


def _sample(count: Fraction, ticks: Fraction) -> int:
    """Return the nearest sample."""
    return floor(count / ticks + Fraction(1, 2))


def c_text(raw: bytes) -> str:
    r"""Return a text of fixed size as C writes it: what follows its first zero byte is not of it.

    Examples
    --------
    >>> c_text(b"elec1 \0\x10\0\x02")
    'elec1'
    """
    return raw.partition(b"\0")[0].decode("latin-1").rstrip()
