"""Raw records out of whatever people have: files, directories, standard input, gzip.

A file is one of: JSON lines; a JSON array; a ``{"Records": […]}`` envelope, alone or
one a line; JSON objects over several lines; or plain lines of text (``audit.log``).
Which it is shows in its first line. Line-based files take constant memory, the others
are read whole. A record's bytes are yielded exactly as they stand in the file.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, NamedTuple, cast

import msgspec

STDIN = "-"

#: What a log file in a directory is called: ``a.json``, ``audit.log.3``, ``b.jsonl.gz``.
_LOG_NAME = re.compile(r".*\.(json|jsonl|ndjson|log|sarif)(\.\d+)?(\.gz)?\Z", re.IGNORECASE)

#: Folders of an S3 delivery tree that hold checksums of log files, not logs.
_NOT_LOGS = frozenset({"CloudTrail-Digest"})

#: White space between two JSON values.
_SPACE = re.compile(r"[ \t\r\n]*")

_GZIP_MAGIC = b"\x1f\x8b"


class RawRecord(NamedTuple):
    """One record and where it was found: ``path:index``, counted from 0 in its file."""

    place: str
    data: bytes


class _Envelope(msgspec.Struct):
    Records: list[msgspec.Raw]


_value = msgspec.json.Decoder(msgspec.Raw)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_envelope = msgspec.json.Decoder(_Envelope)


class Reader:
    """Iterates over the raw records of `paths`, file by file in order of their names.

    In a directory, files whose names are not those of logs are left out and listed in
    `skipped`; a file named itself is always read. A file that cannot be read to its end
    is listed in `unreadable`; the records before the fault have been yielded.

    Parameters
    ----------
    paths
        Files, directories (searched recursively), or ``-`` for standard input.
    stdin
        What ``-`` stands for.
    cut
        Cuts a stream into records, given when it was written in milliseconds since the
        epoch; `records` where nothing is given.
    """

    def __init__(
        self,
        paths: Iterable[Path | str],
        stdin: IO[bytes] | None = None,
        cut: Callable[[IO[bytes], int | None], Iterator[bytes]] | None = None,
    ) -> None:
        self.paths = [str(path) for path in paths]
        self.stdin = stdin
        self._cut = cut or (lambda stream, _: records(stream))
        #: Files in directories that do not look like logs.
        self.skipped: list[str] = []
        #: (file, reason) of what could not be read to its end.
        self.unreadable: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[RawRecord]:
        """Yield every record; see the class for what is left out."""
        for path in self.paths:
            if path == STDIN:
                yield from self._read(STDIN, self.stdin or sys.stdin.buffer, None)
                continue
            for file in self._files(Path(path)):
                try:
                    stream = file.open("rb")
                except OSError as error:
                    self.unreadable.append((str(file), error.strerror or str(error)))
                    continue
                with stream:
                    written = os.fstat(stream.fileno()).st_mtime_ns // 1_000_000
                    yield from self._read(str(file), stream, written)

    def _files(self, path: Path) -> Iterator[Path]:
        if not path.is_dir():
            yield path
            return
        for file in sorted(path.rglob("*")):
            if not file.is_file():
                continue
            if _LOG_NAME.match(file.name) and _NOT_LOGS.isdisjoint(file.parts):
                yield file
            else:
                self.skipped.append(str(file))

    def _read(self, name: str, stream: IO[bytes], written: int | None) -> Iterator[RawRecord]:
        try:
            for index, data in enumerate(self._cut(unpacked(stream), written)):
                yield RawRecord(f"{name}:{index}", data)
        except (OSError, EOFError, zlib.error) as error:
            self.unreadable.append((name, str(error)))


def unpacked(stream: IO[bytes]) -> IO[bytes]:
    """Return a binary stream, unpacked where it is gzip, whatever its name says."""
    buffered = (
        stream if isinstance(stream, BufferedReader) else BufferedReader(cast(RawIOBase, stream))
    )
    packed = buffered.peek(2)[:2] == _GZIP_MAGIC
    return cast(IO[bytes], gzip.open(buffered)) if packed else buffered


def records(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the raw records of one unpacked stream; see the module for the formats.

    What looks like JSON but is not is yielded as it stands, line by line or whole:
    whoever decodes it says what is wrong with it.
    """
    first = b""
    while not first.strip():
        line = stream.readline()
        if not line:
            return
        first = line
    if first.lstrip()[:1] == b"[":
        yield from _elements(first + stream.read())
    elif first.lstrip()[:1] == b"{" and not _is_json(first):
        yield from _document(first + stream.read())
    else:
        yield from _line(first)
        for line in stream:
            yield from _line(line)


def _is_json(line: bytes) -> bool:
    try:
        _value.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _elements(data: bytes) -> Iterator[bytes]:
    """Yield the elements of a JSON array; lines of arrays are taken line by line."""
    try:
        for element in _array.decode(data):
            yield bytes(element)
    except (msgspec.DecodeError, RecursionError):
        yield data


def _document(data: bytes) -> Iterator[bytes]:
    """Yield what is in JSON objects that span lines; else the lines as they are."""
    found: list[bytes] = []
    decoder, position = json.JSONDecoder(), 0
    try:
        text = data.decode()
        while position < len(text):
            start = position
            _, position = decoder.raw_decode(text, start)
            found.append(text[start:position].encode())
            position = _after_space(text, position)
    except (ValueError, RecursionError):
        found = data.splitlines()
    for part in found:
        yield from _line(part)


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _line(line: bytes) -> Iterator[bytes]:
    """Yield the record on a line, or those of its envelope; blank lines hold none."""
    data = line.strip()
    if not data:
        return
    if data[:1] == b"{" and b'"Records"' in data[:64]:
        try:
            for record in _envelope.decode(data).Records:
                yield bytes(record)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            yield data
        return
    yield data


def summary(reader: Reader) -> list[str]:
    """Return sentences on what `reader` left out or could not read, for a person."""
    lines = [f"{name}: cannot be read: {reason}" for name, reason in reader.unreadable]
    if reader.skipped:
        names = ", ".join(Path(path).name for path in reader.skipped[:3])
        more = f" and {len(reader.skipped) - 3} more" if len(reader.skipped) > 3 else ""
        lines.append(
            f"left out {len(reader.skipped)} files that are not named like logs "
            f"({names}{more}); name a file itself to read it all the same"
        )
    return lines
