"""In front of every route: who asks, the headers of every answer, and the count of requests."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import NamedTuple, Self

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import docs
from api.errors import answer
from api.permissions import ADMIN, NOBODY, SERVICE, Principal
from sentinel import postgres
from sentinel.errors import SettingsError
from sentinel.local.home import ensure_token
from sentinel.metrics import API_REQUESTS

#: Paths that anyone may read: that the API is alive, and how to use it.
OPEN = frozenset({"/health", "/openapi.json"}) | docs.OPEN
TENANT_TOKENS = "tenant-tokens"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Tokens(NamedTuple):
    """SHA-256 digests of tokens, each with its tenant."""

    digests: tuple[tuple[bytes, str], ...]

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read the tokens in SENTINEL_HOME, making the first one where there is none.

        ``api-token`` holds the token that sees all tenants. ``tenant-tokens`` may hold
        more, a tenant and its token a line, separated by a space.

        Raises
        ------
        SettingsError
            A file cannot be read, or a line of ``tenant-tokens`` is not of that form.
        """
        try:
            found = [(ensure_token(home).read_text().strip(), postgres.ALL_TENANTS)]
            more = home / TENANT_TOKENS
            lines = more.read_text().splitlines() if more.exists() else []
        except OSError as error:
            raise SettingsError(f"expected to read the tokens in {home}: {error}") from error
        for number, line in enumerate(lines, 1):
            match line.split():
                case [tenant, token] if len(token) >= 16 and tenant != postgres.ALL_TENANTS:
                    found.append((token, tenant))
                case []:
                    pass
                case _:
                    raise SettingsError(
                        f"{more}:{number}: expected a tenant and a token of 16 characters or more"
                    )
        return cls(tuple((_digest(token.encode()), tenant) for token, tenant in found))

    def tenant_of(self, token: bytes) -> str | None:
        """Return whose `token` it is, in a time that does not depend on how much of it is right."""
        digest = _digest(token)
        found = None
        for known, tenant in self.digests:
            if hmac.compare_digest(known, digest):
                found = tenant
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class Guard:
    """Middleware: refuses whatever has no token, so that no route can forget to.

    Parameters
    ----------
    app
        What it stands in front of.
    tokens
        Those that are valid.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._finish(scope, message)
            await send(message)

        who = self._principal(scope)
        if who is None and scope["path"] not in OPEN:
            detail = (
                "expected the header `Authorization: Bearer TOKEN` with the token in the file "
                "api-token of SENTINEL_HOME, found none or another"
            )
            refusal = answer(scope["path"], 401, detail, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send_on)
            return
        scope.setdefault("state", {})["principal"] = who or NOBODY
        await self._app(scope, receive, send_on)

    def _principal(self, scope: Scope) -> Principal | None:
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        tenant = self._tokens.tenant_of(token.strip().encode("latin-1"))
        if tenant is None:
            return None
        if tenant == postgres.ALL_TENANTS:
            return Principal(tenant, "token:api-token", ADMIN)
        return Principal(tenant, f"token:{tenant}", SERVICE)

    def _finish(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if scope["path"].startswith("/docs"):
            headers["Content-Security-Policy"] = docs.POLICY
        route = getattr(scope.get("route"), "path", "none")  # bounded, unlike paths
        API_REQUESTS.labels(scope["method"], route, message["status"]).inc()
