"""Tenants: their quotas, and how long what is theirs is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import errors
from api.deps import Cursor, DatabaseDep, Limit
from api.errors import Problem
from api.identity.access import IdentityDep
from api.identity.audit import audit
from api.identity.sessions import SQL
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import allow
from api.search.language.values import MAX_INT

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])
NAME = r"^[A-Za-z0-9_.@-]{1,128}$"
TenantName = Annotated[str, Path(pattern=NAME, description="Of the tenant.")]
QUOTAS = (
    *("title", "disabled", "events_per_second", "requests_per_minute"),
    *("retention_days", "alert_retention_days"),
)


class Quotas(BaseModel):
    """What a tenant may; null is as the settings say."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field("", max_length=200, pattern=r"^[^\x00]*$", examples=["Example Ltd"])
    disabled: bool = Field(
        False, description="True refuses all its credentials and events.", examples=[False]
    )
    events_per_second: int | None = Field(
        None, ge=1, le=10_000_000, description="Events sent to the API.", examples=[1000]
    )
    requests_per_minute: int | None = Field(None, ge=1, le=MAX_INT, examples=[6000])
    retention_days: int | None = Field(
        None, ge=1, le=3650, description="Of events; at most SENTINEL_RETENTION_DAYS counts."
    )
    alert_retention_days: int | None = Field(None, ge=1, le=36_500, examples=[400])


class NewTenant(Quotas):
    """A tenant to add."""

    tenant: str = Field(pattern=NAME, examples=["acme"])


class Tenant(NewTenant):
    """A tenant, with what it may."""

    created_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])


class Tenants(BaseModel):
    """A page of tenants, by name: all, or one's own."""

    items: list[Tenant]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


def tenant_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a tenant as JSON sends it."""
    times = {name: moment(row[name]) for name in ("created_at", "updated_at")}
    return {"tenant": row["tenant"], **{name: row[name] for name in QUOTAS}, **times}


@router.get("", response_model=Tenants, dependencies=[Depends(allow("config:read"))])
async def list_tenants(
    database: DatabaseDep, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """List the tenants that one may see: all, or one's own."""
    (after,) = decode_cursor(cursor, str) if cursor else (None,)
    if after and "\x00" in after:
        raise Problem(422, "cursor: expected `next` of an earlier page, found another")
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["tenants"], after, limit + 1)
    shown, last = more(rows, limit)
    return page(map(tenant_json, shown), encode_cursor(last["tenant"]) if last else None)


@router.get("/{name}", response_model=Tenant, dependencies=[Depends(allow("config:read"))])
async def one_tenant(database: DatabaseDep, name: TenantName) -> Response:
    """Show one tenant."""
    async with database.reading() as connection:
        row = await connection.fetchrow(SQL["tenant_row"], name)
    if row is None:
        raise Problem(404, f"there is no tenant {name}; GET /v1/tenants lists them")
    return json_response(tenant_json(row))


@router.post(
    "",
    status_code=201,
    response_model=Tenant,
    dependencies=[Depends(allow("tenants:manage"))],
    responses={409: errors.response("There is one already")},
)
async def add_tenant(database: DatabaseDep, identity: IdentityDep, body: NewTenant) -> Response:
    """Add a tenant. Only needed for quotas and retention: events may name any."""
    quotas = body.model_dump()
    values = [quotas[name] for name in QUOTAS if name != "disabled"]
    async with database.writing() as connection:
        row = await connection.fetchrow(SQL["new_tenant"], body.tenant, *values)
        if row is None:
            raise Problem(409, f"there is a tenant {body.tenant} already; PUT changes it")
        if body.disabled:
            row = await connection.fetchrow(SQL["change_tenant"], body.tenant, *_values(quotas))
        await audit(connection, "tenant.create", body.tenant, quotas, tenant=body.tenant)
    identity.credentials.forget()
    return json_response(tenant_json(row), 201)


@router.put("/{name}", response_model=Tenant, dependencies=[Depends(allow("tenants:manage"))])
async def change_tenant(
    database: DatabaseDep, identity: IdentityDep, name: TenantName, body: Quotas
) -> Response:
    """Set what a tenant may; what is left out is as the settings say again."""
    quotas = body.model_dump()
    async with database.writing() as connection:
        row = await connection.fetchrow(SQL["change_tenant"], name, *_values(quotas))
        if row is None:
            raise Problem(404, f"there is no tenant {name}; POST /v1/tenants adds one")
        await audit(connection, "tenant.change", name, quotas, tenant=name)
    identity.credentials.forget()
    return json_response(tenant_json(row))


def _values(quotas: Mapping[str, Any]) -> list[Any]:
    return [quotas[name] for name in QUOTAS]
