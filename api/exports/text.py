"""JSON, JSON lines, CSV and XML of a stream of items."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

#: Columns of CSV: what fits a cell.
COLUMNS = {
    "alerts": (
        *("id", "time", "tenant", "source", "severity", "score", "rule_id", "title"),
        *("techniques", "entity", "status", "count", "assignee", "disposition"),
        *("disposition_reason", "merged_into", "suppression", "updated_at"),
    ),
    "events": (
        *("uid", "time", "arrived", "tenant", "source", "class_uid", "activity_id", "status_id"),
        *("severity_id", "entity", "operation", "service", "src_ip"),
    ),
}
#: Bytes that are sent at a time, about.
CHUNK = 65_536
#: What spreadsheets take for the beginning of a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: What XML 1.0 has no way to write (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


async def json(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Yield one JSON array."""
    mark = b"[\n"
    async for item in items:
        yield mark + orjson.dumps(item)
        mark = b",\n"
    yield b"\n]\n" if mark == b",\n" else b"[]\n"


async def jsonl(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Yield a line of JSON an item."""
    async for item in items:
        yield orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)


async def table(
    items: AsyncIterator[dict[str, Any]], columns: Sequence[str]
) -> AsyncIterator[bytes]:
    """Yield CSV (RFC 4180) with a head; cells that a spreadsheet would run begin with ``'``."""
    yield _row(columns)
    async for item in items:
        yield _row([cell(item[name]) for name in columns])


def cell(value: Any) -> str:
    """Return a value as a cell that is text to every spreadsheet.

    >>> cell("=1+1")
    "'=1+1"
    >>> cell(-3)
    '-3'
    >>> cell(["T1078", "T1059"])
    'T1078 T1059'
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = " ".join(value) if isinstance(value, list) else str(value)
    text = text.replace("\x00", "\ufffd")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _row(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", "replace")


async def xml(items: AsyncIterator[dict[str, Any]], of: str) -> AsyncIterator[bytes]:
    """Yield XML 1.0: an element an item, an element a field, JSON where that has structure."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<{of}>\n'.encode()
    async for item in items:
        yield element(of.removesuffix("s"), item).encode("utf-8", "replace")
    yield f"</{of}>\n".encode()


def element(name: str, item: dict[str, Any]) -> str:
    r"""Return one item; what XML cannot have is U+FFFD.

    >>> element("alert", {"id": "1", "tags": ["T1", "T2"], "title": "a<b\x00"})
    '<alert id="1"><tags>T1</tags><tags>T2</tags><title>a&lt;b�</title></alert>\n'
    """
    parts: list[str] = []
    identity = ""
    for field, value in item.items():
        if field in {"id", "uid"}:
            identity = f" {field}={quoteattr(_clean(value))}"
            continue
        values = value if isinstance(value, list) else [value]
        parts += [f"<{field}>{escape(_clean(each))}</{field}>" for each in values]
    return f"<{name}{identity}>{''.join(parts)}</{name}>\n"


def _clean(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return _NOT_XML.sub("\ufffd", text)


async def chunks(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same bytes in pieces of about `CHUNK`: a message each would cost most."""
    held: list[bytes] = []
    size = 0
    async for part in parts:
        held.append(part)
        size += len(part)
        if size >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
