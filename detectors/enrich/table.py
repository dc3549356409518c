"""A million indicators in some 50 MB, looked up in batches.

Values are not kept: a 64-bit hash of each is, sorted, with a bitmap in front that turns away
nearly all that is not there. Python's own hash is keyed anew in each process (SipHash), so
nobody can make values collide on purpose; by chance one look-up in 10^13 does, among a
million. Feed, name and labels are kept once for all indicators that share them.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.enrich.indicators import DOMAIN, IP, KINDS, URL, Indicator, score, url
from detectors.enrich.networks import NONE, Networks

BITS: Final = 16
"""Bits of the bitmap for each value: one look-up in 16 of what is not there gets past it."""
MATCHES: Final = 16
"""Matches reported of one value, the best first."""


class Match(NamedTuple):
    """An indicator that a value matched.

    Attributes
    ----------
    kind, feed, name, labels, confidence, seen, until
        As in `detectors.enrich.indicators.Indicator`.
    score
        What is left of the confidence today, 0 to 100.
    """

    kind: str
    feed: str
    name: str
    labels: tuple[str, ...]
    confidence: int
    seen: int
    until: int
    score: float


class Hashes:
    """Which rows have a hash."""

    def __init__(self, hashes: NDArray[np.int64], rows: NDArray[np.int32]) -> None:
        order = np.argsort(hashes, kind="stable")
        self._keys, self._rows = hashes[order], rows[order]
        size = 1 << max(10, (len(hashes) * BITS - 1).bit_length()) if len(hashes) else 1024
        self._mask = np.int64(size - 1)
        self._bits = np.zeros(size // 8, np.uint8)
        at = hashes & self._mask
        np.bitwise_or.at(self._bits, at >> 3, np.left_shift(1, at & 7).astype(np.uint8))

    def find(self, hashes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Yield number of the look-up and row, for each that is there."""
        at = hashes & self._mask
        maybe = np.flatnonzero(self._bits[at >> 3] >> (at & 7).astype(np.uint8) & 1)
        if not len(maybe):
            return
        asked = hashes[maybe]
        first = np.searchsorted(self._keys, asked, side="left")
        last = np.searchsorted(self._keys, asked, side="right")
        for place in np.flatnonzero(last > first).tolist():
            for row in self._rows[first[place] : last[place]].tolist():
                yield int(maybe[place]), row

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._keys.nbytes + self._rows.nbytes + self._bits.nbytes


class IndicatorTable:
    """Indicators of all feeds; immutable.

    Parameters
    ----------
    indicators
        Read once and not kept. Equal values of several feeds are all there.

    Attributes
    ----------
    count
        How many there are, by kind.
    refused
        Values that are none of their kind.
    """

    def __init__(self, indicators: Iterable[Indicator] = ()) -> None:
        self._confidence = array("B")
        self._seen, self._until, self._about = array("I"), array("I"), array("I")
        self._kind = array("B")
        hashes: dict[str, array[int]] = {kind: array("q") for kind in KINDS}
        rows: dict[str, array[int]] = {kind: array("i") for kind in KINDS}
        networks: list[str] = []
        stems = array("q")
        about: dict[tuple[str, str, tuple[str, ...]], int] = {}
        for row, each in enumerate(indicators):
            if each.kind == IP:
                networks.append(each.value)
            else:
                if each.kind == DOMAIN:
                    stems.append(hash(stem(each.value)))
                hashes[each.kind].append(hash(each.value))
            rows[each.kind].append(row)
            self._kind.append(KINDS.index(each.kind))
            self._confidence.append(min(max(int(each.confidence), 0), 100))
            self._seen.append(_seconds(each.seen))
            self._until.append(_seconds(each.until))
            key = each.feed, each.name, each.labels
            self._about.append(about.setdefault(key, len(about)))
        self._abouts = list(about)
        self._hashes = {
            kind: Hashes(np.array(hashes[kind], np.int64), np.array(rows[kind], np.int32))
            for kind in KINDS
            if kind != IP
        }
        distinct = np.unique(np.array(stems, np.int64))
        self._stems = Hashes(distinct, np.zeros(len(distinct), np.int32))
        self._networks = Networks(networks)
        self._at_place = _by_place(self._networks, np.array(rows[IP], np.int32))
        self.refused = self._networks.refused
        self.count = {kind: len(rows[kind]) for kind in KINDS}

    def find(
        self, kind: str, values: Sequence[str], now_s: float | None = None
    ) -> dict[int, list[Match]]:
        """Return the matches of each of `values` that has some, by its number, best first.

        Parameters
        ----------
        kind
            One of `KINDS`.
        values
            Distinct, spelled as `detectors.enrich.indicators.spelled` does.
        now_s
            Seconds since the epoch, for validity and decay; None: now.
        """
        now = time.time() if now_s is None else now_s
        found: dict[int, list[Match]] = {}
        for number, row in self._pairs(kind, values):
            match = self._match(row, now)
            if match is not None:
                found.setdefault(number, []).append(match)
        for matches in found.values():
            matches.sort(key=lambda match: (-match.score, match.feed, match.name))
            del matches[MATCHES:]
        return found

    def _pairs(self, kind: str, values: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield number of the value and row of the indicator."""
        if kind == IP:
            places = self._networks.find(values)
            for number in np.flatnonzero(places != NONE).tolist():
                place = int(places[number])
                while place != NONE:
                    for row in self._at_place[place]:
                        yield number, row
                    place = int(self._networks.around[place])
            return
        owners, names = self._spread(kind, values)
        hashes = np.fromiter(map(hash, names), np.int64, len(names))
        for at, row in self._hashes[kind].find(hashes):
            yield (at if owners is None else owners[at]), row

    def _spread(self, kind: str, values: Sequence[str]) -> tuple[list[int] | None, Sequence[str]]:
        """Return what is looked up for each value: names above a name, a URL without query."""
        if kind == URL:
            bare = [(number, value) for number, value in enumerate(values) if "?" in value]
            owners = [*range(len(values)), *(number for number, _ in bare)]
            return owners, [*values, *(url(value.partition("?")[0]) for _, value in bare)]
        if kind != DOMAIN:
            return None, values
        # Most names end in two labels that no indicator ends in: one look-up instead of all.
        stems = np.fromiter((hash(stem(value)) for value in values), np.int64, len(values))
        spread = [
            (number, name)
            for number, _ in self._stems.find(stems)
            for name in above(values[number])
        ]
        return [number for number, _ in spread], [name for _, name in spread]

    def _match(self, row: int, now: float) -> Match | None:
        """Return the match of an indicator; None where it has expired or is worth nothing."""
        until, seen = self._until[row], self._seen[row]
        if until and until <= now:
            return None
        kind, confidence = KINDS[self._kind[row]], self._confidence[row]
        left = score(kind, confidence, now - seen if seen else 0)
        if left <= 0:
            return None
        feed, name, labels = self._abouts[self._about[row]]
        return Match(kind, feed, name, labels, confidence, seen, until, left)

    @property
    def size(self) -> int:
        """Bytes in use by arrays; the texts of feeds and names come on top."""
        columns = (self._confidence, self._seen, self._until, self._about, self._kind)
        own = sum(column.itemsize * len(column) for column in columns) + self._stems.size
        return own + self._networks.size + sum(each.size for each in self._hashes.values())


def stem(name: str) -> str:
    """Return the last two labels of a name.

    >>> stem("a.b.example.com"), stem("com")
    ('example.com', 'com')
    """
    return name[name.rfind(".", 0, max(name.rfind("."), 0)) + 1 :]


def above(name: str) -> list[str]:
    """Return a name and those above it, but for the last label alone.

    >>> above("a.b.example.com")
    ['a.b.example.com', 'b.example.com', 'example.com']
    """
    found = [name]
    start = name.find(".") + 1
    while start and (rest := name.find(".", start)) != -1:
        found.append(name[start:])
        start = rest + 1
    return found


def _by_place(networks: Networks, rows: NDArray[np.int32]) -> _Places:
    return _Places(networks.places, rows, len(networks.around))


class _Places:
    """Rows by place: most places have one, so no list is kept for each."""

    def __init__(self, places: NDArray[np.int32], rows: NDArray[np.int32], count: int) -> None:
        good = places != NONE
        order = np.argsort(places[good], kind="stable")
        self._rows = rows[good][order]
        self._first = np.searchsorted(places[good][order], np.arange(count + 1)).astype(np.int32)

    def __getitem__(self, place: int) -> list[int]:
        found: list[int] = self._rows[self._first[place] : self._first[place + 1]].tolist()
        return found


def _seconds(value: int) -> int:
    return min(max(int(value), 0), 2**32 - 1)
