"""Which events of a group an alert counts, and the ids of matches that are no events."""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Any, Final

import numpy as np

from detectors.correlation.held.groups import Firing
from detectors.correlation.held.windows import SHIFT, Entries
from schemas.joins import SEPARATOR

#: The 16 bytes of an event id, as two numbers.
ID: Final = Struct("<qq")


def derived_id(*names: Any) -> bytes:
    """Return the id of a match of a lower correlation."""
    text = SEPARATOR.join(map(str, names))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def marked(
    entries: Entries, width: int, firing: Firing, fold: int, start: int
) -> list[tuple[int, bytes]]:
    """Mark the events of a firing as part of the alert from `start`; return those that are new."""
    stamps = np.frombuffer(entries, np.int64)[firing.start * width : firing.end * width : width]
    own = (stamps >> SHIFT) >= start if fold < 1 << 61 else np.ones(len(stamps), np.bool_)
    marks = np.where(own, 1, 2)
    places = np.flatnonzero((stamps & marks) == 0)
    new = []
    for place in places.tolist():
        at = (firing.start + place) * width
        new.append((entries[at], ID.pack(entries[at + 1], entries[at + 2])))
    stamps[places] |= marks[places]
    del stamps  # or the array could not grow
    return new
