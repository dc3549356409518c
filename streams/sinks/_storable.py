r"""Make rows storable that PostgreSQL refuses, changing as little as possible, visibly.

PostgreSQL's ``text`` has no NUL and no lone surrogates, its ``jsonb`` no ``\u0000``, and an
indexed value must stay below 2.7 kB. Events from outside have all of these. What cannot be
kept becomes U+FFFD, long strings end in ``…`` and a digest, so that two different ones stay
different. Called only for a batch that PostgreSQL has refused: the usual batch pays nothing.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import orjson

from connectors._mapper import Mapper
from streams.sinks.base import EventRow, Rows

T = TypeVar("T", bound=NamedTuple)
#: Characters kept of a string column: four bytes each stay below a btree entry's 2,704 bytes.
LONGEST = 512
PREVIEW = 1000
_BAD = re.compile("[\x00\ud800-\udfff]")
_ESCAPE = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<bad>\\u0000|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_JSON = {"ocsf", "explanation"}


def text(value: str) -> str:
    r"""Return `value` as PostgreSQL can store and index it.

    >>> text("a\x00b")
    'a�b'
    """
    value = _BAD.sub("\ufffd", value)
    if len(value) <= LONGEST:
        return value
    digest = blake2b(value.encode(), digest_size=8).hexdigest()
    return f"{value[: LONGEST - len(digest) - 1]}…{digest}"


def json(value: str | bytes) -> str:
    r"""Return JSON text without what ``jsonb`` refuses; other faults stay.

    >>> json(r'["\u0000", "\\u0000", "\ud83d\ude00", "\ud83d"]')
    '["�", "\\\\u0000", "\\ud83d\\ude00", "�"]'
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    value = _BAD.sub("\ufffd", value)
    return _ESCAPE.sub(lambda match: "\ufffd" if match["bad"] else match[0], value)


def placeholder(value: str, reason: str) -> str:
    """Return JSON that stands for one that cannot be stored at all, and says why."""
    start = _BAD.sub("\ufffd", value[:PREVIEW])
    return orjson.dumps(
        {"unstorable": {"reason": reason, "size": len(value), "start": start}}
    ).decode()


def clean(rows: Rows, mapper: Mapper) -> Rows:
    """Return `rows` with every text and JSON column made storable.

    An event whose raw text has to change keeps the OCSF form of what it was.
    """
    return Rows(
        [_clean(_kept(row, mapper)) for row in rows.events],
        [
            _clean(row)._replace(
                techniques=[text(item) for item in row.techniques],
                events=[_clean(event) for event in row.events],
            )
            for row in rows.alerts
        ],
        [_clean(row) for row in rows.dead_letters],
    )


def _kept(row: EventRow, mapper: Mapper) -> EventRow:
    raw = _BAD.sub("\ufffd", row.raw.decode("utf-8", "replace")).encode()
    if raw == row.raw:
        return row
    ocsf = row.ocsf or mapper.ocsf(row.source, row.tenant, row.uid, row.raw)
    return row._replace(raw=raw, ocsf=ocsf)


def _clean(row: T) -> T:
    changed: dict[str, Any] = {
        name: json(value) if name in _JSON else text(value)
        for name, value in row._asdict().items()
        if (name in _JSON and value is not None) or isinstance(value, str)
    }
    return row._replace(**changed)


def json_of(rows: Rows) -> list[str | bytes]:
    """Return every JSON value in `rows`, events first, then each alert and its evidence."""
    found: list[str | bytes] = [row.ocsf for row in rows.events if row.ocsf is not None]
    for alert in rows.alerts:
        found.append(alert.explanation)
        found.extend(event.ocsf for event in alert.events)
    return found


def replace_json(rows: Rows, by: dict[str | bytes, str]) -> Rows:
    """Return `rows` with each JSON value that is a key of `by` replaced."""

    def event(row: T) -> T:
        ocsf = row._asdict()["ocsf"]
        return row._replace(ocsf=by.get(ocsf, ocsf))

    alerts = [
        row._replace(
            explanation=by.get(row.explanation, row.explanation),
            events=[event(item) for item in row.events],
        )
        for row in rows.alerts
    ]
    return Rows([event(row) for row in rows.events], alerts, rows.dead_letters)
