"""Cut JSON that arrives in pieces into records, in bounded memory, their bytes untouched.

A streaming parser (ijson) would hand out values, and writing them anew changes numbers,
spaces and the order of what is left; so only the brackets are looked at, outside of texts.
What is between them is for the connector to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

MAX_RECORD: Final = 8 << 20
"""Largest record, bytes; none of AWS's is larger than 256 KiB."""
_OVERSIZE: Final = 2 << 20  # a value of this size is no event but an envelope of them

#: Everything up to the next bracket: texts, and what is between them. Possessive, so that
#: nothing is remembered for going back. Stops before a text that is not there to its end.
_RUN: Final = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_OPENS: Final = b"{["
#: Envelopes that are known by how they begin; others by their size.
_LISTS: Final = re.compile(
    rb'\{\s*"(?:Records|records|Findings|findings|Items|items|Events|events|value)"\s*:\s*\['
)
_TELLING: Final = 64  # bytes in which an envelope has begun


class JsonCut:
    """Finds the records in ``[…]``, in ``{"Records": […]}``, or in objects one after another.

    Attributes
    ----------
    too_large
        How many records were larger than `MAX_RECORD` and left out.
    """

    def __init__(self) -> None:
        self.too_large = 0
        self._text = b""
        self._at = 0  # up to where brackets were counted
        self._depth = 0
        self._level: int | None = None  # depth at which records begin
        self._start = -1  # where the record begins that is not complete
        self._losing = False

    def feed(self, piece: bytes, *, final: bool = False) -> Iterator[bytes]:
        """Yield the records that are complete with `piece`; `final`: nothing follows it."""
        self._text = self._text[self._kept() :] + piece
        if self._level is None:
            head = self._text.lstrip()
            if len(head) < _TELLING and b"}" not in head and not final:
                return
            self._level = 1 if head[:1] == b"[" else 2 if _LISTS.match(head) else 0
        yield from self._records()
        if self._start >= 0 and len(self._text) - self._start > _OVERSIZE:
            yield from self._large()

    def all(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the records of a whole body."""
        for piece in pieces:
            yield from self.feed(piece)
        yield from self.feed(b"", final=True)

    @property
    def listed(self) -> bool:
        """Whether records come out of a list; else they may themselves be envelopes."""
        return bool(self._level)

    def rest(self) -> bytes:
        """Return what of an incomplete record there is."""
        if self._start >= 0:
            return self._text[self._start :]
        return self._text[self._at :].strip() if self._depth or self._level is None else b""

    def _kept(self) -> int:
        """Return from where on the text is still needed; shift the places in it."""
        keep = self._at if self._start < 0 else self._start
        self._at -= keep
        self._start = min(self._start, 0)
        return keep

    def _records(self) -> Iterator[bytes]:
        text, run = self._text, _RUN.match
        while True:
            found = run(text, self._at)
            at = found.end() if found else self._at
            if at >= len(text) or text[at] == 0x22:
                self._at = at
                return
            self._at = at + 1
            if text[at] in _OPENS:
                if self._depth == self._level and text[at] == 0x7B and self._start < 0:
                    self._start = at
                self._depth += 1
                continue
            self._depth = max(0, self._depth - 1)
            if self._start >= 0 and self._depth == self._level:
                record, self._start = text[self._start : at + 1], -1
                if self._losing:
                    self._losing, self.too_large = False, self.too_large + 1
                else:
                    yield record

    def _large(self) -> Iterator[bytes]:
        """Look into a value that is too large for an event; give up one that has no lists."""
        if self._level == 0:
            self._level, self._at, self._depth = 2, self._start, 0
            self._start = -1
            yield from self._records()
        elif len(self._text) - self._start > MAX_RECORD:
            self._losing = True
            self._text = self._text[: self._start + 1] + self._text[self._at :]
            self._at = self._start + 1
