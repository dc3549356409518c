"""The audit log: every change and every sign-in, in chains of hashes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import EARLIEST, LATEST, Cursor, DatabaseDep, Limit, Text, Time
from api.errors import Problem
from api.identity.sessions import SQL
from api.paging import decode_cursor, encode_cursor, more, page
from api.permissions import allow

router = APIRouter(prefix="/v1/audit", tags=["audit"], dependencies=[Depends(allow("audit:read"))])
HASH = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]


class Line(BaseModel):
    """One line of the audit log."""

    tenant: str = Field(description="Whose log; `*` is that of the platform.", examples=["default"])
    seq: int = Field(description="Its number there, from 1 without gaps.", examples=[17])
    at: datetime = Field(examples=["2026-01-31T12:00:00.000000Z"])
    actor: str = Field(examples=["user:ada"])
    address: str = Field(examples=["192.0.2.1"])
    request: str = Field(description="Its X-Request-ID.", examples=["5f0e9d3b0d8f5a0c"])
    action: str = Field(examples=["user.login"])
    target: str = Field(examples=["6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"])
    detail: str = Field(description="JSON, as it was hashed.", examples=['{"method":"password"}'])
    previous: str = Field(description="`hash` of the line before; empty for the first.")
    hash: str = Field(description="SHA-256 of `previous` and this line.", examples=HASH)


class Lines(BaseModel):
    """A page of the audit log."""

    items: list[Line]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


def exact(time: datetime) -> str:
    """Return a time to the microsecond, as it is hashed."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def line(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the audit log as JSON sends it."""
    hashes = {name: bytes(row[name]).hex() for name in ("previous", "hash")}
    return {**row, **hashes, "at": exact(row["at"])}


@router.get("", response_model=Lines)
async def audit_log(
    database: DatabaseDep,
    since: Annotated[Time, Query(description="Not older than this.")] = None,
    until: Annotated[Time, Query(description="Older than this.")] = None,
    action: Annotated[Text, Query(description="Such as user.login.")] = None,
    actor: Annotated[Text, Query(description="Such as user:ada.")] = None,
    target: Annotated[Text, Query(description="Id of what was changed.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List the audit log, newest first."""
    place: tuple[Any, ...] = (None, None, None)
    if cursor:
        text, whose, seq = decode_cursor(cursor, str, str, int)
        place = (_time(text), _plain(whose), seq)
    what = (since, until, action, actor, target, tenant)
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["audit_newest"], *what, *place, limit + 1)
    shown, last = more(rows, limit)
    following = last and encode_cursor(exact(last["at"]), last["tenant"], last["seq"])
    return page(map(line, shown), following)


@router.get("/chain", response_model=Lines)
async def audit_chain(
    database: DatabaseDep,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Response:
    """List whole chains, by tenant and number: what `sentinel audit verify` checks."""
    whose, seq = decode_cursor(cursor, str, int) if cursor else (None, None)
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["audit_chain"], tenant, _plain(whose), seq, limit + 1)
    shown, last = more(rows, limit)
    following = last and encode_cursor(last["tenant"], last["seq"])
    return page(map(line, shown), following)


def _plain(text: str | None) -> str | None:
    if text and "\x00" in text:
        raise _not_ours()
    return text


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _not_ours() from error
    if found.tzinfo is None or not EARLIEST <= found <= LATEST:
        raise _not_ours()
    return found


def _not_ours() -> Problem:
    return Problem(422, "cursor: expected `next` of an earlier page, found another")
