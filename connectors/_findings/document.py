"""A whole report under one address, whatever its size, without holding it in memory.

A file is mapped into memory: its pages are the kernel's, given back when memory is short.
What is no plain file (a pipe, gzip, an object in a store) is written to a temporary file
first. Small reports are simply read.
"""

from __future__ import annotations

import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import UnsupportedOperation
from typing import IO, Final

from connectors._findings.report import Document

SMALL: Final = 4 << 20
"""Bytes up to which a report is read."""
_CHUNK: Final = 1 << 20


@contextmanager
def whole(stream: IO[bytes]) -> Iterator[Document]:
    """Give what is left of a stream as one piece of memory.

    Raises
    ------
    OSError, EOFError, zlib.error
        As reading the stream does; or the temporary folder is full.
    """
    start = stream.read(SMALL)
    if len(start) < SMALL:
        yield start
        return
    plain = _plain(stream)
    # A map is not closed but let go of: slices of it may live on, in a traceback for one.
    if plain is not None:
        yield mmap.mmap(plain, 0, access=mmap.ACCESS_READ)
        return
    with tempfile.TemporaryFile() as copy:
        copy.write(start)
        shutil.copyfileobj(stream, copy, _CHUNK)
        copy.flush()
        yield mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)


def _plain(stream: IO[bytes]) -> int | None:
    """Return the descriptor of a plain file that was read from its beginning, else None."""
    if type(stream).__module__ != "_io":  # gzip has the descriptor of what is packed
        return None
    try:
        number = stream.fileno()
        whole_file = stat.S_ISREG(os.fstat(number).st_mode)
        return number if whole_file and stream.tell() == SMALL else None
    except (OSError, UnsupportedOperation):
        return None
