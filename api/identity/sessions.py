"""Sessions: an access token for 15 minutes, a refresh token that is good once.

Refresh tokens rotate (RFC 9700, 4.14.2): using one gives the next. One that is used again
was copied, by a thief or from its owner by one, and nobody can tell which: the session ends
for both, and the audit log has it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from api.deps import Actor, Database
from api.errors import Problem
from api.identity.audit import audit
from api.identity.signing import ACCESS_S, Claims, Keys
from sentinel import postgres

SQL: Final = postgres.queries(Path(__file__).with_name("queries.sql"))
#: Seconds without use after which a session ends, and after which it does in any case.
IDLE_S: Final = 7 * 86_400
LONGEST_S: Final = 30 * 86_400
PREFIX: Final = "snr_"


class Tokens(NamedTuple):
    """What a client gets: it sends `access`, and uses `refresh` once for the next pair."""

    access: str
    refresh: str

    def shown(self) -> dict[str, Any]:
        """Return them as RFC 6749, 5.1 names them."""
        return {
            "access_token": self.access,
            "refresh_token": self.refresh,
            "token_type": "Bearer",
            "expires_in": ACCESS_S,
        }


async def begin(
    connection: Any, keys: Keys, user: Mapping[str, Any], method: str, actor: Actor, agent: str
) -> Tokens:
    """Begin a session of `user`, in the caller's transaction; old ones are tidied away."""
    session = uuid4()
    await connection.execute(SQL["forget_sessions"])
    await connection.execute(
        SQL["new_session"],
        session,
        user["tenant"],
        user["id"],
        method,
        actor.address,
        agent[:200].replace("\x00", ""),
        LONGEST_S,
    )
    return await _next(connection, keys, Claims(str(user["id"]), user["tenant"], str(session)))


async def _next(connection: Any, keys: Keys, claims: Claims) -> Tokens:
    refresh = PREFIX + secrets.token_urlsafe(32)
    await connection.execute(SQL["new_refresh"], _digest(refresh), UUID(claims.session), IDLE_S)
    return Tokens(keys.issue(claims), refresh)


async def renew(everywhere: Database, keys: Keys, refresh: str) -> Tokens:
    """Return the next pair; raise `Problem` (401) where `refresh` is not good (any more).

    Parameters
    ----------
    everywhere
        The database in the name of all tenants: the token says whose it is.
    """
    async with everywhere.writing() as connection:
        used = await connection.fetchrow(SQL["use_refresh"], _digest(refresh))
        if used is None:
            await _end_if_copied(connection, refresh)
            tokens = None
        else:
            tokens = await _renewed(connection, keys, used) if used["good"] else None
    if tokens is None:
        raise Problem(
            401,
            "expected a refresh token of a session that goes on, which was never used before; "
            "sign in again",
            {"WWW-Authenticate": "Bearer"},
        )
    return tokens


async def _renewed(connection: Any, keys: Keys, used: Mapping[str, Any]) -> Tokens | None:
    owner = await connection.fetchrow(SQL["touch_session"], used["session_id"])
    if owner is None:
        return None
    claims = Claims(str(owner["user_id"]), owner["tenant"], str(used["session_id"]))
    return await _next(connection, keys, claims)


async def _end_if_copied(connection: Any, refresh: str) -> None:
    session = await connection.fetchval(SQL["session_of_refresh"], _digest(refresh))
    if session is None:
        return
    ended = await connection.fetchrow(SQL["revoke_session"], session)
    if ended is not None:
        detail = {"user": str(ended["user_id"]), "why": "a refresh token was used twice"}
        await audit(connection, "session.reuse", str(session), detail, tenant=ended["tenant"])


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
