"""Many JSON objects as columns of codes, which mean the same from batch to batch.

Audit logs repeat themselves: of 5,000 CloudTrail records there are some 200 different
``userIdentity`` and as many ``userAgent``, and the next 5,000 have the same. So a batch is
scanned once (`schemas.columns.scan`), equal bytes of a key's values get equal codes
(`schemas.columns.coding`), and whatever follows from a value is worked out when the value is
first met.

Memory: what is met is kept until `VALUES` values, `ARENA` bytes or `PAIRS` pairs are; then all
is forgotten and begins anew. Keys whose values are mostly new (ids) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns.coding import COUNT, code_pairs, gather
from schemas.columns.keys import MARKS, SLOTS, WIDTH, place_keys
from schemas.columns.memory import PAD, address
from schemas.columns.records import Texts
from schemas.columns.scan import ASLEEP, FINE, FULL, GUESSES, UNUSUAL, scan_rows

VALUES, PAIRS = 1 << 16, 1 << 17
ARENA = 8 << 20
#: Bytes that are put end to end and scanned at a time: they shall stay in the cache.
CHUNK = 256 << 10
#: Objects after which a key is judged, and the share of new values from which it is left out.
JUDGED, MOSTLY_NEW = 4096, 0.4
#: Objects not scanned after which keys that were left out get another try.
REST = 1 << 17


class Keys:
    """Top-level keys as `scan_rows` looks for them.

    Parameters
    ----------
    awake
        Wanted keys that objects are known to have.
    asleep
        Wanted keys that none had so far.
    refused
        Keys that an object must not have to be accepted.
    """

    def __init__(self, awake: Sequence[str], asleep: Iterable[str], refused: Iterable[str]) -> None:
        self.names = [*awake, *asleep]
        self.awake = len(awake)
        encoded = [name.encode() for name in (*self.names, *refused)]
        if len(encoded) > SLOTS // 2:
            raise ValueError(f"expected at most {SLOTS // 2} keys, found {len(encoded)}")
        self.place = {name: place for place, name in enumerate(awake)}
        self.wanted = frozenset(self.names)
        self.sizes = np.array([len(name) for name in encoded], np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.bytes = np.frombuffer(b"".join(encoded) + PAD, np.uint8)
        self.slots = np.full(SLOTS, -1, np.int16)
        self.texts = np.zeros(WIDTH * MARKS + len(PAD), np.uint8)
        self.marks = np.zeros((MARKS, 3), np.int64)
        place_keys(address(self.bytes), self.starts, self.sizes, self.slots)


class Numbering:
    """Codes, and what is remembered of them; code 0 is that of an absent key.

    Attributes
    ----------
    values
        What each code of a value was decoded to; for whoever decodes to fill.
    memos
        What is remembered of values and pairs, by whoever remembers it.
    """

    def __init__(self) -> None:
        self.slots = np.zeros(2 * VALUES, np.int32)
        self.hashes = np.zeros(VALUES, np.uint64)
        self.kinds = np.zeros(VALUES, np.int64)
        self.starts = np.zeros(VALUES, np.int64)
        self.fill = np.zeros(2, np.int64)
        self.guesses = np.zeros(GUESSES, np.int32)
        self.arena = np.empty(ARENA + len(PAD), np.uint8)
        self.values: dict[int, Any] = {}
        self.memos: dict[Any, Any] = {}
        self.scratch = np.zeros(max(VALUES, PAIRS) + 1, np.int32)
        self._forget_pairs()

    def _forget_pairs(self) -> None:
        self._slots = np.zeros(2 * PAIRS, np.int32)
        self._pairs = np.zeros(PAIRS, np.int64)
        self._count = np.zeros(1, np.int64)
        #: As `memos`, for what is known by codes of pairs.
        self.pair_memos: dict[Any, Any] = {}

    def combined(self, columns: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
        """Return a code for each row that says what it has in all columns of codes.

        Where there is no room for more pairs, all of them are forgotten, so look up
        `pair_memos` after this.
        """
        for _ in range(2):
            found, offset = columns[0], 0
            for other in columns[1:]:
                out = np.empty(len(found), np.int32)
                if not code_pairs(found, other, offset, self._slots, self._pairs, self._count, out):
                    break
                found, offset = out, VALUES
            else:
                return found
            self._forget_pairs()
        raise ValueError(f"expected at most {PAIRS} different rows, found more in {len(found)}")


class Spans:
    """Where the values of the wanted keys of many objects lie, and their codes.

    Attributes
    ----------
    raws
        The objects.
    begins, lengths
        ``int32[keys, rows]``, bytes of each value in its object; length 0: the key is absent.
    codes
        ``int32[keys, rows]``, the code of each value in `numbering`, where keys are `coded`.
    place
        Where each key that any object has is in these.
    wanted
        These keys and those that no object has.
    kept
        The values of one key.
    """

    def __init__(
        self, raws: Sequence[bytes], keys: Keys, numbering: Numbering, coded: NDArray[np.bool_]
    ) -> None:
        self.raws = raws
        self.place = keys.place
        self.wanted = keys.wanted
        self.numbering = numbering
        self.coded = coded
        shape = (len(keys.place), len(raws))
        self.begins = np.zeros(shape, np.int32)
        self.lengths = np.zeros(shape, np.int32)
        self.codes = np.zeros(shape, np.int32)
        self.kept: Texts | None = None

    def text(self, place: int, row: int) -> bytes:
        """Return the JSON text of a value, empty where the key is absent."""
        begin = int(self.begins[place, row])
        return self.raws[row][begin : begin + int(self.lengths[place, row])]


class Lexicon:
    """Scans batches of objects; remembers the values of the wanted keys. Not thread-safe.

    Parameters
    ----------
    names
        The keys that are wanted. Those that no object has cost nothing.
    refused
        Keys that an object must not have to be accepted.
    kept
        Key whose values are wanted end to end, if any.
    """

    def __init__(self, names: Sequence[str], refused: Iterable[str] = (), kept: str = "") -> None:
        self._refused = tuple(refused)
        self._kept = kept
        self._keys = Keys((), names, self._refused)
        self._numbering = Numbering()
        self._rows, self._news = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._coded = np.zeros(0, np.bool_)
        self._rested = 0

    def pays(self, rows: int, needed: Iterable[str]) -> bool:
        """Say whether it pays to scan so many objects: no `needed` key has been left out."""
        places = [self._keys.place[key] for key in needed if key in self._keys.place]
        if self._coded[places].all():
            return True
        self._rested += rows
        if self._rested < REST:
            return False
        self._rested = 0
        self._coded = np.array([key != self._kept for key in self._keys.place], np.bool_)
        self._rows, self._news = np.zeros_like(self._rows), np.zeros_like(self._news)
        return True

    def scan(self, raws: Sequence[bytes]) -> Spans | None:
        """Scan objects; None where one of them is unusual, or no strict JSON object."""
        refilled = False
        while True:
            spans = Spans(raws, self._keys, self._numbering, self._coded)
            before = int(self._numbering.fill[COUNT])
            found = self._chunks(spans)
            if found == FINE:
                self._judge(before, len(raws))
                return spans
            if found >= ASLEEP:
                self._wake(self._keys.names[found - ASLEEP])
            elif found == FULL and not refilled:
                self._numbering, refilled = Numbering(), True
            else:
                return None

    def _wake(self, name: str) -> None:
        """Make room for the values of a key."""
        awake = [*self._keys.place, name]
        asleep = self._keys.names[len(awake) - 1 :]
        asleep.remove(name)
        self._keys = Keys(awake, asleep, self._refused)
        self._rows, self._news = np.append(self._rows, 0), np.append(self._news, 0)
        self._coded = np.append(self._coded, name != self._kept)

    def _chunks(self, spans: Spans) -> int:
        """Scan chunk by chunk; return what it ended with."""
        raws, first = spans.raws, 0
        ends = np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)))
        kept = []
        while first < len(raws):
            start = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, start + CHUNK)))
            joined = b"".join([*raws[first:last], PAD])
            base, here = address(np.frombuffer(joined, np.uint8)), ends[first:last] - start
            found = self._chunk(spans, joined, base, here, first)
            if found != FINE:
                return found
            if self._kept in spans.place:
                kept.append(self._keep(spans, base, here, first))
            first = last
        if kept:
            spans.kept = Texts.of(kept)
        return FINE

    def _keep(self, spans: Spans, base: np.uint64, ends: NDArray[np.int64], first: int) -> Texts:
        """Return the values of the key to keep."""
        rows = slice(first, first + len(ends))
        place = spans.place[self._kept]
        begins, lengths = spans.begins[place, rows], spans.lengths[place, rows]
        found = np.empty(int(lengths.sum()) + len(PAD), np.uint8)
        out = np.empty(len(ends), np.int64)
        total = gather(base, ends, begins, lengths, address(found), out)
        return Texts(found[:total], out)

    def _chunk(
        self, spans: Spans, joined: bytes, base: np.uint64, ends: NDArray[np.int64], first: int
    ) -> int:
        """Scan objects that lie end to end; return what it ended with."""
        if not joined.isascii():
            try:
                joined.decode()  # objects begin with ASCII: no character is of two of them
            except UnicodeDecodeError:
                return UNUSUAL
        keys, known = self._keys, spans.numbering
        found: int = scan_rows(
            base, ends, first, address(keys.bytes), keys.starts, keys.sizes, keys.slots,
            len(keys.names), address(keys.texts), keys.marks, spans.coded, spans.begins,
            spans.lengths, spans.codes, address(known.arena), ARENA, known.slots, known.hashes,
            known.kinds, known.starts, known.fill, known.guesses,
        )  # fmt: skip
        return found

    def _judge(self, before: int, rows: int) -> None:
        """Leave out keys whose values are mostly new."""
        after = int(self._numbering.fill[COUNT])
        kinds = self._numbering.kinds[before + 1 : after + 1]
        self._news += np.bincount(kinds >> 32, minlength=len(self._news))
        self._rows += rows
        due = self._rows >= JUDGED
        if due.any():
            self._coded = self._coded & ~(due & (self._news > MOSTLY_NEW * self._rows))
            self._rows[due] >>= 1
            self._news[due] >>= 1
