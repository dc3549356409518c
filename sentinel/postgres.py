"""PostgreSQL for whoever needs it: a pool of one role, which errors pass, named queries.

Roles and tenants (``infra/postgres/migrations``): a connection is made with the DSN's
login and then takes the role `WORKER` or `API`, so that least privilege holds even where
the DSN is the owner's, as in the embedded stack. Row-level security shows the rows of the
tenant in the setting ``sentinel.tenant``; ``*`` is all of them. A worker serves all tenants
and sets it once a connection; whoever serves people sets it with
``set_config('sentinel.tenant', …, true)`` in each transaction. Session pooling is required
(``SET ROLE``, temporary tables): PgBouncer's transaction mode does not do.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import stamina

from sentinel.errors import AwayError, StackError

WORKER = "sentinel_worker"
API = "sentinel_api"
TRAINER = "sentinel_trainer"
ALL_TENANTS = "*"
#: A process that freezes within a transaction loses it, and so its locks, after this many
#: seconds: before others take over what it was doing (10 s, the session timeout of workers).
IDLE_S = 5.0
_NAME = re.compile(r"^--\s*name:\s*(\w+)\s*$", re.MULTILINE)
_PASSING = (
    AwayError,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)

#: What asyncpg says of a connection that was lost between two statements.
#: What it says, as a lost connection, where the server was built or set up without TLS.
_NO_TLS = "rejected SSL upgrade"
_LOST = ("connection is closed", "connection was closed", "released back to the pool")


def is_passing(error: Exception) -> bool:
    """Say whether `error` goes away by waiting: restart, fail-over, lost connection, full disk.

    The statement may or may not have been carried out: repeat only what is idempotent.
    """
    if isinstance(error, asyncpg.InterfaceError):  # mostly wrong use, which never passes
        return any(lost in str(error) for lost in _LOST)
    if isinstance(error, ssl.SSLCertVerificationError) or _NO_TLS in str(error):
        return False  # an OSError, but one that stays
    return isinstance(error, _PASSING)


def retrying() -> Any:
    """Return attempts without end: exponential back-off from 0.1 to 5 s, jittered, logged.

    Use as ``async for attempt in retrying(): with attempt: …``; only errors that
    `is_passing` are tried again.
    """
    return stamina.retry_context(on=is_passing, attempts=None, timeout=None)


async def open_pool(
    dsn: str,
    role: str,
    *,
    tenant: str = "",
    size: int = 4,
    timeout_s: float = 60.0,
    init: Callable[[Any], Awaitable[None]] | None = None,
) -> Any:
    """Open a pool whose connections have taken `role` and see the rows of `tenant`.

    Parameters
    ----------
    dsn
        As libpq takes it.
    role
        `WORKER` or `API`.
    tenant
        Set for the whole session; leave it empty where transactions set their own.
    size
        Most connections at a time.
    timeout_s
        Longest time for one statement, in seconds; then the connection is given up.
    init
        Called once with each new connection.

    Raises
    ------
    AwayError
        PostgreSQL cannot be reached; see `retrying`.
    StackError
        It does not let us in, the login may not take the role, or the database was never
        migrated.
    """

    async def prepare(connection: Any) -> None:
        await _take(connection, role)
        await connection.execute("SELECT set_config('sentinel.tenant', $1, false)", tenant)
        await connection.execute("SET TIME ZONE 'UTC'")
        if init:
            await init(connection)

    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            command_timeout=timeout_s,
            timeout=10,
            init=prepare,
            reset=_keep,
            server_settings={
                "application_name": f"sentinel {role}",
                "idle_in_transaction_session_timeout": str(int(1000 * IDLE_S)),
            },
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unreachable(dsn, error) from error


def _unreachable(dsn: str, error: Exception) -> StackError:
    """Return what to raise where no connection can be made; the password is not in it."""
    there = urlsplit(dsn)
    where = "SENTINEL_POSTGRES"
    if there.netloc:  # else it may be anywhere
        host = there.netloc.rpartition("@")[2]
        where = f"{there.scheme}://{there.username or ''}@{host}{there.path}"
    found = " ".join(str(error).split()) or type(error).__name__
    if is_passing(error):
        return AwayError(
            f"expected PostgreSQL to answer at {where}, found: {found}; is it up (`sentinel "
            "status`), and is SENTINEL_POSTGRES its address?"
        )
    return StackError(
        f"expected PostgreSQL to let us in at {where}, found: {found}; check user, password, "
        "database, sslmode and sslrootcert in SENTINEL_POSTGRES"
    )


async def _take(connection: Any, role: str) -> None:
    try:
        await connection.execute(f"SET ROLE {role}")
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
        raise StackError(
            f"expected to act as {role}, PostgreSQL refused: {error}; migrate the database "
            f"first, and GRANT {role} TO the user of SENTINEL_POSTGRES"
        ) from error


async def _keep(connection: Any) -> None:
    """Reset nothing between uses: what changes, changes within a transaction."""


def queries(path: Path) -> dict[str, str]:
    r"""Read an ``.sql`` file of queries, each after a line ``-- name: word``.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
    ...     _ = file.write("-- name: one\nSELECT 1;\n-- name: two\nSELECT 2;")
    ...     file.flush()
    ...     queries(Path(file.name))
    {'one': 'SELECT 1', 'two': 'SELECT 2'}
    """
    parts = _NAME.split(path.read_text(encoding="utf-8"))[1:]
    texts = (text.strip().removesuffix(";") for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))
