"""Sign in and out: passwords, tokens, single sign-on."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from api import errors
from api.deps import DatabaseDep, PrincipalDep, ServicesDep
from api.errors import Problem
from api.identity.access import DeskDep, EverywhereDep, IdentityDep
from api.identity.audit import audit
from api.identity.login import Attempt
from api.identity.oidc import COOKIE, Provider, SignOnDep
from api.identity.sessions import SQL, renew
from api.identity.setup import NAME as FIRST_NAME
from api.identity.signing import ALGORITHMS
from api.paging import json_response
from api.permissions import allow
from sentinel import postgres
from sentinel.local.home import ADMIN_SECRET

router = APIRouter(tags=["sign in"])
FIRST_USER = (postgres.ALL_TENANTS, FIRST_NAME)
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")]
Whose = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9_.@-]{1,128})$")]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Agent = Annotated[str | None, Header(include_in_schema=False)]


class SignIn(BaseModel):
    """Who signs in, and with what."""

    model_config = ConfigDict(extra="forbid")
    tenant: Whose = Field("default", description="`*` for users of the platform.")
    user: Name = Field(examples=["ada"])
    password: Secret = Field(examples=["correct horse battery staple"])
    code: str = Field(
        "", max_length=40, description="Second factor, or a recovery code, where it is on."
    )

    def attempt(self) -> Attempt:
        """Return it as it is looked up."""
        return Attempt(self.tenant, self.user.lower(), self.password, self.code)


class NewPassword(SignIn):
    """A password to choose; `password` is the one so far, or the one-time secret."""

    new_password: Secret = Field(examples=["staple battery horse correct"])


class Refresh(BaseModel):
    """A refresh token; it is good once."""

    model_config = ConfigDict(extra="forbid")
    refresh_token: str = Field(min_length=1, max_length=200, examples=["snr_…"])


class TokenPair(BaseModel):
    """Tokens, named as OAuth 2.0 does (RFC 6749, 5.1)."""

    access_token: str = Field(description="For `Authorization: Bearer`.", examples=["eyJ…"])
    refresh_token: str = Field(description="For the next pair, once.", examples=["snr_…"])
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="Seconds the access token is good for.", examples=[900])


class KeySet(BaseModel):
    """Public keys that access tokens are verified with (RFC 7517)."""

    keys: list[dict[str, Any]] = Field(examples=[[{"kty": "OKP", "kid": "6e16996abf559e9d"}]])


class NewKey(BaseModel):
    """What signs access tokens from now on."""

    model_config = ConfigDict(extra="forbid")
    algorithm: str = Field(ALGORITHMS[0], pattern="^(EdDSA|RS256)$", examples=["EdDSA"])


class SigningKey(BaseModel):
    """The key that signs access tokens."""

    kid: str = Field(examples=["6e16996abf559e9d"])


@router.post("/v1/auth/login", response_model=TokenPair)
async def login(desk: DeskDep, body: SignIn, user_agent: Agent = None) -> Response:
    """Sign in; answers with an access token for 15 minutes and a refresh token.

    401 does not tell whether there is such a user. With a second factor and no `code` it
    asks for that, once the password is right. After five wrong guesses a name is locked
    for a minute, then longer (429).
    """
    tokens = await desk.sign_in(body.attempt(), user_agent or "")
    return json_response(tokens.shown())


@router.post("/v1/auth/refresh", response_model=TokenPair)
async def refresh(identity: IdentityDep, everywhere: EverywhereDep, body: Refresh) -> Response:
    """Exchange a refresh token for the next pair.

    One that is used a second time was copied: the whole session ends, the audit log has it.
    """
    if "\x00" in body.refresh_token:
        raise Problem(422, "refresh_token: expected one, found a NUL in it")
    tokens = await renew(everywhere, identity.keys, body.refresh_token)
    return json_response(tokens.shown())


@router.post("/v1/auth/password", status_code=204, response_class=Response)
async def choose_password(
    desk: DeskDep, identity: IdentityDep, services: ServicesDep, body: NewPassword
) -> Response:
    """Change the password, or choose one in place of a one-time secret. Ends all sessions."""
    attempt = body.attempt()
    await desk.choose_password(attempt, body.new_password)
    if attempt[:2] == FIRST_USER:  # its secret is of no use any more
        secret = services.settings.home / ADMIN_SECRET
        await asyncio.to_thread(secret.unlink, missing_ok=True)
    identity.credentials.forget()
    return Response(status_code=204)


@router.post(
    "/v1/auth/logout",
    status_code=204,
    response_class=Response,
    dependencies=[Depends(allow("account"))],
)
async def logout(database: DatabaseDep, identity: IdentityDep, who: PrincipalDep) -> Response:
    """End the session of this access token, and with it its refresh token."""
    if not who.session:
        raise Problem(422, f"expected the access token of a session, found {who.subject}")
    async with database.writing() as connection:
        await connection.execute(SQL["revoke_session"], who.session)
        await audit(connection, "session.end", who.session)
    identity.credentials.forget()
    return Response(status_code=204)


@router.get("/.well-known/jwks.json", response_model=KeySet)
async def key_set(identity: IdentityDep) -> Response:
    """Show the public keys of access tokens, those that no longer sign included."""
    return json_response(identity.keys.jwks())


@router.post(
    "/v1/auth/signing-keys",
    status_code=201,
    response_model=SigningKey,
    dependencies=[Depends(allow("tenants:manage"))],
)
async def rotate(database: DatabaseDep, identity: IdentityDep, body: NewKey) -> Response:
    """Sign access tokens with a new key from now on; those of the one before stay good."""
    async with database.writing() as connection:
        kid = await asyncio.to_thread(identity.keys.rotate, body.algorithm)
        await audit(connection, "signing_key.rotate", kid, {"algorithm": body.algorithm})
    return json_response({"kid": kid}, 201)


@router.get(
    "/v1/auth/oidc",
    status_code=303,
    response_class=Response,
    responses={303: {"description": "To the issuer"}},
)
async def sign_on(provider: Provider, request: Request) -> Response:
    """Go to the OpenID Connect issuer (SENTINEL_OIDC_ISSUER) to sign in there."""
    where, cookie = await provider.begin()
    response = Response(status_code=303, headers={"Location": where})
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=600,
        path="/v1/auth/oidc",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.get(
    "/v1/auth/oidc/callback",
    response_model=TokenPair,
    responses={502: errors.response("The issuer did not answer as OpenID Connect says")},
)
async def signed_on(
    provider: Provider,
    sign_on: SignOnDep,
    user_agent: Agent = None,
) -> Response:
    """Come back from the issuer; answers as `POST /v1/auth/login` does."""
    tokens = await provider.finish(sign_on, user_agent or "")
    response = json_response(tokens.shown())
    response.delete_cookie(COOKIE, path="/v1/auth/oidc")
    return response
