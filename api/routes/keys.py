"""API keys for programs: bound to a tenant, as narrow as needed, shown once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from api.deps import Cursor, DatabaseDep, Limit, PrincipalDep, Text
from api.errors import Problem
from api.identity.access import IdentityDep, at_most, whose
from api.identity.audit import audit
from api.identity.credentials import new_key
from api.identity.sessions import SQL
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import PERMISSIONS, allow, known
from api.routes.auth import Whose

router = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[Depends(allow("keys:manage"))])
Line = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
TIMES = ("created_at", "expires_at", "revoked_at", "last_used_at")
A_TIME = ["2026-01-31T12:00:00.000Z"]


class Key(BaseModel):
    """An API key, without its secret, which is stored nowhere."""

    id: str = Field(examples=["0f3a9c1be274"])
    tenant: str = Field(description="`*` is all of them.", examples=["default"])
    name: str = Field(description="What it is for.", examples=["vector on web-1"])
    permissions: list[str] = Field(examples=[["events:write"]])
    created_by: str = Field(examples=["user:ada"])
    created_at: datetime = Field(examples=A_TIME)
    expires_at: datetime | None = Field(examples=A_TIME)
    revoked_at: datetime | None = Field(examples=[None])
    last_used_at: datetime | None = Field(description="To within five minutes.", examples=A_TIME)


class Keys(BaseModel):
    """A page of API keys, revoked ones included."""

    items: list[Key]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class NewKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")
    name: Line = Field(description="What it is for.", examples=["vector on web-1"])
    permissions: list[str] = Field(
        ["events:write"],
        min_length=1,
        max_length=len(PERMISSIONS),
        description="At most your own. Alone, `events:write` can send events in, nothing else.",
        examples=[["events:write"]],
    )
    tenant: Whose | None = Field(None, description="Default: your own, else `default`.")
    expires_days: int | None = Field(None, ge=1, le=3650, examples=[90])


class KeyWithSecret(Key):
    """An API key with its secret; shown this once."""

    key: str = Field(examples=["snk_0f3a9c1be274_…"])


def key(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a key as JSON sends it."""
    plain = {name: row[name] for name in ("id", "tenant", "name", "permissions", "created_by")}
    return plain | {name: row[name] and moment(row[name]) for name in TIMES}


@router.get("", response_model=Keys)
async def list_keys(
    database: DatabaseDep,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List API keys, those that were revoked or have ended included."""
    (after,) = decode_cursor(cursor, str) if cursor else (None,)
    if after and "\x00" in after:
        raise Problem(422, "cursor: expected `next` of an earlier page, found another")
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["keys"], tenant, after, limit + 1)
    shown, last = more(rows, limit)
    return page(map(key, shown), encode_cursor(last["id"]) if last else None)


@router.post("", status_code=201, response_model=KeyWithSecret)
async def add_key(database: DatabaseDep, who: PrincipalDep, body: NewKey) -> Response:
    """Make an API key. It is shown in this answer and never again."""
    tenant, wanted = whose(who, body.tenant), known(body.permissions)
    at_most(who, wanted, "permissions")
    made = new_key()
    async with database.writing() as connection:
        row = await connection.fetchrow(
            SQL["new_key"],
            made.id,
            made.digest,
            tenant,
            body.name,
            sorted(wanted),
            who.subject,
            body.expires_days,
        )
        detail = {"name": body.name, "permissions": sorted(wanted)}
        await audit(connection, "key.create", made.id, detail, tenant=tenant)
    return json_response(key(row) | {"key": made.text}, 201)


@router.delete("/{key_id}", status_code=204, response_class=Response)
async def revoke_key(
    database: DatabaseDep,
    identity: IdentityDep,
    key_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="Of the key.")],
) -> Response:
    """Revoke an API key: refused here at once, by other processes within five seconds."""
    async with database.writing() as connection:
        row = await connection.fetchrow(SQL["revoke_key"], key_id)
        if row is None:
            raise Problem(404, f"there is no key {key_id} in use; GET /v1/keys lists them")
        detail = {"name": row["name"]}
        await audit(connection, "key.revoke", key_id, detail, tenant=row["tenant"])
    identity.credentials.forget()
    return Response(status_code=204)
