"""Users of a tenant: add, change, reset, unlock, remove."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import errors
from api.deps import Cursor, DatabaseDep, Limit, PrincipalDep, Text
from api.errors import Problem
from api.identity import passwords
from api.identity.access import IdentityDep, at_most, whose
from api.identity.audit import audit
from api.identity.credentials import of_role
from api.identity.sessions import SQL
from api.identity.setup import SECRET_S
from api.paging import decode_cursor, encode_cursor, json_response, moment, more, page
from api.permissions import ROLES, Principal, allow
from api.routes.auth import Name, Whose

router = APIRouter(
    prefix="/v1/users", tags=["users"], dependencies=[Depends(allow("users:manage"))]
)
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$", examples=["analyst"])]


class User(BaseModel):
    """Somebody who may sign in."""

    id: UUID = Field(examples=["6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"])
    tenant: str = Field(description="`*` is all of them.", examples=["default"])
    name: str = Field(examples=["ada"])
    role: str = Field(examples=["analyst"])
    disabled: bool = Field(examples=[False])
    password: str = Field(
        description="`chosen`, `one-time` (a secret to choose one with) or `none`.",
        examples=["chosen"],
    )
    second_factor: bool = Field(examples=[True])
    single_sign_on: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    last_login: datetime | None = Field(examples=["2026-01-31T12:00:00.000Z"])


class Users(BaseModel):
    """A page of users, by tenant and name."""

    items: list[User]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class NewUser(BaseModel):
    """A user to add."""

    model_config = ConfigDict(extra="forbid")
    name: Name = Field(examples=["ada"])
    role: RoleName = "viewer"
    tenant: Whose | None = Field(None, description="Default: your own, else `default`.")


class UserChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    role: RoleName | None = None
    disabled: bool | None = Field(None, description="True ends all sessions.", examples=[True])


class UserSecret(User):
    """A user with the one-time secret to choose a password with; shown this once."""

    secret: str = Field(examples=["m0qk2f…"], description="Good for three days.")


def user(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a user as JSON sends it."""
    chosen = "chosen" if row["secret_until"] is None else "one-time"
    return {
        "id": str(row["id"]),
        **{name: row[name] for name in ("tenant", "name", "role", "disabled")},
        "password": "none" if row["password"] is None else chosen,
        "second_factor": row["totp"] is not None,
        "single_sign_on": row["oidc_subject"] is not None,
        "created_at": moment(row["created_at"]),
        "last_login": row["last_login"] and moment(row["last_login"]),
    }


async def permissions_of(connection: Any, tenant: str, role: str) -> frozenset[str]:
    """Return the permissions of a role; raise `Problem` (422) where there is no such role."""
    if role in ROLES:
        return ROLES[role]
    row = await connection.fetchrow(SQL["role"], tenant, role)
    if row is None:
        known = ", ".join(ROLES)
        raise Problem(422, f"role: expected {known} or a role of {tenant}, found {role}")
    return of_role(role, row["permissions"])


async def changeable(connection: Any, who: Principal, user_id: UUID) -> Mapping[str, Any]:
    """Return the user that is to be changed.

    Raises
    ------
    Problem
        404: there is none. 403: it may more than `who`. 409: it is `who`.
    """
    row: Mapping[str, Any] | None = await connection.fetchrow(SQL["user"], user_id)
    if row is None:
        raise Problem(404, f"there is no user {user_id}; GET /v1/users lists them")
    at_most(who, of_role(row["role"], row["permissions"]), f"user {row['name']}")
    if str(row["id"]) == who.user:
        raise Problem(409, "expected another user than yourself; ask another administrator")
    return row


@router.get("", response_model=Users)
async def list_users(
    database: DatabaseDep,
    name: Annotated[Text, Query(description="In full.")] = None,
    tenant: Annotated[Text, Query(description="Of those that the token may see.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List users, by tenant and name."""
    after = decode_cursor(cursor, str, str) if cursor else (None, None)
    if any("\x00" in part for part in after if part):
        raise Problem(422, "cursor: expected `next` of an earlier page, found another")
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["users"], tenant, name, *after, limit + 1)
    shown, last = more(rows, limit)
    following = encode_cursor(last["tenant"], last["name"]) if last else None
    return page(map(user, shown), following)


CONFLICT: dict[int | str, dict[str, Any]] = {
    409: errors.response("There is one already, or it is oneself")
}


@router.post("", status_code=201, response_model=UserSecret, responses=CONFLICT)
async def add_user(database: DatabaseDep, who: PrincipalDep, body: NewUser) -> Response:
    """Add a user; answers with a one-time secret for `POST /v1/auth/password`.

    No one may give a role that can do more than their own.
    """
    tenant, name = whose(who, body.tenant), body.name.lower()
    secret = passwords.one_time()
    known = await passwords.hashed(secret)
    async with database.writing() as connection:
        at_most(who, await permissions_of(connection, tenant, body.role), "role")
        row = await connection.fetchrow(SQL["new_user"], tenant, name, body.role, known, SECRET_S)
        if row is None:
            raise Problem(409, f"there is a user {name} of {tenant} already; choose another name")
        detail = {"name": name, "role": body.role}
        await audit(connection, "user.create", str(row["id"]), detail, tenant=tenant)
    return json_response(user(row) | {"secret": secret}, 201)


@router.get("/{user_id}", response_model=User)
async def one_user(database: DatabaseDep, user_id: UUID) -> Response:
    """Show one user."""
    async with database.reading() as connection:
        row = await connection.fetchrow(SQL["user"], user_id)
    if row is None:
        raise Problem(404, f"there is no user {user_id}; GET /v1/users lists them")
    return json_response(user(row))


@router.patch("/{user_id}", response_model=User, responses=CONFLICT)
async def change_user(
    database: DatabaseDep,
    identity: IdentityDep,
    who: PrincipalDep,
    user_id: UUID,
    body: UserChange,
) -> Response:
    """Change the role of a user, switch it off or on."""
    async with database.writing() as connection:
        before = await changeable(connection, who, user_id)
        if body.role is not None:
            wanted = await permissions_of(connection, before["tenant"], body.role)
            at_most(who, wanted, "role")
        row = await connection.fetchrow(SQL["change_user"], user_id, body.role, body.disabled)
        if body.disabled:
            await connection.execute(SQL["revoke_sessions"], user_id)
        detail = body.model_dump(exclude_none=True) | {"role_before": before["role"]}
        await audit(connection, "user.change", str(user_id), detail, tenant=before["tenant"])
    identity.credentials.forget()
    return json_response(user(row))


@router.post("/{user_id}/reset", response_model=UserSecret, responses=CONFLICT)
async def reset_user(
    database: DatabaseDep, identity: IdentityDep, who: PrincipalDep, user_id: UUID
) -> Response:
    """Take password and second factor off a user and end its sessions; answers with a secret."""
    secret = passwords.one_time()
    known = await passwords.hashed(secret)
    async with database.writing() as connection:
        before = await changeable(connection, who, user_id)
        row = await connection.fetchrow(SQL["reset_user"], user_id, known, SECRET_S)
        await connection.execute(SQL["revoke_sessions"], user_id)
        await connection.execute(SQL["forget_recovery_codes"], user_id)
        await connection.execute(SQL["forget_guesses"], before["tenant"], before["name"])
        await audit(connection, "user.reset", str(user_id), tenant=before["tenant"])
    identity.credentials.forget()
    return json_response(user(row) | {"secret": secret})


@router.post("/{user_id}/unlock", status_code=204, response_class=Response, responses=CONFLICT)
async def unlock_user(database: DatabaseDep, who: PrincipalDep, user_id: UUID) -> Response:
    """Let a user sign in again who is locked after wrong guesses."""
    async with database.writing() as connection:
        before = await changeable(connection, who, user_id)
        await connection.execute(SQL["forget_guesses"], before["tenant"], before["name"])
        await audit(connection, "user.unlock", str(user_id), tenant=before["tenant"])
    return Response(status_code=204)


@router.delete("/{user_id}", status_code=204, response_class=Response, responses=CONFLICT)
async def remove_user(
    database: DatabaseDep, identity: IdentityDep, who: PrincipalDep, user_id: UUID
) -> Response:
    """Remove a user, its sessions and its second factor. What it did stays in the audit log."""
    async with database.writing() as connection:
        before = await changeable(connection, who, user_id)
        await connection.execute(SQL["remove_user"], user_id)
        detail = {"name": before["name"]}
        await audit(connection, "user.remove", str(user_id), detail, tenant=before["tenant"])
    identity.credentials.forget()
    return Response(status_code=204)
