"""One's own account: what one may do, sessions, the second factor."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from api.deps import DatabaseDep, PrincipalDep
from api.errors import Problem
from api.identity.access import DeskDep, IdentityDep, held
from api.identity.audit import audit
from api.identity.login import Attempt
from api.identity.second_factor import (
    address,
    new_recovery_codes,
    new_seed,
    recovery_digest,
    step_of,
)
from api.identity.sessions import SQL
from api.paging import json_response, moment
from api.permissions import Principal, allow

router = APIRouter(prefix="/v1/account", tags=["account"], dependencies=[Depends(allow("account"))])
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class Account(BaseModel):
    """Who asks, and what they may do."""

    subject: str = Field(examples=["user:ada"])
    tenant: str = Field(description="`*` is all of them.", examples=["default"])
    permissions: list[str] = Field(examples=[["alerts:read", "events:read"]])
    second_factor: bool = Field(examples=[True])
    recovery_codes_left: int = Field(examples=[10])


class Session(BaseModel):
    """One sign-in that goes on."""

    id: UUID = Field(examples=["6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"])
    method: str = Field(examples=["password"])
    address: str = Field(description="Where it began.", examples=["192.0.2.1"])
    agent: str = Field(description="What it began with.", examples=["curl/8.5"])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    used_at: datetime = Field(
        description="When its refresh token was used last.", examples=["2026-01-31T12:00:00.000Z"]
    )
    expires_at: datetime = Field(examples=["2026-01-31T12:00:00.000Z"])
    current: bool = Field(description="Whether this call is of it.", examples=[True])


class Sessions(BaseModel):
    """The sessions that go on, newest first."""

    items: list[Session]


class Proof(BaseModel):
    """Proof that it is still the owner who sits there."""

    model_config = ConfigDict(extra="forbid")
    password: str = Field(min_length=1, max_length=1024, examples=["correct horse battery"])
    code: str = Field("", max_length=40, description="Second factor, where it is on.")


class Confirmation(BaseModel):
    """A code of the app that has the new seed."""

    model_config = ConfigDict(extra="forbid")
    code: Code = Field(examples=["123456"])


class Seed(BaseModel):
    """A seed for an app; it counts once a code of it was sent back."""

    seed: str = Field(examples=["JBSWY3DPEHPK3PXP"])
    address: str = Field(
        description="For a QR code.", examples=["otpauth://totp/Sentinel:ada?secret=JBSW"]
    )


class RecoveryCodes(BaseModel):
    """Codes for when the phone is lost, each good once; shown this once."""

    recovery_codes: list[str] = Field(examples=[["ABCD-EFGH-JKLM-NPQR"]])


def owner(who: Principal) -> UUID:
    """Return the id of the user that asks; raise `Problem` (422) where it is none."""
    if not who.user:
        raise Problem(422, f"expected the access token of a user, found {who.subject}")
    return UUID(who.user)


@router.get("", response_model=Account)
async def account(database: DatabaseDep, who: PrincipalDep) -> Response:
    """Show who this credential is, and what it may do."""
    row = None
    left = 0
    if who.user:
        async with database.reading() as connection:
            row = await connection.fetchrow(SQL["user"], UUID(who.user))
            left = await connection.fetchval(SQL["recovery_codes_left"], UUID(who.user))
    return json_response(
        {
            "subject": who.subject,
            "tenant": who.tenant,
            "permissions": sorted(held(who)),
            "second_factor": row is not None and row["totp"] is not None,
            "recovery_codes_left": left,
        }
    )


@router.get("/sessions", response_model=Sessions)
async def sessions(database: DatabaseDep, who: PrincipalDep) -> Response:
    """List one's sessions."""
    async with database.reading() as connection:
        rows = await connection.fetch(SQL["sessions"], owner(who))
    return json_response({"items": [session(row, who) for row in rows]})


def session(row: Any, who: Principal) -> dict[str, Any]:
    """Return the row of a session as JSON sends it."""
    times = {name: moment(row[name]) for name in ("created_at", "used_at", "expires_at")}
    return {**row, **times, "id": str(row["id"]), "current": str(row["id"]) == who.session}


@router.delete("/sessions/{session_id}", status_code=204, response_class=Response)
async def end_session(
    database: DatabaseDep, identity: IdentityDep, who: PrincipalDep, session_id: UUID
) -> Response:
    """End one of one's sessions."""
    async with database.writing() as connection:
        ended = await connection.fetchval(SQL["revoke_own_session"], session_id, owner(who))
        if not ended:
            raise Problem(404, f"there is no session {session_id} of yours")
        await audit(connection, "session.end", str(session_id))
    identity.credentials.forget()
    return Response(status_code=204)


def again(who: Principal, proof: Proof) -> Attempt:
    """Return the proof of a user that is signed in, as one of signing in."""
    owner(who)
    return Attempt(who.tenant, who.subject.removeprefix("user:"), proof.password, proof.code)


@router.post("/second-factor", response_model=Seed)
async def begin_factor(
    database: DatabaseDep, desk: DeskDep, identity: IdentityDep, who: PrincipalDep, body: Proof
) -> Response:
    """Get the seed of a second factor; put it into an app and confirm with a code of it."""
    user = await desk.proven(again(who, body))
    seed = new_seed()
    async with database.writing() as connection:
        await connection.execute(SQL["begin_factor"], user["id"], identity.keys.encrypt(seed))
    return json_response({"seed": seed, "address": address(seed, user["name"])})


@router.post("/second-factor/confirm", response_model=RecoveryCodes)
async def confirm_factor(
    database: DatabaseDep, identity: IdentityDep, who: PrincipalDep, body: Confirmation
) -> Response:
    """Turn the second factor on: from now on, signing in asks for a code."""
    codes = new_recovery_codes()
    async with database.writing() as connection:
        user = await connection.fetchrow(SQL["user"], owner(who))
        if user is None or user["totp_pending"] is None:
            raise Problem(422, "expected a seed first: POST /v1/account/second-factor")
        seed = identity.keys.decrypt(bytes(user["totp_pending"]))
        step = step_of(body.code, seed, 0)
        if step is None:
            raise Problem(422, "code: expected that of the app now, found another; try the next")
        await connection.execute(SQL["turn_factor_on"], user["id"], step)
        await connection.execute(SQL["forget_recovery_codes"], user["id"])
        digests = [recovery_digest(code) for code in codes]
        await connection.execute(SQL["new_recovery_codes"], user["id"], digests)
        await audit(connection, "user.second_factor", str(user["id"]), {"on": True})
    return json_response({"recovery_codes": codes})


@router.post("/second-factor/off", status_code=204, response_class=Response)
async def turn_factor_off(
    database: DatabaseDep, desk: DeskDep, who: PrincipalDep, body: Proof
) -> Response:
    """Turn the second factor off; asks for password and code once more."""
    user = await desk.proven(again(who, body))
    async with database.writing() as connection:
        await connection.execute(SQL["turn_factor_off"], user["id"])
        await connection.execute(SQL["forget_recovery_codes"], user["id"])
        await audit(connection, "user.second_factor", str(user["id"]), {"on": False})
    return Response(status_code=204)
