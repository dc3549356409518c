"""Log files by what they are, not by their names: the same one before and after rotation.

A file is the same if its inode, its first line and the bytes before the place we are at are.
After a rotation by renaming the inode is found under another name. Where the file was copied
and emptied (``copytruncate``), or compressed, the copy with the same bytes goes on in its place.
"""

from __future__ import annotations

import glob
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final, cast

#: Bytes of the first line, and of those before the place, that tell files apart.
FIRST: Final = 1024
LAST: Final = 256
CHUNK: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"


@dataclass(slots=True)
class Stream:
    """What is known of one file that is being read.

    Attributes
    ----------
    name
        Start of the ids of its records; as it was when it was first seen.
    base
        The path that it had then: what it is the rotation of.
    device, inode, size, mtime_ns
        As it was when it was looked at last.
    offset
        Bytes read of what is in it (unpacked).
    first, first_size
        Digest of the start of its first line, and how many bytes that covers.
    last
        Digest of the bytes before `offset`.
    skipping
        Within a line that is too long, whose start has been told.
    finished
        It cannot grow and was read to its end.
    """

    name: str
    base: str
    device: int
    inode: int
    size: int = 0
    mtime_ns: int = 0
    offset: int = 0
    first: str = ""
    first_size: int = 0
    last: str = ""
    skipping: bool = False
    finished: bool = False

    def json(self) -> dict[str, Any]:
        """Return what `Stream(**json)` takes."""
        return asdict(self)

    def begin(self, data: bytes) -> None:
        """Take note of the first line, which is in `data`, the first time."""
        if not self.first_size:
            start = (data.partition(b"\n")[0] + b"\n")[:FIRST]
            self.first, self.first_size = digest(start), len(start)
            self.name = f"{self.name}:{self.first}"

    def moved(self, data: bytes) -> None:
        """Go on past `data`, which follows what has been read."""
        self.offset += len(data)
        self.last = f"{digest(data[-LAST:])}:{len(data[-LAST:])}"

    def is_at(self, found: Found) -> None:
        """Take note of where and how the file is now."""
        self.device, self.inode = found.device, found.inode
        self.size, self.mtime_ns = found.size, found.mtime_ns


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it is now."""

    path: Path
    device: int
    inode: int
    size: int
    mtime_ns: int

    def same(self, stream: Stream) -> bool:
        """Return whether nothing happened to the file since it was looked at."""
        state = (self.device, self.inode, self.size, self.mtime_ns)
        return state == (stream.device, stream.inode, stream.size, stream.mtime_ns)


def digest(data: bytes) -> str:
    """Return 64 bits of a hash, as text."""
    return blake2b(data, digest_size=8).hexdigest()


def look(path: Path) -> Found | None:
    """Return a regular file as it is now; None where there is none."""
    with suppress(OSError):
        state = path.stat()
        if path.is_file():
            return Found(path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
    return None


def matching(patterns: Iterable[str]) -> dict[Path, Found]:
    """Return the files that the shell patterns match now."""
    paths = {Path(name) for pattern in patterns for name in glob.glob(pattern)}  # noqa: PTH207 - absolute patterns
    return {path: found for path in sorted(paths) if (found := look(path))}


def rotations(base: Path) -> Iterator[Found]:
    """Yield the files beside `base` that are called after it (``audit.log.1``, ``-2026.gz``)."""
    with suppress(OSError):
        for path in base.parent.iterdir():
            name = path.name.removeprefix(base.name)
            if name != path.name and name[:1] in (".", "-", "_") and (found := look(path)):
                yield found


def opened(path: Path) -> IO[bytes]:
    """Open a file to read what is in it; gzip, by its first bytes, is unpacked."""
    stream = path.open("rb")
    if stream.read(2) != _GZIP:
        stream.seek(0)
        return stream
    stream.close()
    return cast(IO[bytes], gzip.GzipFile(path))


def holds(found: Found, stream: Stream) -> bool:
    """Return whether a file has, up to the place we are at, the bytes of `stream`."""
    try:
        with opened(found.path) as file:
            if not begins(file, stream):
                return False
            wanted, _, size = stream.last.partition(":")
            file.seek(stream.offset - int(size))
            data = file.read(int(size))
            return len(data) == int(size) and digest(data) == wanted
    except (OSError, EOFError, zlib.error):
        return False


def begins(file: IO[bytes], stream: Stream) -> bool:
    """Return whether a file that was just opened begins with the first line of `stream`."""
    return bool(stream.first_size) and digest(file.read(stream.first_size)) == stream.first


def is_copy(found: Found, streams: Iterable[Stream]) -> bool:
    """Return whether a file begins as one of `streams`, or cannot be told from them yet."""
    try:
        with opened(found.path) as file:
            for stream in streams:
                file.seek(0)
                if begins(file, stream):
                    return True
    except (OSError, EOFError, zlib.error):
        return True
    return False


def locate(stream: Stream, free: Iterable[Found]) -> Found | None:
    """Return where the file of `stream` is among those that are `free`; None: gone."""
    for found in free:
        if (found.device, found.inode) == (stream.device, stream.inode) and (
            found.same(stream) or holds(found, stream)
        ):
            return found
    beside = (found for found in free if str(found.path).startswith(stream.base))
    return next((found for found in beside if holds(found, stream)), None)


def chunks(file: Any, stream: Stream, most: int) -> Iterator[bytes]:
    """Yield whole lines, many at a time; what has no end yet is not yielded.

    A chunk without a line break at its end is the start of a line of more than `most` bytes,
    or a part of it (`Stream.skipping`). Memory is bounded by `most` and `CHUNK`.
    """
    held = b""
    while data := file.read1(CHUNK):
        held += data
        if cut := held.rfind(b"\n") + 1:
            yield held[:cut]
            held = held[cut:]
        elif stream.skipping or len(held) > most:
            yield held
            held = b""
