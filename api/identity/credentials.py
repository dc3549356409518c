"""From what a request brings to who asks: access tokens, API keys, tokens in files.

Signature and database are asked once in `KNOWN_S` for each credential. So what is revoked
is refused at once by the process that was told, and by all others after `KNOWN_S`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from api.deps import Database, Services
from api.errors import Problem
from api.identity.rates import NO_QUOTA, Quota
from api.identity.sessions import SQL
from api.identity.signing import Keys
from api.permissions import ADMIN, PERMISSIONS, ROLES, SERVICE, Principal
from sentinel import postgres
from sentinel.errors import SettingsError
from sentinel.local.home import ensure_token

TENANT_TOKENS: Final = "tenant-tokens"
#: Seconds for which what was found out holds.
KNOWN_S: Final = 5.0
#: Credentials remembered at most; beyond, all are looked up anew.
MOST: Final = 10_000
_KEY: Final = re.compile(r"snk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")


class NewKey(NamedTuple):
    """An API key: its id, what is stored of it, and the text that is shown once."""

    id: str
    digest: bytes
    text: str


def new_key() -> NewKey:
    """Return a new API key: 256 random bits behind an id that finds it."""
    name, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return NewKey(name, _digest(secret), f"snk_{name}_{secret}")


class FileTokens(NamedTuple):
    """SHA-256 digests of the tokens in files, each with who it is."""

    digests: tuple[tuple[bytes, Principal], ...]

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read the tokens in SENTINEL_HOME, making the first one where there is none.

        ``api-token`` holds the token that sees all tenants and may do everything.
        ``tenant-tokens`` may hold more, a tenant and its token a line, separated by a space:
        they may what an analyst may, and send events in. API keys can be narrower, end and
        be revoked; prefer them.

        Raises
        ------
        SettingsError
            A file cannot be read, or a line of ``tenant-tokens`` is not of that form.
        """
        try:
            first = ensure_token(home).read_text().strip()
            more = home / TENANT_TOKENS
            lines = more.read_text().splitlines() if more.exists() else []
        except OSError as error:
            raise SettingsError(f"expected to read the tokens in {home}: {error}") from error
        found = [(first, Principal(postgres.ALL_TENANTS, "token:api-token", ADMIN))]
        for number, line in enumerate(lines, 1):
            match line.split():
                case [tenant, token] if len(token) >= 16 and tenant != postgres.ALL_TENANTS:
                    found.append((token, Principal(tenant, f"token:{tenant}", SERVICE)))
                case []:
                    pass
                case _:
                    raise SettingsError(
                        f"{more}:{number}: expected a tenant and a token of 16 characters or more"
                    )
        return cls(tuple((_digest(token), who) for token, who in found))

    def principal(self, token: str) -> Principal | None:
        """Return whose `token` it is, in a time that does not depend on how much of it is right."""
        digest = _digest(token)
        found = None
        for known, who in self.digests:
            if hmac.compare_digest(known, digest):
                found = who
        return found


class Credentials:
    """What this process knows of who asks.

    Parameters
    ----------
    tokens
        Those in files.
    keys
        What access tokens are signed with.
    """

    def __init__(self, tokens: FileTokens, keys: Keys) -> None:
        self._tokens = tokens
        self._keys = keys
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self._quotas: dict[str, tuple[float, Quota]] = {}

    def known(self, token: str) -> Principal | None:
        """Return whose `token` it is where that needs no look-up, else None."""
        until, who = self._known.get(_digest(token), (0.0, None))
        return who if until > time.monotonic() else self._tokens.principal(token)

    async def look_up(self, token: str, services: Services) -> Principal | None:
        """Return whose access token or API key it is; raise `Problem` (503) if nobody can tell."""
        everywhere = Database(services, postgres.ALL_TENANTS)
        key = _KEY.match(token)
        who = await (_of_key(everywhere, key) if key else self._of_session(everywhere, token))
        if who is not None:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[_digest(token)] = (time.monotonic() + KNOWN_S, who)
        return who

    def forget(self) -> None:
        """Look everything up anew: something was revoked or changed."""
        self._known.clear()
        self._quotas.clear()

    async def quota(self, tenant: str, services: Services) -> Quota:
        """Return the quota of a tenant; without the database the last one known, else none."""
        until, quota = self._quotas.get(tenant, (0.0, NO_QUOTA))
        if tenant == postgres.ALL_TENANTS or until > time.monotonic():
            return quota
        if len(self._quotas) >= MOST:
            self._quotas.clear()
        try:
            async with Database(services, tenant).reading() as connection:
                row = await connection.fetchrow(SQL["limits_of_tenant"], tenant)
        except Problem:  # 503: who is served without it is told by the route
            row = None
        else:
            quota = Quota(*row) if row else NO_QUOTA
        self._quotas[tenant] = (time.monotonic() + KNOWN_S, quota)
        return quota

    async def _of_session(self, everywhere: Database, token: str) -> Principal | None:
        claims = self._keys.read(token) if token.count(".") == 2 else None  # a JWT
        if claims is None:
            return None
        async with everywhere.reading() as connection:
            row = await connection.fetchrow(
                SQL["principal_of_session"], UUID(claims.session), UUID(claims.user)
            )
        if row is None or row["tenant"] != claims.tenant:
            return None
        permissions = of_role(row["role"], row["permissions"])
        subject = f"user:{row['name']}"
        return Principal(row["tenant"], subject, permissions, claims.user, claims.session)


def of_role(name: str, own: list[str] | None) -> frozenset[str]:
    """Return the permissions of a role: those of the code, or of a tenant's `own`."""
    return ROLES.get(name, frozenset(own or ()) & PERMISSIONS.keys())


async def _of_key(everywhere: Database, key: re.Match[str]) -> Principal | None:
    async with everywhere.reading() as connection:
        row: Any = await connection.fetchrow(SQL["principal_of_key"], key[1])
    if row is None or not hmac.compare_digest(bytes(row["digest"]), _digest(key[2])):
        return None
    if row["stale"]:
        async with everywhere.writing() as connection:
            await connection.execute(SQL["key_used"], key[1])
    permissions = frozenset(row["permissions"]) & PERMISSIONS.keys()
    return Principal(row["tenant"], f"key:{key[1]}", permissions)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
