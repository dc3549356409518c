"""Samples and nothing else (``.raw``), described by ``info.json`` or ``NAME.json`` beside them.

The description is that of tridesclous' data sets: ``sample_rate`` in Hz, ``dtype`` as numpy
names it, and ``shape`` as ``[-1, channels]``; we also take ``uv_per_bit`` and ``labels``.
Samples of 16 bits stay in the file (memory map).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from bci.formats.recording import MOST_LOADED, FormatError, Recording, placed
from bci.formats.scaling import to_int16

SUFFIXES: Final = (".raw",)
KINDS: Final = ("int16", "int32", "float32", "float64", "uint16")
MOST_CHANNELS: Final = 65_536


def read(path: Path, var: str = "", fs: float = 0.0) -> Recording:
    """Open samples; raise FormatError where nothing describes them, or wrongly."""
    del var
    info = _description(path)
    shape, kind = info.get("shape"), info.get("dtype", "int16")
    rate = fs or info.get("sample_rate")
    channels = shape[-1] if isinstance(shape, list) and shape else None
    uv = info.get("uv_per_bit", 1.0)
    if (
        kind not in KINDS
        or not _number(rate)
        or not _number(uv)
        or not isinstance(channels, int)
        or not 0 < channels < MOST_CHANNELS
    ):
        raise FormatError(
            f"{path.name}: expected sample_rate above 0, shape [-1, channels] and a dtype of "
            f"{', '.join(KINDS)} in the description, found {rate!r}, {shape!r} and {kind!r}"
        )
    dtype = np.dtype(kind).newbyteorder("<")
    size = path.stat().st_size
    if dtype.kind == "f" and size > MOST_LOADED:
        raise FormatError(f"{path.name}: expected at most {MOST_LOADED} bytes of {kind}")
    count, rest = divmod(size, dtype.itemsize * channels)
    values = np.memmap(path, dtype, "r", 0, (count, channels)) if count else np.zeros((0, channels))
    found = to_int16(values, float(uv))
    notes = (f"{rest} bytes at the end are no whole row: cut off",) if rest else ()
    labels = info.get("labels") or [f"chan{number}" for number in range(1, channels + 1)]
    if not isinstance(labels, list) or len(labels) != channels:
        raise FormatError(f"{path.name}: expected {channels} labels, found {labels!r:.100}")
    return Recording(
        float(rate),  # type: ignore[arg-type]  # a number, see above
        found.uv_per_bit,
        tuple(map(str, labels)),
        placed(found.parts),
        notes=(*notes, *found.notes),
    )


def _description(path: Path) -> dict[str, Any]:
    """Return the JSON beside the samples."""
    for place in (path.with_suffix(".json"), path.with_name("info.json")):
        if place.is_file():
            try:
                info = json.loads(place.read_bytes())
            except ValueError as error:
                raise FormatError(f"{place.name}: expected JSON: {error}") from error
            if isinstance(info, dict):
                return info
            raise FormatError(f"{place.name}: expected a JSON object, found {type(info).__name__}")
    raise FormatError(
        f"{path.name}: expected info.json or {path.stem}.json beside it with sample_rate, dtype "
        "and shape, found neither"
    )


def _number(value: Any) -> bool:
    """Return whether a value is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
