"""In front of every route: `Edge` (ids, headers, sizes, counts), then `Guard` (who asks)."""

from __future__ import annotations

import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import docs
from api.deps import Services
from api.errors import Problem, answer
from api.identity.credentials import Credentials
from api.identity.rates import Rates, too_many
from api.permissions import NOBODY, Principal
from sentinel import log
from sentinel.metrics import API_REQUEST_SECONDS, API_REQUESTS

#: Asked by what restarts the process: never refused.
ALIVE = "/health"
#: Paths that anyone may read: that the API is alive, how to use it, how to sign in.
OPEN = (
    frozenset({ALIVE, "/openapi.json", "/.well-known/jwks.json"})
    | {f"/v1/auth/{name}" for name in ("login", "refresh", "password", "oidc", "oidc/callback")}
    | docs.OPEN
)
#: The credential in a file that scripts of this machine use; its limits are the machine's.
LOCAL = "token:api-token"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_REQUEST_ID = b"x-request-id"
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
#: A year, as browsers ask before they list a site; only ever sent over TLS.
HSTS = "max-age=31536000; includeSubDomains"
#: Largest body in bytes; `api.routes.ingest` takes more and counts itself.
MAX_BODY = 1_048_576
LARGER = "/v1/ingest/"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
#: Subprotocol before the token where a browser opens a WebSocket, which cannot set headers.
BEARER = "bearer"


class Edge:
    """Middleware: what every answer has, and what no request may be.

    The id of a request is that of its header ``X-Request-ID`` where it has a sound one, else
    a new one; it is in the answer, in every line of the log, and in the audit log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; refuse a body that is too large (413)."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request = given if _ID.match(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request"] = request
        began = time.perf_counter()

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _finish(scope, message, request, time.perf_counter() - began)
            await send(message)

        with log.bound(request=request):
            if scope["type"] == "websocket":
                await self._app(scope, receive, send_on)
            elif _announced(headers) > MAX_BODY and not scope["path"].startswith(LARGER):
                await answer(scope["path"], 413, _TOO_LARGE)(scope, receive, send_on)
            else:
                await self._app(scope, _counted(scope, receive), send_on)


_TOO_LARGE = f"body: expected at most {MAX_BODY} bytes, found more"


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _counted(scope: Scope, receive: Receive) -> Receive:
    """Return `receive`, raising as soon as a body that is sent in pieces is too large."""
    if scope["path"].startswith(LARGER):
        return receive
    size = 0

    async def receive_on() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return receive_on


def _finish(scope: Scope, message: Message, request: str, seconds: float) -> None:
    given: list[tuple[bytes, bytes]] = message["headers"]
    names = {name for name, _ in given} | {_REQUEST_ID}
    message["headers"] = [
        *(pair for pair in given if pair[0] != _REQUEST_ID),
        (_REQUEST_ID, request.encode()),
        *(pair for pair in _RAW_HEADERS if pair[0] not in names),
    ]
    if scope["scheme"] == "https" or scope["path"].startswith("/docs"):
        headers = MutableHeaders(scope=message)
        if scope["scheme"] == "https":
            headers["Strict-Transport-Security"] = HSTS
        if scope["path"].startswith("/docs"):
            headers["Content-Security-Policy"] = docs.POLICY
    route = getattr(scope.get("route"), "path", "none")  # bounded, unlike paths
    API_REQUESTS.labels(scope["method"], route, message["status"]).inc()
    API_REQUEST_SECONDS.labels(scope["method"], route).observe(seconds)


class Guard:
    """Middleware: refuses whatever has no credential, so that no route can forget to.

    Leaves a `Principal` in ``request.state.principal``; what it may do is asked by routes
    (`api.permissions.allow`), which rows it sees by the database.

    Parameters
    ----------
    app
        What it stands in front of.
    credentials
        Those that are valid.
    rates
        The limits.
    """

    def __init__(self, app: ASGIApp, credentials: Credentials, rates: Rates) -> None:
        self._app = app
        self._credentials = credentials
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 401 or 429; a WebSocket is closed with 1008."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            scope["state"]["principal"] = await self._admit(scope)
        except Problem as problem:
            if scope["type"] == "websocket":
                await send(
                    {"type": "websocket.close", "code": 1008, "reason": problem.detail[:100]}
                )
                return
            refusal = answer(scope["path"], problem.status, problem.detail, problem.headers)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> Principal:
        address = scope["client"][0] if scope.get("client") else ""
        services: Services = scope["app"].state.services
        token = _token(scope)
        who = self._credentials.known(token) if token else None
        if who is None and token and not self._rates.exhausted(address):
            who = await self._credentials.look_up(token, services)
        if who is None:
            if scope["path"] == ALIVE:
                return NOBODY
            if waiting := self._rates.stranger(address):
                raise too_many("fewer requests without a valid token", waiting)
            if scope["path"] in OPEN:
                return NOBODY
            raise Problem(401, _NOBODY_KNOWN, {"WWW-Authenticate": "Bearer"})
        if who.subject != LOCAL:
            await self._count(who, services)
        return who

    async def _count(self, who: Principal, services: Services) -> None:
        quota = await self._credentials.quota(who.tenant, services)
        if quota.disabled:
            raise Problem(403, f"the tenant {who.tenant} is switched off")
        if waiting := self._rates.request(who.tenant, who.subject, quota):
            raise too_many("fewer requests of this user or tenant", waiting)


_NOBODY_KNOWN = (
    "expected the header `Authorization: Bearer TOKEN` with an access token of POST "
    "/v1/auth/login, an API key, or the token in the file api-token of SENTINEL_HOME; found "
    "none, or one that is not valid (any more)"
)


def _token(scope: Scope) -> str:
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    asked = scope.get("subprotocols") or []
    return str(asked[1]) if len(asked) > 1 and asked[0] == BEARER else ""
