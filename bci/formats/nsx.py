"""Blackrock NSx (``.ns1`` … ``.ns6``), file specifications 2.1, 2.2, 2.3 and 3.0.

Source: Blackrock Microsystems, "File Specification NEV/NSx 3.0" (LB-0023). Samples stay in
the file (memory map). Every data packet is a segment of its own; what lies between two is a
gap, a reset of the clock, or nothing (`placed`). With PTP (3.0, a packet a sample, ns clock) a
step of more than 1.5 periods is a gap. neo is the oracle of the tests.

A packet of length 0 is one that a pause left empty, where a packet follows; else it is what a
crash leaves: the length was never written, and the rest of the file belongs to it.
"""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bci.formats.recording import FormatError, Recording, Segment, c_text, placed

SUFFIXES: Final = (".ns1", ".ns2", ".ns3", ".ns4", ".ns5", ".ns6")

#: Clock ticks a second that periods of all versions count in.
PERIODS_HZ: Final = 30_000
BASIC: Final = struct.Struct("<8sBBI16s256sIIHHHHHHHHI")
EXTENDED: Final = np.dtype(
    [
        ("type", "S2"),
        ("electrode", "<u2"),
        ("label", "S16"),
        ("connector", "u1"),
        ("pin", "u1"),
        ("digital_min", "<i2"),
        ("digital_max", "<i2"),
        ("analog_min", "<i2"),
        ("analog_max", "<i2"),
        ("units", "S16"),
        ("filters", "V20"),
    ]
)
#: µV of a unit that the analog range may be in.
UNITS: Final = {b"uV": 1.0, b"mV": 1000.0, b"V": 1e6}
#: µV a bit of specification 2.1, whose file does not say: the Cerebus front end's.
V21_UV: Final = 0.25
MOST_CHANNELS: Final = 65_536
#: Clock rate from which on the clock is PTP's, and latest time that is one.
PTP_HZ: Final = 1_000_000
LATEST: Final = 1 << 62
#: Periods from which on a step of PTP's clock is a gap.
GAP: Final = 1.5


class _Head(NamedTuple):
    """What the header says; `data` is the offset of the first packet."""

    period: int
    resolution: int
    channels: int
    data: int
    wide: bool


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open an NSx file; raise FormatError where it is none, or cut off in its header."""
    del var, fs
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(8)
    if magic == b"NEURALSG":
        return _read_v21(path, size)
    if magic not in (b"NEURALCD", b"BRSMPGRP"):
        raise FormatError(
            f"{path.name}: expected NEURALSG, NEURALCD or BRSMPGRP at its start, found {magic!r}"
        )
    head, extended = _head(path, size)
    scale = np.array([_scale(path, row) for row in extended])
    labels = tuple(c_text(row["label"]) for row in extended)
    segments, notes = _packets(path, size, head)
    return Recording(PERIODS_HZ / head.period, scale, labels, segments, notes=notes)


def _read_v21(path: Path, size: int) -> Recording:
    """Read specification 2.1: no packets, no scaling, one segment."""
    with path.open("rb") as file:
        file.seek(24)
        period, channels = _unpack(path, "<II", file.read(8))
        _check(path, period, channels)
        numbers = np.frombuffer(file.read(4 * channels), "<u4")
    start = 32 + 4 * channels
    count = (size - start) // (2 * channels)
    if len(numbers) < channels or count < 0:
        raise FormatError(f"{path.name}: expected {channels} channel ids, found the file's end")
    samples = _map(path, start, count, channels)
    labels = tuple(f"chan{number}" for number in numbers)
    scale = np.full(channels, V21_UV)
    rest = (size - start) % (2 * channels)
    notes = (f"{rest} bytes at the end are no whole row: cut off",) if rest else ()
    segments = (Segment(0, samples),) if count else ()
    return Recording(PERIODS_HZ / period, scale, labels, segments, notes=notes)


def _head(path: Path, size: int) -> tuple[_Head, NDArray[Any]]:
    """Read the basic and the extended headers."""
    with path.open("rb") as file:
        fields = _unpack(path, BASIC.format, file.read(BASIC.size))
        magic, length, period, resolution, channels = (fields[k] for k in (0, 3, 6, 7, 16))
        _check(path, period, channels)
        if not resolution:
            raise FormatError(f"{path.name}: expected a clock rate in the header, found 0 Hz")
        wanted = BASIC.size + channels * EXTENDED.itemsize
        if length != wanted or size < wanted:
            raise FormatError(
                f"{path.name}: expected headers of {wanted} bytes for {channels} channels, "
                f"found {length} stated and {size} in the file"
            )
        extended = np.frombuffer(file.read(channels * EXTENDED.itemsize), EXTENDED)
    if not (extended["type"] == b"CC").all():
        raise FormatError(f"{path.name}: expected CC in every extended header, found another")
    return _Head(period, resolution, channels, length, magic == b"BRSMPGRP"), extended


def _check(path: Path, period: int, channels: int) -> None:
    if not period or not 0 < channels < MOST_CHANNELS:
        raise FormatError(
            f"{path.name}: expected a period and 1 to {MOST_CHANNELS} channels, "
            f"found period {period} and {channels} channels"
        )


def _scale(path: Path, row: Any) -> float:
    """Return µV of a bit."""
    digital = int(row["digital_max"]) - int(row["digital_min"])
    analog = int(row["analog_max"]) - int(row["analog_min"])
    units = row["units"].rstrip(b"\0 ")
    if digital == 0 or units not in UNITS:
        raise FormatError(
            f"{path.name}: expected a digital range and uV, mV or V for electrode "
            f"{row['electrode']}, found range {digital} and {units!r}"
        )
    return UNITS[units] * analog / digital


def _packets(path: Path, size: int, head: _Head) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Map the data packets; the last may be cut off, or its length unwritten (0)."""
    packet = struct.Struct("<BQI" if head.wide else "<BII")
    row, at = 2 * head.channels, head.data
    found, notes = list[tuple[int, NDArray[np.int16]]](), list[str]()
    with path.open("rb") as file:
        while at + packet.size <= size:
            file.seek(at)
            mark, time, count = packet.unpack(file.read(packet.size))
            if mark != 1 or time > LATEST:
                raise FormatError(
                    f"{path.name}: expected a packet (1) and a time below 2^62 at byte {at}, "
                    f"found {mark} and time {time}"
                )
            if count == 1 and head.wide and head.resolution > PTP_HZ and not found:
                return _clocked(path, size, head, at)
            there = (size - at - packet.size) // row
            if not count and not _follows(file, size, packet, at + packet.size, row):
                count = there
                notes.append(f"length of the packet at byte {at} is unwritten: {there} rows taken")
            if count > there:
                notes.append(f"packet at byte {at} states {count} rows, {there} are there: cut off")
            at += packet.size
            found.append((time, _map(path, at, min(count, there), head.channels)))
            at += count * row
    if at < size:
        notes.append(f"{size - at} bytes at the end are no whole packet: cut off")
    ticks = Fraction(head.resolution * head.period, PERIODS_HZ)
    return placed(found, 0 if head.wide else 1 << 32, ticks), tuple(notes)


def _follows(file: BinaryIO, size: int, packet: struct.Struct, at: int, row: int) -> bool:
    """Say whether a packet begins at `at`: a mark, and a length that ends in the file."""
    if at == size:
        return True
    file.seek(at)
    data = file.read(packet.size)
    if len(data) < packet.size:
        return False
    mark, _, count = packet.unpack(data)
    return bool(mark == 1 and at + packet.size + count * row <= size)


def _clocked(
    path: Path, size: int, head: _Head, at: int
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Map packets of one sample each (PTP), cut where the clock jumps."""
    kind = np.dtype(
        [("mark", "u1"), ("time", "<u8"), ("count", "<u4"), ("samples", "<i2", (head.channels,))]
    )
    there, rest = divmod(size - at, kind.itemsize)
    if not there:
        return (), (f"{rest} bytes at the end are no whole packet: cut off",)
    packets = np.memmap(path, kind, "r", at, there)
    good = (packets["mark"] == 1) & (packets["count"] == 1) & (packets["time"] <= LATEST)
    if not good.all():
        where = at + int(np.argmin(good)) * kind.itemsize
        raise FormatError(f"{path.name}: expected a packet of one sample at byte {where}")
    period = Fraction(head.resolution * head.period, PERIODS_HZ)
    times = packets["time"].astype(np.int64)
    steps = np.diff(times)
    cuts = np.flatnonzero((steps > GAP * float(period)) | (steps <= 0)) + 1
    bounds = [0, *cuts.tolist(), len(packets)]
    parts = [
        (int(times[first]), packets["samples"][first:last])
        for first, last in itertools.pairwise(bounds)
    ]
    notes = (f"{rest} bytes at the end are no whole packet: cut off",) if rest else ()
    return placed(parts, 0, period), notes


def _map(path: Path, at: int, count: int, channels: int) -> NDArray[np.int16]:
    if not count:
        return np.zeros((0, channels), np.int16)
    return np.memmap(path, np.dtype("<i2"), "r", at, (count, channels))


def _unpack(path: Path, layout: str, data: bytes) -> tuple[Any, ...]:
    wanted = struct.calcsize(layout)
    if len(data) < wanted:
        raise FormatError(
            f"{path.name}: expected a header of {wanted} bytes, found {len(data)}: cut off"
        )
    return struct.unpack(layout, data)
