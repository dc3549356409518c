"""Sign in by password: throttled, locked out after wrong guesses, with a second factor.

Whether there is such a user cannot be told from the answer, from its time (a password is
computed in any case) or from the lock-out (names that do not exist are locked too).
The lock-out is for a time that doubles (1 minute to 1 hour): an attacker who keeps a name
locked costs its owner an hour at most, and `sentinel users unlock` ends it at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from cryptography.fernet import InvalidToken

from api.deps import Actor, Database
from api.errors import Problem
from api.identity import passwords
from api.identity.audit import audit
from api.identity.rates import too_many
from api.identity.second_factor import recovery_digest, step_of
from api.identity.sessions import SQL, Tokens, begin
from api.identity.signing import Keys
from sentinel import postgres

#: Wrong guesses after which a name is locked.
GUESSES: Final = 5


class Attempt(NamedTuple):
    """What somebody signs in with."""

    tenant: str
    name: str
    password: str
    code: str = ""


class Desk:
    """Where people show who they are.

    Parameters
    ----------
    everywhere
        The database in the name of all tenants.
    keys
        What tokens are signed with.
    actor
        From where, in which request.
    """

    def __init__(self, everywhere: Database, keys: Keys, actor: Actor) -> None:
        self._database = everywhere
        self._keys = keys
        self._actor = actor

    async def sign_in(self, attempt: Attempt, agent: str) -> Tokens:
        """Return the tokens of a new session.

        Raises
        ------
        Problem
            401: name, password or code are wrong. 403: a one-time secret must be changed
            first. 429: the name is locked.
        """
        user = await self.proven(attempt)
        if user["secret_until"] is not None:
            raise Problem(
                403,
                "this is a one-time secret: choose a password with POST /v1/auth/password "
                "(`sentinel users password`), then sign in",
            )
        better = user["password"]
        stronger = await passwords.hashed(attempt.password) if passwords.outdated(better) else None
        async with self._database.writing() as connection:
            tokens = await begin(connection, self._keys, user, "password", self._actor, agent)
            await connection.execute(SQL["signed_in"], user["id"], stronger)
            await self._told(connection, user, "user.login", {"method": "password"})
        return tokens

    async def choose_password(self, attempt: Attempt, new: str) -> None:
        """Change a password, or choose the first in place of a one-time secret.

        All sessions of the user end.

        Raises
        ------
        Problem
            As `sign_in`; 422 where the new password may not be one.
        """
        if fault := passwords.fault(new, attempt.name):
            raise Problem(422, f"new_password: {fault}; choose another")
        user = await self.proven(attempt)
        if new == attempt.password:
            raise Problem(422, "new_password: expected another password, found the same")
        known = await passwords.hashed(new)
        async with self._database.writing() as connection:
            await connection.execute(SQL["set_password"], user["id"], known)
            await connection.execute(SQL["revoke_sessions"], user["id"])
            await self._told(connection, user, "user.password", {})

    async def proven(self, attempt: Attempt) -> Mapping[str, Any]:
        """Return the user whose password and second factor these are; see `sign_in`."""
        whose = (attempt.tenant, attempt.name)
        async with self._database.writing() as connection:
            counted = await connection.fetchval(SQL["guess"], *whose, GUESSES)
            waiting = None
            if counted is None:
                waiting = await connection.fetchval(SQL["locked_for"], *whose)
            user = await connection.fetchrow(SQL["user_by_name"], *whose)
        if counted is None:
            raise too_many(f"at most {GUESSES} wrong guesses", max(1, waiting or 1))
        right = await passwords.matches(attempt.password, user and user["password"])
        if not (right and user and _usable(user)):
            await self._refuse(attempt, user, "name or password")
            raise wrong("name and password of a user, found another pair")
        await self._second(attempt, user)
        async with self._database.writing() as connection:
            await connection.execute(SQL["forget_guesses"], *whose)
        return dict(user)

    async def _second(self, attempt: Attempt, user: Mapping[str, Any]) -> None:
        if user["totp"] is None:
            return
        if not attempt.code:  # stays counted: else every such call would allow more guesses
            raise wrong("`code` of the second factor, or a recovery code, found none")
        if not await self._code_is_right(attempt.code, user):
            await self._refuse(attempt, user, "code")
            raise wrong("`code` of the second factor, or a recovery code, found another")

    async def _code_is_right(self, code: str, user: Mapping[str, Any]) -> bool:
        try:
            seed = self._keys.decrypt(bytes(user["totp"]))
        except InvalidToken as error:
            raise Problem(
                503,
                "the second factor cannot be read: identity-keys.json of SENTINEL_HOME is not "
                "that which it was made with; `sentinel users reset` takes it off",
            ) from error
        step = step_of(code, seed, user["totp_step"])
        async with self._database.writing() as connection:
            if step is not None:
                return bool(await connection.fetchval(SQL["use_step"], user["id"], step))
            found = await connection.fetchval(
                SQL["use_recovery_code"], user["id"], recovery_digest(code)
            )
            if found:
                await self._told(connection, user, "user.recovery_code", {})
            return bool(found)

    async def _refuse(self, attempt: Attempt, user: Mapping[str, Any] | None, why: str) -> None:
        """Tell the log: that of the tenant for a user of its, else that of the platform."""
        detail = {"tenant": attempt.tenant, "wrong": why}
        tenant = user["tenant"] if user else postgres.ALL_TENANTS
        async with self._database.writing() as connection:
            await audit(connection, "user.login_refused", attempt.name, detail, tenant=tenant)

    async def _told(
        self, connection: Any, user: Mapping[str, Any], action: str, detail: Mapping[str, Any]
    ) -> None:
        await connection.execute(SQL["name_actor"], f"user:{user['name']}")
        await audit(connection, action, str(user["id"]), detail, tenant=user["tenant"])


def _usable(user: Mapping[str, Any]) -> bool:
    until = user["secret_until"]
    return not user["disabled"] and (until is None or until > datetime.now(UTC))


def wrong(expected: str) -> Problem:
    """Return the problem of one who could not show who they are (401)."""
    return Problem(401, f"expected {expected}", {"WWW-Authenticate": "Bearer"})
