"""Log files that grow and are rotated, read to the byte.

Works with every way of rotation: renamed, copied and emptied (``copytruncate``), compressed,
several times while nobody was looking. Which file is which is told by
`connectors._reading.tailing.identity`; a line is read once it has ended.
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field

from connectors._reading.base import (
    Check,
    DeniedError,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.lines import KEPT, MAX_LINE, too_long
from connectors._reading.paging import Pile
from connectors._reading.tailing import identity
from connectors._reading.tailing.identity import Found, Stream
from connectors.base import Connector
from sentinel import log

LOG = log.get(__name__)
#: Files that a position can remember.
MOST_FILES: Final = 2000
#: Seconds after which a file that was rotated away is not written to any more.
SETTLE_S: Final = 10.0


class TailSettings(ReaderSettings):
    """Which files, and when a line without an end is one."""

    paths: list[str] = Field(
        min_length=1, description="Files, or shell patterns (/var/log/audit/audit.log)."
    )
    rotated: bool = Field(
        False, description="The first time, read the rotated files that are there as well."
    )
    partial_s: float = Field(
        60.0, gt=0, description="Seconds without a change after which a last line counts as ended."
    )
    poll_s: float = Field(1.0, gt=0, description="Seconds between two looks for new lines.")


class TailReader(Reader):
    """Files that grow (tail -F), through rotation, renaming, emptying and compression.

    The position holds, for each file, how far it was read and what tells it from others.
    Records are lines; they carry ``path:inode:first line's digest#offset``. A rotated file is
    read to its end before it is let go. What is gone before it was read is counted as
    ``lost`` and said in the log.
    """

    Settings: ClassVar[type[ReaderSettings]] = TailSettings
    settings: TailSettings

    def __init__(self, settings: TailSettings, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._streams: list[Stream] = []
        #: By base: when the newest of the rotations that are left out was changed.
        self._floors: dict[str, int] = {}

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield the lines that were written since.

        Raises
        ------
        DeniedError
            A file may not be read; all others have been.
        SourceError
            There are more than `MOST_FILES` files.
        """
        fresh, position = position is None, position or {}
        self._streams = [Stream(**each) for each in position.get("files", ())]
        self._floors = dict(position.get("floors", {}))
        pile, denied = Pile(), list[str]()
        places = self._places(pile)
        if fresh:
            # What was there when it began is known before the first record is sent: killed and
            # rotated in between, the rest of the file is found as one that rotated away since.
            yield Page((), self._position())
        for found, stream, active in places:
            try:
                yield from self._lines(found, stream, pile, active)
            except PermissionError as error:
                denied.append(f"{found.path}: {error.strerror}")
            except FileNotFoundError:
                continue  # moved a moment ago: found again the next time
        if pile or position != self._position():
            yield pile.page(self._position(), 0.0)
        if denied:
            raise DeniedError(f"expected readable files, found {denied[0]}: grant the right to it")

    def _position(self) -> Position:
        files = [stream.json() for stream in self._streams if stream.first_size]
        return {"files": files, "floors": dict(self._floors)}

    def _places(self, pile: Pile) -> list[tuple[Found, Stream, bool]]:
        """Return where each file is, and whether it may grow; what rotated away comes first."""
        active = identity.matching(self.settings.paths)
        bases = {*map(str, active), *(stream.base for stream in self._streams)}
        free = {**self._rotations(bases, active), **active}
        if len(free) > MOST_FILES:
            raise SourceError(f"expected at most {MOST_FILES} files, found {len(free)}")
        places: list[tuple[Found, Stream, bool]] = []
        for stream in list(self._streams):
            found = identity.locate(stream, free.values())
            if found is None:
                self._lose(stream, pile)
            else:
                del free[found.path]
                places.append((found, stream, found.path in active))
        for path, found in free.items():
            base = str(path) if path in active else _base(path, bases)
            if path in active or self._is_new(found, base):
                stream = Stream(f"{base}:{found.inode}", base, found.device, found.inode)
                self._streams.append(stream)
                places.append((found, stream, path in active))
        return sorted(places, key=lambda place: (place[2], place[0].mtime_ns))

    def _rotations(self, bases: set[str], active: dict[Path, Found]) -> dict[Path, Found]:
        """Return the rotated files; those there at the first look are left out unless wanted."""
        others: dict[Path, Found] = {}
        for base in sorted(bases):
            beside = {each.path: each for each in identity.rotations(Path(base))}
            for path in active:
                beside.pop(path, None)
            if base not in self._floors:
                newest = max((each.mtime_ns for each in beside.values()), default=0)
                self._floors[base] = 0 if self.settings.rotated else newest
            others |= beside
        return others

    def _is_new(self, found: Found, base: str) -> bool:
        """Return whether a rotated file was written and rotated while no one looked."""
        settled = found.mtime_ns / 1e9 < time.time() - SETTLE_S
        if not settled or found.mtime_ns <= self._floors[base]:
            return False
        return not identity.is_copy(found, [s for s in self._streams if s.base == base])

    def _lose(self, stream: Stream, pile: Pile) -> None:
        """Forget a file that is gone."""
        self._streams.remove(stream)
        if not stream.finished and stream.offset < stream.size:
            pile.skip("lost")
            LOG.warning(
                "a file is gone or was emptied, and there is no copy of it",
                action="file_lost",
                path=stream.base,
                read=stream.offset,
                size=stream.size,
            )

    def _lines(self, found: Found, stream: Stream, pile: Pile, active: bool) -> Iterator[Page]:
        """Read a file from where we are, as far as lines have ended."""
        if found.same(stream) and stream.finished:
            return
        stream.finished = False
        problem = ""
        with identity.opened(found.path) as file:
            packed = isinstance(file, gzip.GzipFile)
            try:
                file.seek(stream.offset)
                for data in identity.chunks(file, stream, MAX_LINE):
                    self._take(stream, data, pile)
                    if pile.is_full:
                        yield pile.page(self._position())
                quiet = time.time() - found.mtime_ns / 1e9
                ended = packed or quiet > (self.settings.partial_s if active else SETTLE_S)
                if ended:
                    file.seek(stream.offset)
                    if rest := file.read(MAX_LINE):
                        self._take(stream, rest, pile)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                problem = str(error)
                ended = time.time() - found.mtime_ns / 1e9 > self.settings.partial_s
        if problem and ended:
            told = f"damaged: expected {found.path} to be whole, found: {problem}"
            pile.add(Record(b"", f"{stream.name}#{stream.offset}", problem=told))
        stream.is_at(found)
        stream.finished = ended and (packed or not active)

    @staticmethod
    def _take(stream: Stream, data: bytes, pile: Pile) -> None:
        """Pile up the lines of a chunk and go on past it; see `identity.chunks`."""
        stream.begin(data)
        offset, place = stream.offset, 0
        while place < len(data):
            end = data.find(b"\n", place) + 1 or len(data)
            line = data[place:end]
            long = len(line) > MAX_LINE
            if long and not stream.skipping:
                problem = too_long(len(line))
                pile.add(Record(line[:KEPT], f"{stream.name}#{offset + place}", problem=problem))
            elif not stream.skipping and (text := line.rstrip(b"\r\n")).strip():
                pile.add(Record(text, f"{stream.name}#{offset + place}"))
            stream.skipping = (long or stream.skipping) and not line.endswith(b"\n")
            place = end
        stream.moved(data)

    def check(self) -> Iterator[Check]:
        """Try to open each file."""
        for pattern in self.settings.paths:
            files = identity.matching([pattern])
            if not files:
                yield Check(pattern, ok=False, detail="there is no such file: is the path right?")
            for path in list(files)[:20]:
                try:
                    path.open("rb").close()
                except OSError as error:
                    yield Check(str(path), ok=False, detail=f"{error}: grant the right to read it")
                else:
                    yield Check(str(path), ok=True)


def _base(path: Path, bases: set[str]) -> str:
    """Return what a file is the rotation of: the longest name that its own begins with."""
    return max((base for base in bases if str(path).startswith(base)), key=len)
