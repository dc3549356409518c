"""Files and directories into which files are put: scanners' reports, exports, old logs.

A file is known by path, size and time of change: read once, and again as a whole when it
changes. For files that grow there is `connectors._reading.tailing`.
"""

from __future__ import annotations

import fnmatch
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from connectors._reading.base import (
    Check,
    DeniedError,
    Listed,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.paging import Pile
from sentinel import log, reading

LOG = log.get(__name__)
#: Files that a position can remember.
MOST_FILES: Final = 50_000


class FilesSettings(ReaderSettings):
    """Where the files are."""

    paths: list[Path] = Field(
        min_length=1, description="Files and directories (searched to the bottom)."
    )
    match: str = Field("*", description="Which names to read in directories, as a shell pattern.")
    settle_s: float = Field(
        2.0, ge=0, description="A file is read when it has not changed for so many seconds."
    )


class File(NamedTuple):
    """A file as it was when it was listed."""

    path: Path
    size: int
    mtime_ns: int

    @property
    def id(self) -> str:
        """Its name and version."""
        return f"{self.path}:{self.mtime_ns}:{self.size}"

    @property
    def digest(self) -> str:
        """Its id in the position; 96 bits."""
        name = self.id.encode(errors="surrogateescape")
        return blake2b(name, digest_size=9).hexdigest()


class FilesReader(Reader):
    """Files and directories, each file once; JSON, JSON lines, text, gzip.

    The position is what was read of the files that are still there, and how far the last one.
    Records carry ``path:changed:size#number``. A file that ends too early or is damaged gives
    the records before the fault and one with the fault, which becomes a dead letter.
    """

    Settings: ClassVar[type[ReaderSettings]] = FilesSettings
    settings: FilesSettings

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what is in files not read yet, oldest first.

        Raises
        ------
        DeniedError
            Some cannot be read for lack of rights; all others have been read.
        SourceError
            A path is missing, or there are too many files.
        """
        position = position or {}
        files = self._files()
        there = {file.digest for file in files}
        done = [digest for digest in position.get("done", ()) if digest in there]
        known, begun = set(done), position.get("open") or ["", 0]
        settled = time.time() - self.settings.settle_s
        pile, denied = Pile(), list[str]()
        for file in files:
            if file.digest in known or file.mtime_ns / 1e9 > settled:
                continue
            start = begun[1] if begun[0] == file.digest else 0
            try:
                for index, full in self._pages(file, start, pile):
                    if full:
                        yield pile.page({"done": [*done], "open": [file.digest, index]})
            except PermissionError as error:
                denied.append(f"{file.path}: {error.strerror}")
                continue
            except OSError as error:
                LOG.warning("gone before it was read", action="file_gone", error=str(error))
                pile.skip("vanished")
                continue
            done.append(file.digest)
            pile.done.append(file.id)
        if pile:
            yield pile.page({"done": [*done]})
        if denied:
            raise DeniedError(f"expected readable files, found {len(denied)} others: {denied[0]}")

    def _pages(self, file: File, start: int, pile: Pile) -> Iterator[tuple[int, bool]]:
        """Pile up records from number `start` on; yield the next number and if it is full."""
        index = -1
        problem = ""
        with file.path.open("rb") as stream:
            try:
                cut = self.connector.records(reading.unpacked(stream), file.mtime_ns // 1_000_000)
                for index, value in enumerate(cut):
                    if index >= start:
                        yield index + 1, pile.add(Record(value, f"{file.id}#{index}"))
            except (EOFError, zlib.error) as error:
                problem = str(error)
            except OSError as error:
                if error.errno is not None:  # of the file system; gzip's own have no number
                    raise
                problem = str(error)
        if problem:
            told = f"damaged: expected {file.path} to be whole, found: {problem}"
            if index + 1 >= start:
                pile.add(Record(b"", f"{file.id}#{index + 1}", problem=told))

    def _files(self) -> list[File]:
        """Return the files there are, oldest first."""
        found: dict[Path, File] = {}
        for path in self.settings.paths:
            if not path.exists():
                raise SourceError(f"expected a file or directory at {path}, found nothing")
            for each in sorted(path.rglob("*")) if path.is_dir() else (path,):
                named = each == path or fnmatch.fnmatch(each.name, self.settings.match)
                if named and (file := _file(each)) and self._wanted(file):
                    found[each] = file
        if len(found) > MOST_FILES:
            raise SourceError(
                f"expected at most {MOST_FILES} files, found {len(found)}: "
                "move away what has been read"
            )
        return sorted(found.values(), key=lambda file: (file.mtime_ns, str(file.path)))

    def _wanted(self, file: File) -> bool:
        since = self.settings.since
        return since is None or file.mtime_ns >= since.timestamp() * 1e9

    def check(self) -> Iterator[Check]:
        """Look at each path, and try to open the files there."""
        for path in self.settings.paths:
            what = f"files at {path}"
            try:
                files = (
                    [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else []
                )
                for each in (files or [path])[:100]:
                    if each.is_file():
                        each.open("rb").close()
            except OSError as error:
                yield Check(what, ok=False, detail=f"{error}: give this user the right to read it")
            else:
                ok = path.exists()
                yield Check(what, ok, f"{len(files) or 1} files" if ok else "there is nothing")

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the files that were changed in a span of time."""
        for file in self._files():
            changed = datetime.fromtimestamp(file.mtime_ns / 1e9, UTC)
            if since <= changed < until:
                yield Listed(file.id, changed)


def _file(path: Path) -> File | None:
    """Return a regular file, None where it is none or has just gone."""
    try:
        state = path.stat()
    except OSError:
        return None
    regular: Any = path.is_file()
    return File(path, state.st_size, state.st_mtime_ns) if regular else None
