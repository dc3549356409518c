"""Which events of a group an alert counts, and the ids of matches that are no events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from struct import Struct
from typing import Any, Final

import numpy as np

from detectors.correlation.held.coming import Firing
from detectors.correlation.held.kernels import mark
from detectors.correlation.held.windows import Entries
from schemas.joins import SEPARATOR

#: The 16 bytes of an event id, as two numbers.
ID: Final = Struct("<qq")


def derived_id(*names: Any) -> bytes:
    """Return the id of a match of a lower correlation."""
    text = SEPARATOR.join(map(str, names))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def marked(
    entries: Entries, width: int, firings: Iterable[Firing], since: int
) -> list[tuple[int, bytes]]:
    """Mark the events of firings as part of the alert from `since` on; return those that are new.

    Earlier events get another mark: they may count for the alert before as well.
    Windows, in the order of their times, are looked at once where they overlap.
    """
    view, new = np.frombuffer(entries, np.int64), list[tuple[int, bytes]]()
    for begin, end in _apart(firings):
        found = np.empty(end - begin, np.int64)
        used = mark(view, width, begin, end, since, found)
        for place in found[:used].tolist():
            at = place * width
            new.append((entries[at], ID.pack(entries[at + 1], entries[at + 2])))
    return new


def _apart(firings: Iterable[Firing]) -> Iterator[tuple[int, int]]:
    """Yield the places that windows cover, first and behind the last; none twice."""
    begin = end = 0
    for firing in firings:
        if firing.start > end:
            if end > begin:
                yield begin, end
            begin = firing.start
        end = max(end, firing.end)
    if end > begin:
        yield begin, end
