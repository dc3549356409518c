"""Live streams of Lab Streaming Layer, through pylsl (which brings liblsl along).

An inlet serves its oldest samples first, so that whoever is slow works on old data without
noticing (pylsl issue 57). Therefore each block tells its lag, and `Inlet.catch_up` drops what
waits: as a gap, for device samples are counted by the stream's clock. Values of float are
rounded to steps of `uv_per_bit`; those beyond 16 bits are held at the limit and counted.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bci.formats.closing import Closing
from bci.formats.optional import library
from bci.formats.recording import FormatError

#: Samples that one call takes at most, seconds that liblsl keeps.
MOST_SAMPLES, BUFFER_S = 32_768, 60
#: Late or early by so much, s, and at least so many samples, is a gap and not jitter.
JITTER_S, JITTER_SAMPLES = 0.02, 1.5
#: Share of what a block is off by which the next is expected off: no rate is what it is called.
FOLLOW: Final = 0.2
LARGEST: Final = 32_767


class Live(NamedTuple):
    """A block of a live stream.

    Attributes
    ----------
    start
        Device sample of the first row; another than expected after a gap.
    samples
        int16[time, channel].
    lag_s
        Age of the last row by the clocks of LSL, s.
    clipped
        Values held at the limit of 16 bits.
    """

    start: int
    samples: NDArray[np.int16]
    lag_s: float
    clipped: int


class Inlet(Closing):
    """A live stream; a context manager.

    Parameters
    ----------
    name
        Name or type of the stream.
    uv_per_bit
        µV of a bit that values of float are rounded to.
    timeout_s
        How long to look for the stream.

    Attributes
    ----------
    fs
        Nominal rate, Hz.
    uv_per_bit
        float64[channel], µV.
    labels
        Names of the channels.

    Raises
    ------
    FormatError
        pylsl is not installed, there is no such stream, or it has no rate or no numbers.
    """

    def __init__(self, name: str, uv_per_bit: float = 0.25, timeout_s: float = 5.0) -> None:
        self._lsl = lsl = library("pylsl", "to take a live stream")
        found = lsl.resolve_bypred(
            f"name={_quoted(name)} or type={_quoted(name)}", minimum=1, timeout=timeout_s
        )
        if not found:
            raise FormatError(
                f"expected an LSL stream with name or type {name!r} within {timeout_s:g} s, "
                "found none; is its sender running, and in the same network?"
            )
        info = found[0]
        if info.nominal_srate() <= 0 or info.channel_format() == lsl.cf_string:
            raise FormatError(
                f"expected samples at a rate from the LSL stream {name!r}, found "
                f"{info.nominal_srate():g} Hz of format {info.channel_format()}: markers?"
            )
        self.fs = float(info.nominal_srate())
        self._whole = info.channel_format() in (lsl.cf_int8, lsl.cf_int16)
        step = 1.0 if self._whole else uv_per_bit
        self.uv_per_bit = np.full(info.channel_count(), step)
        # not proc_dejitter: it smooths a gap away over seconds
        self._inlet = lsl.StreamInlet(
            info, max_buflen=BUFFER_S, processing_flags=lsl.proc_clocksync
        )
        self._inlet.open_stream(timeout=timeout_s)
        labels = self._inlet.info(timeout=timeout_s).get_channel_labels() or []
        count = info.channel_count()
        self.labels = tuple(
            (labels[number] if number < len(labels) else None) or f"chan{number + 1}"
            for number in range(count)
        )
        self._zero: float | None = None
        self._next = 0
        self._drift = 0.0

    def pull(self, timeout_s: float = 0.0) -> list[Live]:
        """Return what has come since, a block for each stretch without a gap.

        Waits at most `timeout_s` for a first sample; none is no block.
        """
        values, stamps = self._inlet.pull_chunk(timeout=timeout_s, max_samples=MOST_SAMPLES)
        if not stamps:
            return []
        time = np.asarray(stamps, np.float64)
        samples, clipped = self._bits(np.asarray(values))
        if self._zero is None:
            self._zero = float(time[0])
        behind = float(self._lsl.local_clock() - time[-1])
        return self._parted(samples, (time - self._zero) * self.fs, behind, clipped)

    def _parted(
        self, samples: NDArray[np.int16], at: NDArray[np.float64], lag_s: float, clipped: int
    ) -> list[Live]:
        """Cut where time (`at`, in samples) and count part by more than jitter."""
        limit = max(JITTER_SAMPLES, JITTER_S * self.fs)
        blocks, first = [], 0
        while first < len(samples):
            count = self._next + np.arange(len(samples) - first)
            off = at[first:] - count - self._drift
            late = np.abs(off) > limit
            if late[0]:
                # Time that falls is a clock set anew: the count goes on, a second later.
                jump = round(float(off[0])) if off[0] > 0 else round(self.fs)
                self._next += jump
                self._drift += float(off[0]) - jump
                continue
            last = first + (int(np.argmax(late)) if late.any() else len(late))
            blocks.append(Live(self._next, samples[first:last], lag_s, clipped))
            self._drift += FOLLOW * float(np.median(off[: last - first]))
            self._next += last - first
            first, clipped = last, 0
        return blocks

    def _bits(self, values: NDArray[Any]) -> tuple[NDArray[np.int16], int]:
        """Return values as int16, and how many did not fit or were no number."""
        if self._whole:
            return values.astype(np.int16), 0
        steps = np.round(np.nan_to_num(values, nan=0.0) / self.uv_per_bit)
        beyond = int(np.count_nonzero((np.abs(steps) > LARGEST) | ~np.isfinite(values)))
        return np.clip(steps, -LARGEST, LARGEST).astype(np.int16), beyond

    def catch_up(self) -> int:
        """Drop what waits, so that the next block is new; return the samples dropped: a gap."""
        return int(self._inlet.flush())

    def close(self) -> None:
        """Let go of the stream."""
        self._inlet.close_stream()


def _quoted(name: str) -> str:
    """Return a text for LSL's XPath query, which knows no escapes."""
    mark = '"' if "'" in name else "'"
    return mark + name.replace(mark, "") + mark
