"""Samples of any type as int16 with a scale, which is what the stream and the engine take."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Steps that a value may have at most.
MOST: Final = 32_767


class Scaled(NamedTuple):
    """Samples that fit.

    Attributes
    ----------
    parts
        Row at which each part begins, and int16[time, channel]: rows with a value that is no
        number are left out, which parts them.
    uv_per_bit
        float64[channel], µV.
    notes
        What was lost, for people.
    """

    parts: list[tuple[int, NDArray[np.int16]]]
    uv_per_bit: NDArray[np.float64]
    notes: tuple[str, ...]


def to_int16(values: NDArray[Any], uv: float | NDArray[Any] = 1.0) -> Scaled:
    """Return samples as int16: exactly where they are whole numbers that fit, else rounded.

    Rounding is to 1/32,767 of a channel's largest absolute value, so the error is at most
    half of that.

    Parameters
    ----------
    values
        int or float[time, channel].
    uv
        µV of 1, one number or one a channel.

    Raises
    ------
    ValueError
        The values are no real numbers.

    Examples
    --------
    >>> found = to_int16(np.array([[0.5], [-2.0]]))
    >>> found.parts[0][1].ravel().tolist(), (found.parts[0][1] * found.uv_per_bit).min().round(3)
    ([8192, -32767], np.float64(-2.0))
    """
    channels = values.shape[1]
    scale = np.broadcast_to(np.asarray(uv, np.float64), channels).copy()
    if values.dtype.kind not in "iuf" and values.dtype != bool:
        raise ValueError(f"expected real numbers, found {values.dtype}")
    if values.dtype == np.int16:
        return Scaled([(0, values)], scale, ())
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    usable = np.isfinite(values)
    dead = ~usable.any(axis=0) if len(values) else np.zeros(channels, bool)
    largest = np.max(np.abs(values), axis=0, initial=0.0, where=usable).astype(np.float64)
    whole = ((values == np.round(values)) | ~usable).all(axis=0) & (largest <= MOST)
    step = np.where(whole | (largest == 0), 1.0, largest / MOST)
    step[step == 0] = 1.0  # a denormal that underflows: nothing to see
    good = usable[:, ~dead].all(axis=1)
    notes = [f"channel {number}: no number in it, read as 0" for number in np.flatnonzero(dead)]
    if lost := int(np.count_nonzero(~good)):
        notes.append(f"{lost} rows hold values that are no number and are left out: gaps")
    parts = []
    for first, last in _runs(good):
        rows = np.where(usable[first:last], values[first:last], 0)
        parts.append((first, np.round(rows / step).astype(np.int16)))
    return Scaled(parts, scale * step, tuple(notes))


def _runs(good: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and one past the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], good, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
