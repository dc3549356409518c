"""Roles: the three that there are, and sets of permissions of a tenant's own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import errors
from api.deps import DatabaseDep, PrincipalDep, Text
from api.errors import Problem
from api.identity.access import IdentityDep, at_most, whose
from api.identity.audit import audit
from api.identity.sessions import SQL
from api.paging import json_response
from api.permissions import PERMISSIONS, PLATFORM, ROLES, allow, known
from api.routes.auth import Whose

router = APIRouter(prefix="/v1/roles", tags=["users"])
RoleName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,63}$", description="Of the role.")]
OfTenant = Annotated[Whose | None, Query(description="Whose; default: your own, else `default`.")]


class Role(BaseModel):
    """A set of permissions under a name."""

    name: str = Field(examples=["analyst"])
    tenant: str | None = Field(description="Null: every tenant has it.", examples=[None])
    permissions: list[str] = Field(examples=[["alerts:read", "alerts:update"]])


class Roles(BaseModel):
    """All roles, and what each permission is for."""

    items: list[Role]
    permissions: dict[str, str] = Field(examples=[{"alerts:read": "see alerts"}])


class RoleContent(BaseModel):
    """What a role may do."""

    model_config = ConfigDict(extra="forbid")
    permissions: list[str] = Field(
        min_length=1, max_length=len(PERMISSIONS), examples=[["alerts:read", "exports:read"]]
    )


@router.get("", response_model=Roles, dependencies=[Depends(allow("config:read"))])
async def list_roles(
    database: DatabaseDep,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
) -> Response:
    """List the roles there are."""
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["roles"], tenant)
    given = [
        {"name": name, "tenant": None, "permissions": sorted(permissions - PLATFORM)}
        for name, permissions in ROLES.items()
    ]
    return json_response({"items": [*given, *map(dict, rows)], "permissions": PERMISSIONS})


@router.put(
    "/{name}",
    response_model=Role,
    dependencies=[Depends(allow("users:manage"))],
    responses={409: errors.response("One of the roles that every tenant has")},
)
async def set_role(
    database: DatabaseDep,
    identity: IdentityDep,
    who: PrincipalDep,
    name: RoleName,
    body: RoleContent,
    tenant: OfTenant = None,
) -> Response:
    """Make a role, or change what it may do; who has it is changed with it, within seconds."""
    if name in ROLES:
        raise Problem(409, f"expected another name than {', '.join(ROLES)}, which stay as they are")
    owner, wanted = whose(who, tenant), known(body.permissions)
    at_most(who, wanted, "permissions")
    async with database.writing() as connection:
        before = await connection.fetchval(SQL["role"], owner, name)
        at_most(who, frozenset(before or ()), f"role {name}")
        await connection.execute(SQL["set_role"], owner, name, sorted(wanted))
        detail = {"permissions": sorted(wanted), "before": before}
        await audit(connection, "role.set", name, detail, tenant=owner)
    identity.credentials.forget()
    role: dict[str, Any] = {"name": name, "tenant": owner, "permissions": sorted(wanted)}
    return json_response(role)


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    dependencies=[Depends(allow("users:manage"))],
    responses={409: errors.response("Users have it")},
)
async def remove_role(
    database: DatabaseDep, who: PrincipalDep, name: RoleName, tenant: OfTenant = None
) -> Response:
    """Remove a role that no user has any more."""
    owner = whose(who, tenant)
    async with database.writing() as connection:
        if await connection.fetchval(SQL["role"], owner, name) is None:
            raise Problem(404, f"{owner} has no role {name} of its own; GET /v1/roles lists them")
        if not await connection.fetchval(SQL["remove_role"], owner, name):
            raise Problem(409, f"expected a role that no user has, found {name} in use")
        await audit(connection, "role.remove", name, tenant=owner)
    return Response(status_code=204)
