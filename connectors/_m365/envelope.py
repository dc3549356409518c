"""Cut a message into audit records: content blobs, search results, and CSV exports of both.

A CSV export has the record as JSON in its column ``AuditData``. A row whose column is empty
(exports cut long ones off) becomes a record of what its other columns say. The header line
alone holds no record; a row alone is understood without it.

Source: Microsoft, "Export, configure, and view audit log records".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Final, cast

import msgspec

from connectors._json.decoder import MAX_EVENT_BYTES
from connectors._json.envelope import Envelope
from sentinel.errors import DecodeError

COLUMN: Final = "AuditData"
_HEADER: Final = 4096
"""Bytes within which the header of an export ends."""
_ENVELOPE: Final = Envelope(lists=("value",))
_parse: Final = msgspec.json.Decoder().decode
#: Columns of ``Search-UnifiedAuditLog`` and of the portal, and the fields they stand for.
_COLUMNS: Final = (
    ("CreationTime", ("CreationDate", "CreationTime")),
    ("Id", ("Identity", "RecordId", "Id")),
    ("Operation", ("Operations", "Operation")),
    ("RecordType", ("RecordType",)),
    ("UserId", ("UserIds", "UserId")),
)
_DATES: Final = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S")


def cut(value: bytes) -> Iterable[bytes]:
    """Return the records of a message.

    Raises
    ------
    DecodeError
        Reason ``csv`` or ``json``: an export or envelope that does not parse.
    """
    first = value.lstrip()[:1]
    if first in (b"{", b"["):
        return [inner for event in _ENVELOPE.cut(value) for inner in _opened(event)]
    if COLUMN.encode() in value.partition(b"\n")[0]:
        return list(_rows(_text(value)))
    if b'{""' in value:
        return [_row(_text(value))]
    return (value,)


def is_export(stream: IO[bytes]) -> bool:
    """Say whether a stream is a CSV export, by its first line; it stays where it is."""
    if hasattr(stream, "peek"):
        first = bytes(stream.peek(_HEADER))[:_HEADER]
    elif stream.seekable():
        at = stream.tell()
        first = stream.read(_HEADER)
        stream.seek(at)
    else:
        return False
    line = first.partition(b"\n")[0]
    return COLUMN.encode() in line and line.lstrip(b"\xef\xbb\xbf \t")[:1] not in (b"{", b"[")


def rows(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the records of an export, in constant memory.

    Raises
    ------
    EOFError
        What is left is no CSV: it cannot be read to its end.
    """
    text = io.TextIOWrapper(
        cast(io.BufferedReader, stream), "utf-8-sig", errors="surrogateescape", newline=""
    )
    try:
        yield from _records(csv.reader(text, strict=False))
    except csv.Error as error:
        raise EOFError(f"expected rows with the column {COLUMN}, found {error}") from error
    finally:
        text.detach()


def _opened(event: bytes) -> Iterable[bytes]:
    """Return the record in a search result's ``AuditData``, or the record itself."""
    if b'"AuditData"' not in event:
        return (event,)
    try:
        found = _parse(event)
    except (ValueError, RecursionError):
        return (event,)
    inner = found.get(COLUMN) if isinstance(found, dict) else None
    if isinstance(inner, str) and inner.lstrip()[:1] == "{":
        return (inner.encode(errors="surrogatepass"),)
    if isinstance(inner, dict):
        return (msgspec.json.encode(inner),)
    return (event,)


def _text(value: bytes) -> str:
    return value.decode("utf-8-sig", errors="surrogateescape")


def _reader(text: str) -> Iterable[list[str]]:
    csv.field_size_limit(MAX_EVENT_BYTES)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), strict=False)
    except csv.Error as error:
        raise DecodeError(
            "csv", f"expected rows with the column {COLUMN}, found {error}"
        ) from error


def _rows(text: str) -> Iterator[bytes]:
    return _records(_reader(text))


def _records(read: Iterable[list[str]]) -> Iterator[bytes]:
    """Yield the record of each row; the first row is the header."""
    csv.field_size_limit(MAX_EVENT_BYTES)
    rows = iter(read)
    names = [name.strip() for name in next(rows, [])]
    for row in rows:
        if not row:
            continue
        found = dict(zip(names, row, strict=False))
        inner = found.get(COLUMN, "")
        record = inner if inner.lstrip()[:1] == "{" else _of_columns(found)
        yield record.encode(errors="surrogateescape")


def _row(text: str) -> bytes:
    """Return the record of a row without its header."""
    fields = next(iter(_reader(text)), [])
    record = next((field for field in fields if field.lstrip()[:1] == "{"), text)
    return record.encode(errors="surrogateescape")


def _of_columns(row: dict[str, str]) -> str:
    """Return what a row says besides its record, as a record."""
    values = {
        field: next((_clean(row[name]) for name in names if row.get(name)), "")
        for field, names in _COLUMNS
    }
    values["CreationTime"] = _date(values["CreationTime"])
    return msgspec.json.encode({name: text for name, text in values.items() if text}).decode()


def _clean(text: str) -> str:
    """Return a text without the bytes that were no UTF-8: they stand marked."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _date(text: str) -> str:
    for pattern in _DATES:
        try:
            return datetime.strptime(text, pattern).isoformat()  # noqa: DTZ007 - UTC by contract
        except ValueError:
            continue
    return text
