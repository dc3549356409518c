"""Answers: JSON with times as RFC 3339, and pages with an opaque cursor."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeVar
from uuid import UUID

import orjson
from starlette.responses import Response

from api.errors import Problem
from api.search import Place

T = TypeVar("T")
MAX_BIGINT = 2**63 - 1


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return JSON: times RFC 3339 in UTC, `raw_json` as it stands; with an ETag of its bytes."""
    body = orjson.dumps(content, default=str, option=orjson.OPT_PASSTHROUGH_DATETIME)
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    return Response(body, status, {"ETag": tag, **(headers or {})}, media_type="application/json")


def raw_json(text: str | bytes) -> orjson.Fragment:
    """Return JSON text, such as the database has, so that it is sent on without being parsed."""
    return orjson.Fragment(text)


def moment(value: datetime) -> str:
    """Return a time in RFC 3339, UTC, to the millisecond.

    A page of alerts has fifty: orjson takes a quarter of the time of `datetime.isoformat`.

    >>> moment(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00.000Z'
    """
    at = value if value.tzinfo is UTC else value.astimezone(UTC)
    seconds = orjson.dumps(at)[1:20].decode()  # within quotes
    return f"{seconds}.{at.microsecond // 1000:03}Z"


def encode_cursor(*parts: str | int) -> str:
    """Return an opaque, URL-safe cursor of the place after a row.

    >>> decode_cursor(encode_cursor(7, "a"), int, str)
    (7, 'a')
    """
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type[Any]) -> tuple[Any, ...]:
    """Return what `encode_cursor` was given; raise `Problem` (422) where it was not its."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        parts = None
    whole = (
        isinstance(parts, list)
        and len(parts) == len(types)
        and all(type(part) is kind for part, kind in zip(parts, types, strict=True))
        and all(abs(part) <= MAX_BIGINT for part in parts if type(part) is int)
    )
    if not whole:
        raise Problem(422, f"cursor: expected `next` of an earlier page, found {cursor!r}")
    return tuple(parts)


def encode_place(place: Place | None) -> str | None:
    """Return the cursor of the page after `place`, None where there is none."""
    return encode_cursor(place.time.isoformat(), str(place.id)) if place else None


def decode_place(cursor: str | None) -> Place | None:
    """Return what `encode_place` was given; raise `Problem` (422) where it was not its."""
    if cursor is None:
        return None
    time, identity = decode_cursor(cursor, str, str)
    try:
        place = Place(datetime.fromisoformat(time), UUID(identity))
        if place.time.tzinfo is not None:
            return place._replace(time=place.time.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    raise Problem(422, "cursor: expected `next` of an earlier page, found another")


def page(items: Iterable[Any], following: str | None) -> Response:
    """Return one page."""
    return json_response({"items": list(items), "next": following})


def more(rows: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """Split rows fetched with ``limit + 1`` into a page and its last row, None on the last page."""
    return (rows[:limit], rows[limit - 1]) if len(rows) > limit else (rows, None)
