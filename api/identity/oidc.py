"""Single sign-on: OpenID Connect's code flow with PKCE, and nothing else of it.

What is checked follows OpenID Connect Core 1.0 (3.1.3.7) and RFC 9700: `state` and a cookie
tie the answer to the browser that asked, `nonce` ties the ID token to the question, PKCE
(S256) ties the code to this process; the ID token's algorithm is one of `ALGORITHMS`, its
key one of the issuer's own JWKS, issuer, audience and expiry are required. What must be
remembered between the two halves is encrypted in the cookie: the API keeps no state.

Who signs in is found by issuer and subject. The first time, a user whose name is the verified
e-mail address and who has no issuer yet is joined to it; else one is made, where
``SENTINEL_OIDC_ROLE`` says which role.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
import orjson
from cryptography.fernet import InvalidToken
from fastapi import Cookie, Depends, Query

from api.deps import ActorDep, Database, ServicesDep
from api.errors import Problem
from api.identity.access import EverywhereDep, IdentityDep
from api.identity.audit import audit
from api.identity.sessions import SQL, Tokens, begin
from sentinel.settings import Settings

COOKIE: Final = "sentinel_oidc"
#: Seconds from going to the issuer to coming back.
WAIT_S: Final = 600
ANSWER_S: Final = 10.0
#: Seconds that the issuer's description and keys are kept.
KEPT_S: Final = 3600.0
#: Signatures with keys that the issuer publishes; no `none`, no shared secret (HS256).
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "EdDSA")
MAX_ANSWER: Final = 1_048_576
_NAME: Final = re.compile(r"[a-z0-9_.@+-]{1,128}\Z")
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


class Answer(NamedTuple):
    """What a browser brings back from the issuer."""

    code: str
    state: str
    cookie: str


class Issuer:
    """One issuer's description and keys, fetched when needed.

    Parameters
    ----------
    url
        As in ``SENTINEL_OIDC_ISSUER``; https, or of this machine.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._described: tuple[float, dict[str, Any]] = (float("-inf"), {})
        self._keys: tuple[float, dict[str, Any]] = (float("-inf"), {})

    async def described(self) -> dict[str, Any]:
        """Return the issuer's description; raise `Problem` (502) where it has none."""
        fetched, found = self._described
        if time.monotonic() - fetched > KEPT_S:
            found = await fetch("GET", f"{self.url.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.url:
                raise bad(f"expected the issuer {self.url}, found {found.get('issuer')!r}")
            self._described = (time.monotonic(), found)
        return found

    async def key(self, kid: str) -> Any:
        """Return the issuer's key `kid`; its keys are asked for anew where it is unknown."""
        fetched, found = self._keys
        age = time.monotonic() - fetched
        if age > KEPT_S or (kid not in found and age > ANSWER_S):
            keys = (await fetch("GET", await self.endpoint("jwks_uri"))).get("keys", [])
            found = {key.get("kid", ""): key for key in keys if key.get("kty") != "oct"}
            self._keys = (time.monotonic(), found)
        if not kid and len(found) == 1:  # named only where there are several (Core, 10.1)
            return next(iter(found.values()))
        if kid not in found:
            raise bad(f"expected an ID token signed with a key of {self.url}, found {kid!r}")
        return found[kid]

    async def endpoint(self, name: str) -> str:
        """Return the address of an endpoint of the issuer."""
        url = (await self.described()).get(name)
        if not isinstance(url, str) or not _is_safe(url):
            raise bad(f"expected an https address as {name}, found {url!r}")
        return url


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


async def fetch(method: str, url: str, **sent: Any) -> dict[str, Any]:
    """Return the JSON object at `url`; raise `Problem` (502) where there is none."""
    if not _is_safe(url):
        raise bad(f"expected an https address, found {url}")
    try:
        async with httpx.AsyncClient(timeout=ANSWER_S, follow_redirects=False) as client:
            response = await client.request(method, url, **sent)
        if len(response.content) > MAX_ANSWER:
            raise bad(f"expected at most {MAX_ANSWER} bytes from {url}, found more")
        found = orjson.loads(response.content)
    except (httpx.HTTPError, httpx.InvalidURL, orjson.JSONDecodeError) as error:
        raise bad(f"expected JSON from {url}, found: {error or type(error).__name__}") from error
    if response.status_code != 200 or not isinstance(found, dict):
        why = found.get("error", "") if isinstance(found, dict) else ""
        raise bad(f"expected an answer from {url}, found status {response.status_code} {why}")
    return found


def bad(detail: str) -> Problem:
    """Return the problem of an issuer that does not do as the standard says (502)."""
    return Problem(502, f"single sign-on: {detail}")


class SignOn:
    """One browser's way to the issuer and back."""

    def __init__(
        self,
        issuer: Issuer,
        settings: Settings,
        identity: IdentityDep,
        everywhere: Database,
        actor: ActorDep,
    ) -> None:
        self._issuer = issuer
        self._settings = settings
        self._identity = identity
        self._database = everywhere
        self._actor = actor

    async def begin(self) -> tuple[str, str]:
        """Return where to send the browser, and the cookie it is to bring back."""
        verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self._settings.oidc_redirect,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        where = await self._issuer.endpoint("authorization_endpoint")
        kept = orjson.dumps([state, nonce, verifier]).decode()
        joint = "&" if "?" in where else "?"
        return where + joint + urlencode(asked), self._identity.keys.encrypt(kept).decode()

    async def finish(self, answer: Answer, agent: str) -> Tokens:
        """Return the tokens of a new session of whom the issuer names.

        Raises
        ------
        Problem
            401: not the browser that asked, or too late. 403: nobody we know. 502: the
            issuer does not do as the standard says.
        """
        try:
            kept = self._identity.keys.decrypt(answer.cookie.encode("ascii", "replace"), WAIT_S)
        except InvalidToken:
            kept = '["", "", ""]'
        state, nonce, verifier = orjson.loads(kept)
        if not (state and hmac.compare_digest(state.encode(), answer.state.encode())):
            raise Problem(
                401,
                "expected the browser that began at /v1/auth/oidc at most ten minutes ago, "
                "found another; begin again",
                {"WWW-Authenticate": "Bearer"},
            )
        claims = await self._claims(answer.code, nonce, verifier)
        async with self._database.writing() as connection:
            user = await self._user(connection, claims)
            tokens = await begin(connection, self._identity.keys, user, "oidc", self._actor, agent)
            await connection.execute(SQL["signed_in"], user["id"], None)
            await connection.execute(SQL["name_actor"], f"user:{user['name']}")
            detail = {"method": "oidc", "issuer": self._issuer.url}
            target = str(user["id"])
            await audit(connection, "user.login", target, detail, tenant=user["tenant"])
        return tokens

    async def _claims(self, code: str, nonce: str, verifier: str) -> dict[str, Any]:
        """Exchange the code for an ID token and return what that says, once it is proven."""
        settings = self._settings
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.oidc_redirect,
            "client_id": settings.oidc_client_id,
            "code_verifier": verifier,
        }
        secret = settings.oidc_client_secret.get_secret_value()
        basic = (settings.oidc_client_id, secret) if secret else None
        url = await self._issuer.endpoint("token_endpoint")
        token = (await fetch("POST", url, data=sent, auth=basic)).get("id_token", "")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            if algorithm not in ALGORITHMS:
                raise bad(f"expected an ID token signed by {ALGORITHMS}, found {algorithm}")
            key = jwt.PyJWK(await self._issuer.key(str(header.get("kid", ""))), algorithm)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                [algorithm],
                audience=settings.oidc_client_id,
                issuer=self._issuer.url,
                leeway=30,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise bad(f"expected a sound ID token, found: {error}") from error
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise bad("expected an ID token for this sign-on, found that of another")
        if claims.get("azp", settings.oidc_client_id) != settings.oidc_client_id:
            raise bad(f"expected an ID token for {settings.oidc_client_id}, found another's")
        return claims

    async def _user(self, connection: Any, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        who = (self._settings.oidc_tenant, self._issuer.url, str(claims["sub"])[:255])
        verified = claims.get("email_verified") is True
        name = str(claims.get("email", "")).lower() if verified else ""
        name = name if _NAME.match(name) else ""
        user = await connection.fetchrow(SQL["user_of_issuer"], *who)
        if user is None and name:
            user = await connection.fetchrow(SQL["join_issuer"], *who, name)
        if user is None and name and self._settings.oidc_role:
            user = await connection.fetchrow(
                SQL["new_user_of_issuer"], *who, name, self._settings.oidc_role
            )
            if user is not None:
                detail = {"name": name, "role": user["role"], "issuer": who[1]}
                target = str(user["id"])
                await audit(connection, "user.create", target, detail, tenant=who[0])
        if user is None or user["disabled"]:
            raise Problem(
                403,
                f"expected a user with a verified e-mail address who may sign in to {who[0]}, "
                "found none; an administrator can add one by that name",
            )
        return dict(user)


async def provider(
    services: ServicesDep,
    identity: IdentityDep,
    everywhere: EverywhereDep,
    actor: ActorDep,
) -> SignOn:
    """Return the way to the issuer; raise `Problem` (404) where there is none."""
    settings = services.settings
    if not (settings.oidc_issuer and settings.oidc_client_id and settings.oidc_redirect):
        raise Problem(
            404,
            "single sign-on is off: set SENTINEL_OIDC_ISSUER, SENTINEL_OIDC_CLIENT_ID and "
            "SENTINEL_OIDC_REDIRECT",
        )
    identity.rates.sign_in(actor.address)
    issuer = _ISSUERS.setdefault(settings.oidc_issuer, Issuer(settings.oidc_issuer))
    return SignOn(issuer, settings, identity, everywhere, actor)


_ISSUERS: Final[dict[str, Issuer]] = {}


async def sign_on(
    code: Annotated[str, Query(max_length=4096, description="Of the issuer.")] = "",
    state: Annotated[str, Query(max_length=200, description="As it was sent.")] = "",
    error: Annotated[str, Query(max_length=200, description="Why there is no code.")] = "",
    sentinel_oidc: Annotated[str, Cookie(max_length=4096, include_in_schema=False)] = "",
) -> Answer:
    """Return what the browser brings; raise `Problem` (401) where the issuer refused."""
    if error or not code:
        raise Problem(401, f"single sign-on: expected a code of the issuer, found {error!r}")
    return Answer(code, state, sentinel_oidc)


Provider = Annotated[SignOn, Depends(provider)]
SignOnDep = Annotated[Answer, Depends(sign_on)]
