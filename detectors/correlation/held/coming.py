"""What comes into the groups of a correlation, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.joins import SEPARATOR

#: Before any event.
NOTHING: Final = -(1 << 48)

#: Tenant and source.
Whose = tuple[str, str]


class Runs(NamedTuple):
    """Events on their way into the groups of one correlation, those of a group side by side.

    Attributes
    ----------
    keys
        Of the groups.
    begins, ends
        Of each group, where its events begin and end in what follows.
    lows, highs
        Of each group, the first and the last stamp.
    rising
        Of each group, whether each event is newer than the one before.
    rows
        int64[events, width]: stamp, halves of the id, and the value where it matters.
    content
        The bytes of `rows`.
    marks
        Of each event, the watermark that it brings.
    code
        Of each event, its place in `whose`.
    whose
        Whose events are; none for the matches of lower correlations.
    """

    keys: list[str]
    begins: list[int]
    ends: list[int]
    lows: list[int]
    highs: list[int]
    rising: list[bool]
    rows: NDArray[np.int64]
    content: bytes
    marks: NDArray[np.int64]
    code: NDArray[np.int64]
    whose: Sequence[Whose | None]


class Firing(NamedTuple):
    """The condition holds at `time` for the events at places `start` to `end` of the group.

    `window` is when that began; `value` what the condition compared.
    """

    time: int
    start: int
    end: int
    window: int
    value: float


class Slice(msgspec.Struct, array_like=True):
    """Older events, of which only their number is known, or about how many values they had."""

    newest: int
    count: int
    registers: bytes
    marked: int = 0


def tenant_of(key: str) -> str:
    """Return the tenant of a group."""
    return key.partition(SEPARATOR)[0]
