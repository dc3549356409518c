"""Writing Blackrock NEV 2.3 and 3.0; neo reads the result in the tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.formats.closing import Closing
from bci.formats.nev import BASIC, EXTENDED, LABEL, WAVE
from bci.formats.nsx_write import EPOCH
from bci.formats.recording import FormatError

#: Most electrodes that the format numbers as such.
MOST_ELECTRODES: Final = 2048
#: Samples of a waveform: packets have at most 256 bytes, and a whole number of four.
WIDTHS: Final = range(10, 123, 2)


class NevWriter(Closing):
    """Writes spikes, port values and comments; a context manager.

    Parameters
    ----------
    path
        File to make.
    fs
        Rate of waveforms and clock, Hz, a whole number.
    uv_per_bit
        µV of a bit; kept to a whole number of nV.
    labels
        Names of the electrodes 1, 2 …, at most 16 bytes each.
    width
        Samples of a waveform: an even number from 10 to 122.
    version
        ``(2, 3)`` or ``(3, 0)``.

    Raises
    ------
    FormatError
        What the format cannot state.

    Examples
    --------
    >>> import tempfile
    >>> from bci.formats.nev import read
    >>> path = Path(tempfile.mkdtemp()) / "made.nev"
    >>> with NevWriter(path, 30_000, 0.25, ["a", "b"], width=10) as writer:
    ...     writer.spikes([90], [1], [0], np.arange(10).reshape(1, 10))
    >>> found = read(path).spikes
    >>> found.sample.tolist(), found.channel.tolist(), found.waveform(0).tolist()
    ([90], [1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    def __init__(
        self,
        path: Path,
        fs: int,
        uv_per_bit: float,
        labels: Iterable[str],
        width: int = 48,
        version: tuple[int, int] = (2, 3),
        when: datetime = EPOCH,
    ) -> None:
        names = [label.encode("latin-1", "replace")[:16] for label in labels]
        nv = round(uv_per_bit * 1000)
        sound = len(names) <= MOST_ELECTRODES and width in WIDTHS and 0 < nv < 1 << 16
        if version not in ((2, 3), (3, 0)) or not sound:
            raise FormatError(
                f"{path.name}: expected version 2.3 or 3.0, a rate in whole Hz, at most "
                f"{MOST_ELECTRODES} electrodes, an even width of 10 to 122 and 1 to 65,535 "
                f"nV a bit, found {version}, {fs} Hz, {len(names)}, {width} and {nv}"
            )
        wide = version[0] == 3
        self._channels, self._width = len(names), width
        self._kind = np.dtype(
            [
                ("time", "<u8" if wide else "<u4"),
                ("kind", "<u2"),
                ("unit", "u1"),
                ("more", "u1"),
                ("body", "u1", (2 * width,)),
            ]
        )
        self._name = path.name
        self._file = path.open("wb")
        extended = _extended(names, nv, width)
        length = BASIC.size + extended.nbytes
        magic = b"BREVENTS" if wide else b"NEURALEV"
        time = (when.year, when.month, when.isoweekday() % 7, when.day, when.hour, when.minute)
        last = (when.second, when.microsecond // 1000, b"sentinel", b"", len(extended))
        rates = (self._kind.itemsize, fs, fs)
        self._file.write(BASIC.pack(magic, *version, 1, length, *rates, *time, *last))
        self._file.write(extended.tobytes())

    def spikes(self, sample: Any, channel: Any, unit: Any, waveforms: NDArray[Any]) -> None:
        """Append spikes in the order given.

        Parameters
        ----------
        sample, channel, unit
            int[n]: clock, index into `labels`, and 0 (not sorted) to 255.
        waveforms
            int[n, time] in bits.

        Raises
        ------
        FormatError
            A channel that has no label, or waveforms of another width.
        """
        shape = np.shape(waveforms)
        if shape != (len(sample), self._width) or not _within(channel, self._channels):
            raise FormatError(
                f"{self._name}: expected waveforms of shape {(len(sample), self._width)} and "
                f"channels below {self._channels}, found {shape} and {np.max(channel, initial=0)}"
            )
        rows = self._rows(sample)
        rows["kind"] = np.asarray(channel) + 1
        rows["unit"] = unit
        rows["body"] = np.ascontiguousarray(waveforms, "<i2").view(np.uint8)
        self._file.write(rows.tobytes())

    def digital(self, sample: Any, value: Any) -> None:
        """Append values of the digital port, int[n] from 0 to 65,535."""
        rows = self._rows(sample)
        rows["unit"] = 1
        rows["body"][:, :2] = np.ascontiguousarray(value, "<u2").view(np.uint8).reshape(-1, 2)
        self._file.write(rows.tobytes())

    def comment(self, sample: int, text: str) -> None:
        """Append a comment; what does not fit a packet is cut off."""
        rows = self._rows([sample])
        rows["kind"] = 0xFFFF
        room = rows["body"].shape[1] - 4
        data = text.encode("latin-1", "replace")[:room]
        rows["body"][0, 4 : 4 + len(data)] = np.frombuffer(data, np.uint8)
        self._file.write(rows.tobytes())

    def _rows(self, sample: Any) -> NDArray[Any]:
        """Return empty packets at `sample`; raise FormatError where the clock has no such time."""
        most = np.iinfo(self._kind["time"]).max
        if not _within(sample, int(most) + 1):
            raise FormatError(f"{self._name}: expected samples from 0 to {most}, found another")
        rows = np.zeros(len(sample), self._kind)
        rows["time"] = sample
        return rows

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _within(values: Any, limit: int) -> bool:
    """Return whether all are at least 0 and below `limit`."""
    return all(
        0 <= value < limit for value in (np.min(values, initial=0), np.max(values, initial=0))
    )


def _extended(names: list[bytes], nv: int, width: int) -> NDArray[np.void]:
    """Return the headers of waveform and label of every electrode."""
    waves, labels = np.zeros(len(names), WAVE), np.zeros(len(names), LABEL)
    waves["electrode"] = labels["electrode"] = np.arange(1, len(names) + 1)
    waves["nv_per_bit"], waves["bytes_each"], waves["width"] = nv, 2, width
    labels["label"] = names
    rows = np.zeros(2 * len(names), EXTENDED)
    rows["type"][0::2], rows["type"][1::2] = b"NEUEVWAV", b"NEUEVLBL"
    rows["body"][0::2], rows["body"][1::2] = waves.view("V24"), labels.view("V24")
    return rows
