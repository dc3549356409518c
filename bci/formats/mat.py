"""MATLAB files: versions 4 to 7 through scipy, 7.3 (HDF5) through h5py.

The signal is the variable named by `var` (``rec.data`` for a field of a struct), else the one
of a known producer: ``data`` of wave_clus (Quian Quiroga 2004, and its simulations "C_Easy1"
…), ``Samples`` of Neuralynx's Nlx2MatCSC; else the only array that is large. The longer axis is
time. The rate is in a variable such as ``sr`` or ``fs``, as an interval in ms
(``samplingInterval``), or given. Values that are no integers of 16 bits are taken as µV.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bci.formats.optional import library
from bci.formats.recording import BROKEN, MOST_LOADED, FormatError, Recording, placed
from bci.formats.scaling import to_int16

SUFFIXES: Final = (".mat",)
HDF5: Final = b"\x89HDF\r\n\x1a\n"
#: Where HDF5 begins in files of version 7.3: after MATLAB's own header.
HDF5_AT: Final = 512
#: Variables that producers name the signal and its rate, Hz; or its interval, ms.
SIGNALS: Final = ("data", "Samples")
RATES: Final = ("sr", "fs", "Fs", "srate", "sampling_rate", "samplerate", "SampleFrequencies")
INTERVALS_MS: Final = ("samplingInterval", "sample_interval_ms")
#: Values that an array must have to be taken for a signal without being named.
FEWEST: Final = 1000
#: Samples of a record of Neuralynx, and its variables.
RECORD: Final = 512
NEURALYNX: Final = ("Timestamps", "NumberOfValidSamples", "Samples")
Variables = dict[str, NDArray[Any]]


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open a MATLAB file.

    Raises
    ------
    FormatError
        It is none, has no such variable, or several that may be the signal; no rate.
    """
    if path.stat().st_size > MOST_LOADED:
        raise FormatError(
            f"{path.name}: expected at most {MOST_LOADED} bytes, found more; convert it to .ns5"
        )
    with path.open("rb") as file:
        start = file.read(HDF5_AT + len(HDF5))
    modern = HDF5 in (start[: len(HDF5)], start[HDF5_AT:])
    load: Callable[[Path], Variables] = _load_hdf5 if modern else _load_scipy
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            variables = load(path)
    except BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{path.name}: expected a MATLAB file, found: {reason}") from error
    return _recording(path, variables, var, fs)


def _recording(path: Path, variables: Variables, var: str, fs: float) -> Recording:
    """Make a recording of the variables."""
    name = _choose(path, variables, var)
    rate = fs or _rate(path, variables, name)
    if not np.isfinite(rate) or rate <= 0:
        raise FormatError(f"{path.name}: expected a rate above 0 Hz, found {rate}")
    values = variables[name]
    if name == "Samples" and all(key in variables for key in NEURALYNX):
        return _neuralynx(path, variables, rate)
    rows = values if values.shape[0] >= values.shape[1] else values.T
    found = to_int16(rows)
    base = name.rpartition(".")[2]
    labels = tuple(f"{base}{number}" for number in range(1, rows.shape[1] + 1))
    return Recording(rate, found.uv_per_bit, labels, placed(found.parts), notes=found.notes)


def _choose(path: Path, variables: Variables, var: str) -> str:
    """Return the name of the signal."""
    shown = ", ".join(f"{key} {'x'.join(map(str, v.shape))}" for key, v in variables.items())
    if var:
        if var in variables and variables[var].size > 1:
            return var
        raise FormatError(
            f"{path.name}: expected numbers in a variable {var}, found: {shown or 'none'}"
        )
    large = [key for key, values in variables.items() if values.size >= FEWEST]
    known = [key for key in SIGNALS if key in variables and variables[key].size > 1]
    if known or len(large) == 1:
        return (known or large)[0]
    raise FormatError(
        f"{path.name}: expected one variable with a signal ({' or '.join(SIGNALS)}, or the only "
        f"one of {FEWEST} values), found: {shown or 'none'}; name it with --var"
    )


def _rate(path: Path, variables: Variables, name: str) -> float:
    """Return the sampling rate, Hz: beside the signal, or where structs keep parameters."""
    prefix = name.rpartition(".")[0]
    for place in (f"{prefix}." if prefix else "", "", "par."):
        for keys, convert in ((RATES, float), (INTERVALS_MS, lambda ms: 1000 / float(ms))):
            for key in keys:
                values = variables.get(place + key)
                if values is not None and values.size and values.flat[0] > 0:
                    if not (values == values.flat[0]).all():
                        raise FormatError(
                            f"{path.name}: expected one rate in {place}{key}, found several: "
                            "split the file"
                        )
                    return convert(values.flat[0])
    raise FormatError(
        f"{path.name}: expected the rate in a variable ({', '.join(RATES)}), found none; "
        "give it with --fs"
    )


def _neuralynx(path: Path, variables: Variables, rate: float) -> Recording:
    """Join the records that Nlx2MatCSC exports, where they follow one another."""
    time, valid, samples = (variables[key] for key in NEURALYNX)
    time, valid = time.ravel(), valid.ravel().astype(np.int64)
    if samples.shape[0] != RECORD or not len(time) == len(valid) == samples.shape[1]:
        raise FormatError(
            f"{path.name}: expected Samples of {RECORD} rows and a column for each of "
            f"{len(time)} time stamps, found {samples.shape}"
        )
    if not np.isfinite(time).all() or np.abs(time).max(initial=0) > 1e18 or (valid < 0).any():
        raise FormatError(f"{path.name}: expected times in µs and counts, found another")
    period = 1e6 / rate
    parted = (np.abs(np.diff(time) / period - RECORD) > 1.5) | (valid[:-1] < RECORD)
    cuts = [0, *(np.flatnonzero(parted) + 1).tolist(), len(time)]
    found = to_int16(samples.reshape(-1, 1, order="F"), 1.0)
    if len(found.parts) != 1:
        raise FormatError(f"{path.name}: expected whole numbers in Samples, found others")
    flat = found.parts[0][1]
    parts = []
    for first, last in itertools.pairwise(cuts):
        if first < last:
            end = last * RECORD - RECORD + min(int(valid[last - 1]), RECORD)
            parts.append((int(time[first]), flat[first * RECORD : end]))
    segments = placed(parts, 0, Fraction(period).limit_denominator(1_000_000))
    scale = found.uv_per_bit * _bit_volts(variables) * 1e6
    return Recording(rate, scale, (path.stem,), segments, notes=found.notes)


def _bit_volts(variables: Variables) -> float:
    """Return V of a bit; a µV where the header of the export is not there."""
    values = variables.get("Header.ADBitVolts")
    return float(values.flat[0]) if values is not None else 1e-6


def _load_scipy(path: Path) -> Variables:
    """Return the variables with numbers; fields of structs by ``struct.field``."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    found: Variables = {}
    try:
        variables = loadmat(path, chars_as_strings=True)
    except MatReadError as error:  # no ValueError
        raise ValueError(str(error)) from error
    for key, value in variables.items():
        if not key.startswith("__"):
            _flatten(key, value, found)
    return found


def _flatten(name: str, value: Any, found: Variables) -> None:
    """Put numbers into `found`, also those in structs of one element."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            _flatten(f"{name}.{field}", value[field].flat[0], found)
    elif value.dtype.kind in "iuf" and value.ndim == 2:
        found[name] = value
    elif name == "Header" and value.dtype == object:
        _header(value, found)


def _header(lines: NDArray[Any], found: Variables) -> None:
    """Take the scale from the header that Nlx2MatCSC exports."""
    sign = 1.0
    for line in lines.flat:
        key, _, text = str(line.flat[0] if getattr(line, "size", 0) else "").partition(" ")
        if key == "-ADBitVolts":
            found["Header.ADBitVolts"] = np.array([[float(text.split()[0])]])
        if key == "-InputInverted" and "True" in text:
            sign = -1.0
    if "Header.ADBitVolts" in found:
        found["Header.ADBitVolts"] *= sign


def _load_hdf5(path: Path) -> Variables:
    """Return the variables of version 7.3, whose arrays are stored transposed."""
    h5py = library("h5py", f"to read {path.name}, a MATLAB file of version 7.3")
    found: Variables = {}

    def take(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf" and node.ndim == 2:
            if node.nbytes > MOST_LOADED:
                raise ValueError(f"{name} has {node.nbytes} bytes, more than {MOST_LOADED}")
            found[name.replace("/", ".")] = node[()].T

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return {name: values for name, values in found.items() if not name.startswith("#")}
