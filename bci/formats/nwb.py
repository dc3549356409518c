"""Neurodata Without Borders 2 (``.nwb``, HDF5), through h5py.

Read are series of samples: ``ElectricalSeries``, and ``TimeSeries`` that `var` names, anywhere
in ``/acquisition``, ``/processing`` and ``/stimulus``; `var` is the name or the path of one
where there are several. Source: NWB format specification 2.7, ElectricalSeries. A series has a
rate, or a time stamp for every sample: where those jump, samples are parted. Integers of 16
bits that are stored in one piece stay in the file (memory map).
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.formats.optional import library
from bci.formats.recording import BROKEN, MOST_LOADED, FormatError, Recording, placed
from bci.formats.scaling import to_int16

SUFFIXES: Final = (".nwb",)
GROUPS: Final = ("acquisition", "processing", "stimulus")
ELECTRICAL, PLAIN = "ElectricalSeries", "TimeSeries"
#: Periods from which on a step of the time stamps is a gap.
BREAK: Final = 1.5
#: µV of the units that a series may be in.
UNITS: Final = {"volts": 1e6, "v": 1e6, "millivolts": 1e3, "mv": 1e3, "microvolts": 1.0, "uv": 1.0}


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open an NWB file; raise FormatError where it is none, or `var` must choose a series."""
    del fs
    h5py = library("h5py", f"to read {path.name}")
    try:
        with h5py.File(path, "r") as file:
            return _recording(path, file, _choose(path, file, var))
    except BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{path.name}: expected an NWB file, found: {reason}") from error


def _choose(path: Path, file: Any, var: str) -> Any:
    """Return the series that is meant."""
    found: dict[str, Any] = {}

    def take(name: str, node: Any) -> None:
        kind = _text(node.attrs.get("neurodata_type", ""))
        series = kind.endswith("Series") and "data" in node
        if series and name.partition("/")[0] in GROUPS:
            found[name] = node

    file.visititems(take)
    if var:
        chosen = [node for name, node in found.items() if var in {name, name.rpartition("/")[2]}]
    else:
        chosen = [n for n in found.values() if _text(n.attrs["neurodata_type"]) == ELECTRICAL]
    if len(chosen) == 1:
        return chosen[0]
    shown = ", ".join(f"{name} {'x'.join(map(str, n['data'].shape))}" for name, n in found.items())
    wanted = f"one series {var}" if var else f"one {ELECTRICAL}"
    raise FormatError(
        f"{path.name}: expected {wanted}, found {len(chosen)} of: {shown or 'no series'}; "
        "name one with --var"
    )


def _recording(path: Path, file: Any, series: Any) -> Recording:
    """Make a recording of a series."""
    data = series["data"]
    if data.ndim not in (1, 2) or data.nbytes > MOST_LOADED:
        raise FormatError(
            f"{path.name}: expected [time] or [time, channel] and at most {MOST_LOADED} bytes, "
            f"found shape {data.shape} and {data.nbytes} bytes"
        )
    values = _mapped(path, data)
    values = values.reshape(len(values), -1)
    channels = values.shape[1]
    unit = _text(data.attrs.get("unit", "volts")).lower()
    uv = float(data.attrs.get("conversion", 1.0)) * UNITS.get(unit, 1.0)
    each = series["channel_conversion"][()] if "channel_conversion" in series else np.ones(channels)
    found = to_int16(values, uv * np.asarray(each, np.float64))
    labels, positions = _electrodes(file, series, channels)
    rate, parts = _timed(path, series, found.parts)
    return Recording(
        rate, found.uv_per_bit, labels, placed(parts), positions=positions, notes=found.notes
    )


def _mapped(path: Path, data: Any) -> NDArray[Any]:
    """Return the values, from the file itself where they lie there in one piece."""
    offset = data.id.get_offset()
    if offset is not None and data.dtype == np.dtype("<i2") and data.size:
        return np.memmap(path, data.dtype, "r", offset, data.shape)
    values: NDArray[Any] = data[()]
    return values


def _timed(
    path: Path, series: Any, parts: list[tuple[int, NDArray[np.int16]]]
) -> tuple[float, list[tuple[int, NDArray[np.int16]]]]:
    """Return the rate, Hz, and the parts counted by the clock of the series."""
    if "starting_time" in series:
        rate = float(series["starting_time"].attrs.get("rate", 0))
        begin = float(series["starting_time"][()])
        if not (0 < rate < 1e9 and abs(begin * rate) < 1 << 53):
            raise FormatError(f"{path.name}: expected a rate above 0 Hz, found {rate} from {begin}")
        return rate, [(round(begin * rate) + first, rows) for first, rows in parts]
    if "timestamps" not in series:
        raise FormatError(f"{path.name}: expected starting_time or timestamps, found neither")
    time = np.asarray(series["timestamps"][()], np.float64)
    steps = np.diff(time)
    step = float(np.median(steps)) if len(steps) else 0.0
    if not np.isfinite(time).all() or step <= 0 or np.abs(time).max() / step > 1 << 53:
        raise FormatError(f"{path.name}: expected timestamps in s that rise, found others")
    rate = round(1 / step, 3)
    timed = []
    for first, rows in parts:
        inside = time[first : first + len(rows)]
        if len(inside) != len(rows):
            raise FormatError(
                f"{path.name}: expected a time stamp a sample, found {len(time)} for more"
            )
        cuts = np.flatnonzero(np.abs(np.diff(inside) * rate - 1) > BREAK) + 1
        for a, b in itertools.pairwise([0, *cuts.tolist(), len(rows)]):
            timed.append((round(float(inside[a]) * rate), rows[a:b]))
    return rate, timed


def _electrodes(
    file: Any, series: Any, channels: int
) -> tuple[tuple[str, ...], NDArray[np.float64] | None]:
    """Return labels and positions, µm, from the table of electrodes."""
    labels = [f"chan{number}" for number in range(1, channels + 1)]
    table = file.get("general/extracellular_ephys/electrodes")
    rows = np.asarray(series["electrodes"][()]) if "electrodes" in series else None
    if table is None or rows is None or len(rows) != channels:
        return tuple(labels), None
    for name in ("channel_name", "label", "id"):
        if name in table:
            labels = [_text(table[name][int(row)]) for row in rows]
            break
    if "rel_x" not in table or "rel_y" not in table:
        return tuple(labels), None
    places = np.stack([table["rel_x"][()][rows], table["rel_y"][()][rows]], axis=1)
    return tuple(labels), places.astype(np.float64) if np.isfinite(places).all() else None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
