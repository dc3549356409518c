"""Bring a PostgreSQL database to the schema in ``infra/postgres/migrations``, with yoyo."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import default_migration_table

from sentinel.errors import StackError

DIRECTORY = Path(__file__).parents[2] / "infra" / "postgres" / "migrations"
#: Key of the advisory lock: the bytes of "sentinel" as a number.
LOCK = int.from_bytes(b"sentinel", "big")
_MAY_CREATE = "SELECT 1 WHERE has_schema_privilege('public', 'CREATE')"
_ROLES_HELP = (
    "PostgreSQL refused a right that the migration needs: {error} Either migrate as a role with "
    "CREATEROLE, or have an administrator run: CREATE ROLE sentinel_worker NOLOGIN; "
    "CREATE ROLE sentinel_api NOLOGIN; CREATE ROLE sentinel_trainer NOLOGIN; "
    "GRANT sentinel_worker, sentinel_api, sentinel_trainer TO {user}; "
    "and make {user} the owner of the database."
)


def apply(dsn: str) -> list[str]:
    """Apply the migrations that the database lacks; return their names, oldest first.

    Idempotent. Several processes may call it at once: all but one wait on an advisory
    lock, which unlike yoyo's lock table is gone when its holder dies. Each migration is
    one transaction. The login of `dsn` becomes the owner of the tables and must be able to
    create the roles ``sentinel_worker``, ``sentinel_api`` and ``sentinel_trainer``, or be a
    member of all.

    Raises
    ------
    StackError
        The database cannot be reached, or refuses; the message says what to do.
    """
    try:
        with psycopg.connect(dsn, autocommit=True) as lock:
            lock.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            if not lock.execute(_MAY_CREATE).fetchone():  # yoyo would hide the refusal
                raise psycopg.errors.InsufficientPrivilege("CREATE on schema public.")
            return _apply(dsn)
    except psycopg.errors.InsufficientPrivilege as error:
        user = conninfo_to_dict(dsn).get("user", "the migrating role")
        raise StackError(_ROLES_HELP.format(error=_line(error), user=user)) from error
    except psycopg.OperationalError as error:
        raise StackError(
            f"expected a PostgreSQL at SENTINEL_POSTGRES, found: {_line(error)}; "
            "check address, user, password and database"
        ) from error
    except psycopg.DatabaseError as error:
        raise StackError(f"a migration failed and was rolled back: {_line(error)}") from error


def _apply(dsn: str) -> list[str]:
    args = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    uri = DatabaseURI(
        scheme="postgresql+psycopg",
        username=args.pop("user", None),
        password=args.pop("password", None),
        hostname=args.pop("host", None),
        port=args.pop("port", None),
        database=args.pop("dbname", None),
        args=args,
    )
    backend = PostgresqlPsycopgBackend(uri, default_migration_table)
    try:
        backend.init_database()
        backend.break_lock()  # ours is the advisory one; a row in there is a dead process's
        missing = backend.to_apply(read_migrations(str(DIRECTORY)))
        backend.apply_migrations(missing)
        return [migration.id for migration in missing]
    finally:
        backend.connection.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
