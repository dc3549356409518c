"""Blackrock NEV, file specifications 2.1, 2.2, 2.3 and 3.0: spikes, ports, comments.

Source: Blackrock Microsystems, "File Specification NEV/NSx 3.0" (LB-0023). All packets have
one size, so the file is mapped as one array and waveforms stay in it. neo is the oracle of the
tests. Neuralynx ends its event files in ``.nev`` too; `bci.formats.neuralynx` has them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bci.formats import neuralynx
from bci.formats.recording import AFTER_RESET, FormatError, Marks, Recording, SpikeTrain, c_text

SUFFIXES: Final = (".nev",)

BASIC: Final = struct.Struct("<8sBBHIIIIHHHHHHHH32s256sI")
EXTENDED: Final = np.dtype([("type", "S8"), ("body", "V24")])
WAVE: Final = np.dtype(
    [
        ("electrode", "<u2"),
        ("connector", "u1"),
        ("pin", "u1"),
        ("nv_per_bit", "<u2"),
        ("energy", "<u2"),
        ("high", "<i2"),
        ("low", "<i2"),
        ("units", "u1"),
        ("bytes_each", "u1"),
        ("width", "<u2"),
        ("unused", "V8"),
    ]
)
LABEL: Final = np.dtype([("electrode", "<u2"), ("label", "S16"), ("unused", "V6")])
#: A factor that does not fit 16 bits: analog inputs have 152,592.547 nV a bit (neo, brpylib).
LARGE_FACTOR, LARGE_NV = 21_516, 152_592.547
#: Numbers of packets from which on they are no spikes of an electrode.
SYSTEM: Final = 0x8000
KINDS: Final = {
    0xFFFF: "comment", 0xFFFE: "video", 0xFFFD: "tracking", 0xFFFC: "button", 0xFFFB: "config"
}  # fmt: skip
#: What the acquisition software notes when it sets the clock anew.
RESTART: Final = b"critical load restart"
#: Packets of a size or headers that exceed this are no NEV file's.
MOST_BYTES, MOST_HEADERS = 65_536, 1_000_000
MOST_HZ: Final = 1_000_000
#: Seconds by which the clock may fall, as packets of different kinds are written unordered.
UNORDERED_S: Final = 1.0
#: Latest sample that still leaves room to add to.
LATEST: Final = 1 << 62


class _Head(NamedTuple):
    """What the basic header says; sizes in bytes, rates in Hz."""

    version: tuple[int, int]
    flags: int
    data: int
    packet: int
    resolution: int
    fs: int
    extended: int

    @property
    def wide(self) -> bool:
        """Whether time stamps have 64 bits."""
        return self.version[0] >= 3

    @property
    def body(self) -> int:
        """Bytes of a packet before its waveform."""
        return 12 if self.wide else 8


class _Channels(NamedTuple):
    """What extended headers say of electrodes."""

    electrode: NDArray[np.int64]
    uv: NDArray[np.float64]
    labels: list[str]
    width: NDArray[np.int64]
    bytes_each: NDArray[np.int64]


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open a NEV file; raise FormatError where it is none, or cut off in its header."""
    del var, fs
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(BASIC.size)
    if start.startswith(neuralynx.MAGIC):
        return neuralynx.read_events(path)
    head = _basic(path, start, size)
    extended = np.fromfile(path, EXTENDED, head.extended, offset=BASIC.size)
    count, rest = divmod(size - head.data, head.packet)
    notes = [f"{rest} bytes at the end are no whole packet: cut off"] if rest else []
    packets = _map(path, head, count)
    kind = packets["kind"]
    sample, resets = _samples(path, head, packets)
    channels = _channels(head, extended, np.unique(kind[(kind > 0) & (kind < SYSTEM)]))
    return Recording(
        float(head.fs),
        channels.uv,
        tuple(channels.labels),
        (),
        spikes=_spikes(head, packets, sample, channels),
        marks=_marks(head, packets, sample, resets) if len(packets) else None,
        notes=tuple(notes),
    )


def _basic(path: Path, data: bytes, size: int) -> _Head:
    """Read and check the basic header."""
    if data[:8] not in (b"NEURALEV", b"BREVENTS"):
        raise FormatError(
            f"{path.name}: expected NEURALEV or BREVENTS at its start, found {data[:8]!r}"
        )
    if len(data) < BASIC.size:
        raise FormatError(
            f"{path.name}: expected a header of {BASIC.size} bytes, found {len(data)}: cut off"
        )
    fields = BASIC.unpack(data)
    flags, length, packet, resolution, fs = fields[3:8]
    version = (fields[1], fields[2])
    head = _Head(version, flags, length, packet, resolution, fs, fields[-1])
    wanted = BASIC.size + head.extended * EXTENDED.itemsize
    sound = head.version[0] in (2, 3) and head.extended <= MOST_HEADERS and head.data >= wanted
    if not sound or size < head.data:
        raise FormatError(
            f"{path.name}: expected version 2 or 3 and headers of at least {wanted} bytes, found "
            f"version {head.version[0]}.{head.version[1]}, {head.data} stated, {size} in the file"
        )
    rates = head.resolution > 0 and 0 < head.fs <= MOST_HZ
    if not (head.body + 4 <= head.packet <= MOST_BYTES and rates):
        raise FormatError(
            f"{path.name}: expected packets of {head.body + 4} to {MOST_BYTES} bytes, a clock and "
            f"1 to {MOST_HZ} Hz, found {head.packet} bytes, {head.resolution} and {head.fs} Hz"
        )
    return head


def _map(path: Path, head: _Head, count: int) -> NDArray[Any]:
    """Map the packets; `body` is the waveform, or whatever else a packet of the kind has."""
    kind = np.dtype(
        [
            ("time", "<u8" if head.wide else "<u4"),
            ("kind", "<u2"),
            ("unit", "u1"),
            ("more", "u1"),
            ("body", "u1", (head.packet - head.body,)),
        ]
    )
    if not count:
        return np.zeros(0, kind)
    return np.memmap(path, kind, "r", head.data, count)


def _channels(head: _Head, extended: NDArray[Any], seen: NDArray[Any]) -> _Channels:
    """Return the electrodes of the headers, and those that only packets name."""
    waves = extended["body"][extended["type"] == b"NEUEVWAV"].view(WAVE)
    waves = waves[np.sort(np.unique(waves["electrode"], return_index=True)[1])]
    rows = extended["body"][extended["type"] == b"NEUEVLBL"].view(LABEL)
    names = {int(row["electrode"]): c_text(row["label"]) for row in rows}
    more = np.setdiff1d(seen, waves["electrode"]).astype(np.int64)
    electrode = np.concatenate([waves["electrode"].astype(np.int64), more])
    nv = waves["nv_per_bit"].astype(np.float64)
    nv[waves["nv_per_bit"] == LARGE_FACTOR] = LARGE_NV
    each = np.ones(len(electrode), np.int64)
    stated = waves["bytes_each"]
    each[: len(waves)] = np.where(np.isin(stated, (2, 4)), stated, 1)
    if head.flags & 1 or not len(waves):
        each[:] = 2
    room = (head.packet - head.body) // each
    width = np.zeros(len(electrode), np.int64)
    # of 2.1 and where nothing is stated, the waveform fills the packet
    width[: len(waves)] = waves["width"] if head.version >= (2, 2) else 0
    width = np.where(width == 0, room, np.minimum(width, room))
    return _Channels(
        electrode,
        np.concatenate([nv / 1000, np.full(len(more), 0.25)]),
        [names.get(number) or f"chan{number}" for number in electrode.tolist()],
        width,
        each,
    )


def _samples(
    path: Path, head: _Head, packets: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the device sample of every packet, and which packets begin after a reset.

    A fall of the clock by more than half of its range is a wrap, one by more than
    `UNORDERED_S`, or one that a comment announces, a reset.
    """
    raw = packets["time"]
    most = LATEST // head.fs * head.resolution
    if len(raw) and int(raw.max()) > most:
        where = head.data + int(np.argmax(raw)) * head.packet
        raise FormatError(
            f"{path.name}: expected a time up to {most} in the packet at byte {where}, "
            f"found {raw.max()}"
        )
    # Whole seconds apart, or nanoseconds times samples would not fit 64 bits.
    seconds, ticks = np.divmod(raw, head.resolution)
    part = (ticks.astype(np.int64) * head.fs + head.resolution // 2) // head.resolution
    sample = seconds.astype(np.int64) * head.fs + part
    step = np.diff(sample, prepend=sample[:1])
    turn = 0 if head.wide else ((1 << 32) * head.fs) // head.resolution
    wrapped = (step < -turn // 2) if turn else np.zeros(len(step), bool)
    back = turn // 2 if turn else 0
    announced = _announced(head, packets) & (step < 0)
    reset = ((step < -UNORDERED_S * head.fs) | announced) & ~wrapped
    jumped = (step > back) & (np.cumsum(wrapped) > 0) if turn else np.zeros(len(step), bool)
    carry = turn * (np.cumsum(wrapped) - np.cumsum(jumped))
    carry += np.cumsum(np.where(reset, AFTER_RESET - step, 0))
    return sample + carry, np.flatnonzero(reset)


def _announced(head: _Head, packets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which packets are a note that the clock was set anew."""
    found: NDArray[np.bool_] = np.zeros(len(packets), bool)
    for row in np.flatnonzero(packets["kind"] == 0xFFFF).tolist():
        found[row] = RESTART in packets["body"][row].tobytes()
    return found if head.version >= (2, 3) else np.zeros(len(packets), bool)


def _spikes(
    head: _Head, packets: NDArray[Any], sample: NDArray[np.int64], channels: _Channels
) -> SpikeTrain:
    """Return the spikes in order of time."""
    kind = packets["kind"]
    row = np.flatnonzero((kind > 0) & (kind < SYSTEM))
    row = row[np.argsort(sample[row], kind="stable")]
    index = np.zeros(SYSTEM, np.int32)
    index[channels.electrode[channels.electrode < SYSTEM]] = np.flatnonzero(
        channels.electrode < SYSTEM
    )
    return SpikeTrain(
        sample[row],
        index[kind[row]],
        packets["unit"][row],
        row.astype(np.int64),
        packets["body"],
        channels.width,
        channels.bytes_each,
    )


def _marks(
    head: _Head, packets: NDArray[Any], sample: NDArray[np.int64], resets: NDArray[np.int64]
) -> Marks:
    """Return what is no spike, in order of time."""
    kind = packets["kind"]
    rows = np.flatnonzero((kind == 0) | (kind >= SYSTEM))
    found = packets[rows]
    value = found["unit"].astype(np.int64) + 256 * found["more"].astype(np.int64)
    port = found["kind"] == 0
    value[port] = np.ascontiguousarray(found["body"][port, :2]).view("<u2")[:, 0]
    names = list(map(KINDS.get, found["kind"].tolist(), [""] * len(rows)))
    texts = [""] * len(rows)
    for place in np.flatnonzero(port).tolist():
        reason = int(found["unit"][place])
        names[place] = "serial" if reason & 0x80 else "digital" if reason & 1 else "analog"
    if head.version >= (2, 3):
        for place in np.flatnonzero(found["kind"] == 0xFFFF).tolist():
            value[place], texts[place] = 0, _text(found[place])
    at = np.concatenate([sample[rows], sample[resets]])
    order = np.argsort(at, kind="stable")
    names += ["reset"] * len(resets)
    texts += [""] * len(resets)
    return Marks(
        at[order],
        tuple(names[place] or "other" for place in order.tolist()),
        np.concatenate([value, np.zeros(len(resets), np.int64)])[order],
        tuple(texts[place] for place in order.tolist()),
    )


def _text(packet: Any) -> str:
    """Return a comment, in ISO 8859-1 or UTF-16 as its packet says."""
    encoding = "utf-16-le" if int(packet["unit"]) == 1 else "latin-1"
    text: str = packet["body"].tobytes()[4:].decode(encoding, "replace")
    return text.split("\0")[0]
