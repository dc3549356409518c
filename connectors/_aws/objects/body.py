"""What is in an object, unpacked piece by piece in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

PIECE: Final = 1 << 20
"""Most bytes of a piece: a gzip file of a megabyte may unpack to a gigabyte."""
_GZIP: Final = b"\x1f\x8b"


class Body:
    """The bytes of an object, unpacked where they are gzip, whatever its name says.

    Several gzip members after one another are one stream, as Firehose writes them.

    Parameters
    ----------
    chunks
        The bytes as they come.

    Attributes
    ----------
    fault
        Once all was taken: why it ended before its end (``truncated``, ``corrupt``); else
        empty.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.fault = ""

    def __iter__(self) -> Iterator[bytes]:
        """Yield pieces of at most `PIECE` bytes."""
        first = b""
        for chunk in self._chunks:
            first += chunk
            if len(first) >= len(_GZIP):
                break
        if first.startswith(_GZIP):
            yield from self._unpacked(first)
            return
        yield from _parts(first)
        for chunk in self._chunks:
            yield from _parts(chunk)

    def _unpacked(self, first: bytes) -> Iterator[bytes]:
        unpack, packed = zlib.decompressobj(wbits=31), first
        try:
            while True:
                while packed:
                    piece = unpack.decompress(packed, PIECE)
                    if piece:
                        yield piece
                    packed = unpack.unconsumed_tail
                    if unpack.eof:
                        packed = unpack.unused_data.lstrip(b"\0")
                        if packed and not _GZIP.startswith(packed[:2]):
                            self.fault = "corrupt"
                            return
                        unpack = zlib.decompressobj(wbits=31) if packed else unpack
                following = next(self._chunks, None)
                if following is None:
                    break
                packed = following
                if unpack.eof:
                    packed = packed.lstrip(b"\0")
                    unpack = zlib.decompressobj(wbits=31) if packed else unpack
        except zlib.error:
            self.fault = "corrupt"
            return
        if not unpack.eof:
            self.fault = "truncated"


def _parts(chunk: bytes) -> Iterator[bytes]:
    for at in range(0, len(chunk), PIECE):
        yield chunk[at : at + PIECE]
