"""Writing Blackrock NSx 2.3 and 3.0; neo reads the result in the tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci.formats.closing import Closing
from bci.formats.nsx import BASIC, EXTENDED, PERIODS_HZ
from bci.formats.recording import FormatError

#: Time that is written where the caller gives none: files of the same content are equal.
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class NsxWriter(Closing):
    """Writes blocks of int16; a context manager.

    Parameters
    ----------
    path
        File to make; its suffix names the rate (``.ns5`` and ``.ns6``: 30 kHz).
    fs
        Sampling rate, Hz, a whole fraction of 30 kHz.
    uv_per_bit
        µV of a bit; written as the digital and analog range, so a fraction with at most
        five digits is kept exactly.
    labels
        Names of the channels, at most 16 bytes each.
    version
        ``(2, 3)`` or ``(3, 0)``.

    Raises
    ------
    FormatError
        A rate that the format cannot state.
    """

    def __init__(
        self,
        path: Path,
        fs: float,
        uv_per_bit: float,
        labels: Iterable[str],
        version: tuple[int, int] = (2, 3),
        when: datetime = EPOCH,
    ) -> None:
        names = [label.encode("latin-1", "replace")[:16] for label in labels]
        period = PERIODS_HZ / fs
        if period != round(period) or version not in ((2, 3), (3, 0)):
            raise FormatError(
                f"{path.name}: expected a rate that divides {PERIODS_HZ} Hz and version 2.3 or "
                f"3.0, found {fs} Hz and {version}"
            )
        self._channels, self._period = len(names), round(period)
        self._wide = version[0] == 3
        self._packet = struct.Struct("<BQI" if self._wide else "<BII")
        self._name, self._next = path.name, -1
        self._count_at = self._count = 0
        self._file = path.open("wb")
        self._file.write(self._basic(version, round(period), when))
        self._file.write(self._extended(names, uv_per_bit).tobytes())

    def _basic(self, version: tuple[int, int], period: int, when: datetime) -> bytes:
        length = BASIC.size + self._channels * EXTENDED.itemsize
        time = (when.year, when.month, when.isoweekday() % 7, when.day, when.hour, when.minute)
        last = (when.second, when.microsecond // 1000)
        magic = b"BRSMPGRP" if version[0] == 3 else b"NEURALCD"
        label = b"30 kS/s" if period == 1 else b"%d S/s" % (PERIODS_HZ // period)
        head = (magic, *version, length, label, b"", period, PERIODS_HZ)
        return BASIC.pack(*head, *time, *last, self._channels)

    def _extended(self, names: list[bytes], uv_per_bit: float) -> NDArray[np.void]:
        rows = np.zeros(len(names), EXTENDED)
        rows["type"], rows["units"] = b"CC", b"uV"
        rows["electrode"] = np.arange(1, len(names) + 1)
        rows["label"] = names
        # the largest digital range whose analog range is a whole number of µV
        digital = next(
            (d for d in range(32_764, 0, -1) if abs(d * uv_per_bit - round(d * uv_per_bit)) < 1e-9),
            32_764,
        )
        rows["digital_max"], rows["digital_min"] = digital, -digital
        rows["analog_max"] = round(digital * uv_per_bit)
        rows["analog_min"] = -round(digital * uv_per_bit)
        return rows

    def write(self, samples: NDArray[np.int16], start: int | None = None) -> None:
        """Append int16[time, channel]; another `start` than expected begins a new packet.

        Raises
        ------
        FormatError
            Another number of channels, or a `start` below 0.
        """
        start = max(self._next, 0) if start is None else start
        if samples.ndim != 2 or samples.shape[1] != self._channels or start < 0:
            raise FormatError(
                f"{self._name}: expected int16[time, {self._channels}] from sample 0 on, found "
                f"shape {samples.shape} at {start}"
            )
        if start != self._next:
            self._close_packet()
            self._count_at, self._count = self._file.tell(), 0
            # the clock counts periods of 30 kHz; of 32 bits it wraps, as on the device
            self._time = start * self._period % (1 << 64 if self._wide else 1 << 32)
            self._file.write(self._packet.pack(1, self._time, 0))
        self._file.write(np.ascontiguousarray(samples, "<i2").tobytes())
        self._count += len(samples)
        self._next = start + len(samples)

    def _close_packet(self) -> None:
        """Write how many rows the packet has."""
        if self._count_at:
            self._file.seek(self._count_at)
            self._file.write(self._packet.pack(1, self._time, self._count))
            self._file.seek(0, 2)

    def close(self) -> None:
        """Finish the file."""
        self._close_packet()
        self._file.close()
