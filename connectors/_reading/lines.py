"""Lines out of bytes that arrive in pieces, each of bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: Longest line, in bytes; of a longer one the start is kept, and it says so.
MAX_LINE: Final = 1 << 20
KEPT: Final = 64 * 1024
#: A line, and what is wrong with it, as `Record.problem` has it.
Line = tuple[bytes, str]


def too_long(size: int, most: int = MAX_LINE) -> str:
    """Return the problem of a line of more than `most` bytes."""
    return f"too_large: expected lines of at most {most} bytes, found one of {size}"


class Lines:
    r"""Cuts a stream of bytes into lines; memory is bounded by the longest line.

    >>> lines = Lines()
    >>> list(lines.feed(b"one\ntw"))
    [(b'one', '')]
    >>> list(lines.feed(b"o\n\nthree")), list(lines.rest())
    ([(b'two', '')], [(b'three', '')])
    """

    def __init__(self, most: int = MAX_LINE) -> None:
        self._most = most
        self._held = b""
        #: Of a line that is too long: its bytes before `_held`, and how it starts.
        self._over, self._start = 0, b""

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in `data`; blank ones are none."""
        *whole, self._held = (self._held + data).split(b"\n")
        for part in whole:
            yield from self._line(part)
        if self._over or len(self._held) > self._most:
            self._over += len(self._held)
            self._start, self._held = self._start or self._held[:KEPT], b""

    def rest(self) -> Iterator[Line]:
        """Yield the line that has no end."""
        yield from self.feed(b"\n")

    def _line(self, part: bytes) -> Iterator[Line]:
        size = self._over + len(part)
        if size > self._most:
            start = self._start or part[:KEPT]
            self._over, self._start = 0, b""
            yield start, too_long(size, self._most)
        elif part.strip():
            yield part.rstrip(b"\r"), ""
