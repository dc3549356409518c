"""The first user: an administrator of the platform, with a secret that is good once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from api.deps import Actor, Database, Services
from api.identity import passwords
from api.identity.audit import audit
from api.identity.sessions import SQL
from sentinel import postgres
from sentinel.local.home import ADMIN_SECRET
from sentinel.settings import Settings

NAME: Final = "admin"
#: Seconds that the one-time secret of a user is good for.
SECRET_S: Final = 3 * 86_400
#: Of the lock that keeps two processes from making the first user at a time.
_LOCK: Final = "sentinel.first_admin"


async def first_admin(settings: Settings) -> Path | None:
    """Make the user ``admin`` of all tenants where there is no user at all.

    Returns
    -------
    Path
        The file (mode 0600) with its one-time secret, which is nowhere else; None where
        there are users already.

    Raises
    ------
    Problem
        PostgreSQL cannot be reached.
    """
    services = Services(settings)
    try:
        database = Database(services, postgres.ALL_TENANTS, Actor("system:setup"))
        async with database.reading() as connection:
            if await connection.fetchval(SQL["any_user"]):
                return None
        secret = passwords.one_time()
        known = await passwords.hashed(secret)
        path = settings.home / ADMIN_SECRET
        async with database.writing() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", _LOCK)
            if await connection.fetchval(SQL["any_user"]):
                return None
            user = await connection.fetchrow(
                SQL["new_user"], postgres.ALL_TENANTS, NAME, "admin", known, SECRET_S
            )
            await audit(connection, "user.create", str(user["id"]), {"name": NAME})
            _keep(path, secret)
        return path
    finally:
        await services.close()


def _keep(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)  # of another database
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
