"""Cut the body of an object into the records of one source.

===========================  ==============================================================
in the object                records
===========================  ==============================================================
JSON: one value, ``[…]``,    what the connector's `split` makes of it, each one message
``{"Records": […]}``
JSON lines                   one a line, judged line by line
JSON values, no newlines     one a value, or what the connector's `split` makes of it
text                         blocks of `LINES` lines, each with the header line if there is one
Parquet                      blocks of rows as text with a header line; of JSON sources, rows
===========================  ==============================================================

Bodies larger than `SMALL` are cut while they stream; a record is then what lies in the
outermost list. Ids count from 0: ``s3://bucket/key#17``; of a block, its first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import chain
from typing import Final

import msgspec

from connectors._aws.objects.body import Body
from connectors._aws.objects.json_cut import JsonCut
from connectors._aws.objects.stream import Pieces
from connectors._aws.objects.table import MAGIC, rows
from connectors._reading.base import Record
from connectors._reading.fault import fault
from connectors._vpc_flow.layout import is_header
from connectors.base import Connector
from sentinel.errors import DecodeError

SMALL: Final = 4 << 20
LINES: Final = 500
_BLOCK: Final = 256 << 10
_MAX_LINE: Final = 8 << 20
_is_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Cutter:
    """Cuts the objects of one source.

    Parameters
    ----------
    connector
        The source.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._together = connector.assembler() is not None

    def records(self, chunks: Iterable[bytes], id: str) -> Iterator[Record]:
        """Yield the records of an object, and what of it cannot be read as faults.

        Parameters
        ----------
        chunks
            Its bytes, packed or not.
        id
            Its name, ``s3://bucket/key``.
        """
        body = Body(chunks)
        pieces = iter(body)
        first, whole = _gather(pieces)
        if self._connector.whole:
            stream = BufferedReader(Pieces(chain((first,), pieces)))
            for index, value in enumerate(self._connector.records(stream)):
                yield self._record(value, f"{id}#{index}")
        elif first.startswith(MAGIC):
            yield from self._table(chain((first,), pieces), id)
        elif first.lstrip()[:1] in (b"{", b"["):
            if _lines_of_json(first):
                yield from self._lines(chain((first,), pieces), id, 1)
            elif whole and not body.fault:
                yield from self._small(first, id)
            else:
                yield from self._values(chain((first,), pieces), id, body)
        elif first.strip():
            yield from self._lines(chain((first,), pieces), id, LINES)
        if body.fault:
            yield fault(
                body.fault,
                f"expected a whole gzip file, found one that is {body.fault}; the records "
                "before the fault were read; ask whoever wrote it for a good copy",
                id,
            )

    def _record(self, unit: bytes, id: str) -> Record:
        return Record(unit, id, self._connector.partition_key(unit))

    def _small(self, text: bytes, id: str) -> Iterator[Record]:
        """Yield the records of JSON that is there as a whole."""
        try:
            units = list(self._connector.split(text))
            if len(units) == 1 and units[0] == text:
                _is_json(text)
        except (DecodeError, ValueError, RecursionError):
            yield from self._values((text,), id, None)
            return
        for index, unit in enumerate(units):
            yield self._record(unit, f"{id}#{index}")

    def _values(self, pieces: Iterable[bytes], id: str, body: Body | None) -> Iterator[Record]:
        """Yield the records of JSON of any size, or of values one after another."""
        cut, index = JsonCut(), 0
        for record in cut.all(pieces):
            for unit in (record,) if cut.listed else self._units(record):
                yield self._record(unit, f"{id}#{index}")
                index += 1
        if cut.too_large:
            found = f"{cut.too_large} larger ones"
            yield fault("too_large", f"expected records of at most 8 MiB, found {found}", id)
        if rest := cut.rest():
            kind = body.fault if body is not None and body.fault else "json"
            what = f"expected the end of a JSON document, found {len(rest)} bytes without"
            yield fault(kind, f"{what}; the records before it were read", f"{id}#{index}", rest)

    def _units(self, record: bytes) -> Iterable[bytes]:
        try:
            return tuple(self._connector.split(record))
        except DecodeError:
            return (record,)  # normalize says the same of it, as a dead letter

    def _lines(self, pieces: Iterable[bytes], id: str, most: int) -> Iterator[Record]:
        """Yield blocks of `most` lines; the first line in front of each if it is a header."""
        header, block, size, first, index = b"", list[bytes](), 0, 0, 0
        for line in _split(pieces):
            if not line.strip():
                continue
            if most > 1 and not index and is_header(line):
                header, index = line, 1
                first = 1
                continue
            if block and (len(block) >= most or size + len(line) > _BLOCK):
                yield self._block(header, block, f"{id}#{first}")
                block, size, first = [], 0, index
            block.append(line)
            size += len(line)
            index += 1
        if block:
            yield self._block(header, block, f"{id}#{first}")

    def _block(self, header: bytes, lines: list[bytes], id: str) -> Record:
        key = self._connector.partition_key(lines[0])
        if key is None and self._together:
            key = id.rpartition("/")[0].encode()  # records of one event may be in two blocks
        return Record(b"\n".join([header, *lines] if header else lines), id, key)

    def _table(self, pieces: Iterable[bytes], id: str) -> Iterator[Record]:
        as_text = any(source.service == "vpcflow" for source in self._connector.logsources)
        try:
            for index, value in rows(pieces, LINES, as_text=as_text):
                yield self._record(value, f"{id}#{index}")
        except ValueError as error:
            what = f"expected a Parquet file, found one that cannot be read: {error}"
            yield fault("parquet", what, id)


def _gather(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the beginning, and whether that is all there is."""
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > SMALL:
            return b"".join(found), False
    return b"".join(found), True


def _lines_of_json(text: bytes) -> bool:
    """Return whether the first line is a JSON object, and not the only line."""
    line, newline, rest = text.lstrip().partition(b"\n")
    if not newline or line[:1] != b"{" or rest.lstrip()[:1] not in (b"{", b""):
        return False
    if not rest.strip():
        return False
    try:
        _is_json(line)
    except (ValueError, RecursionError):
        return False
    return True


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines without their ends; one beyond `_MAX_LINE` in parts."""
    rest = b""
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        yield from (line.removesuffix(b"\r") for line in lines)
        if len(rest) > _MAX_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest
