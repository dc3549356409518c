"""The tables ``batch_models`` and ``batch_model_steps``, for who trains and for workers.

Plain rows and bytes in and out; what they mean is `detectors.batch_models`. All functions take a
connection of a pool (`sentinel.postgres.open_pool`): `postgres.WORKER` may read, only
`postgres.TRAINER` may add, no one may change or delete. Versions are told apart by number and
recognised by their SHA-256, which the database checks when one is added and `model` when it is
read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from sentinel import postgres
from sentinel.errors import SchemaError, SettingsError

#: Longest model, in bytes; one that learnt from 4 million events has as many.
MAX_BYTES: Final = 32 << 20
#: Milliseconds from when a step is taken until it counts: by then every worker has read it (they
#: look every `REFRESH_S`), so that all of them, and replays, decide the same.
SETTLE_MS: Final = 6000
SQL = postgres.queries(Path(__file__).with_name("queries.sql"))
#: Tenant, source, kind, version that was promoted or None for one step back, and since when.
StepRow = tuple[str, str, str, int | None, int]


async def versions(
    connection: Any, tenant: str, source: str, kind: str | None = None
) -> list[dict[str, Any]]:
    """Return what is known of every version of a tenant's source, by kind, oldest first."""
    rows = await connection.fetch(SQL["versions"], tenant, source, kind)
    return [orjson.loads(row["about"]) | {"version": row["version"]} for row in rows]


async def model(
    connection: Any, tenant: str, source: str, kind: str, version: int
) -> tuple[bytes, str] | None:
    """Return the bytes of a version and their SHA-256 in hexadecimal; None where there is none.

    Raises
    ------
    SchemaError
        The bytes are not those that were stored.
    """
    row = await connection.fetchrow(SQL["model"], tenant, source, kind, version)
    if row is None:
        return None
    found = hashlib.sha256(row["model"]).hexdigest()
    if found != row["sha256"]:
        raise SchemaError(
            f"expected SHA-256 {row['sha256']} of version {version} of {kind} of {source}, "
            f"tenant {tenant}, found {found}: train a new version"
        )
    return row["model"], found


async def add(
    connection: Any, tenant: str, source: str, about: Mapping[str, Any], data: bytes
) -> int:
    """Keep a version, in the transaction that `connection` is in; return its number.

    Parameters
    ----------
    about
        What is known of it, of JSON values; ``kind`` among them.

    Raises
    ------
    SettingsError
        It is larger than `MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise SettingsError(
            f"expected a model of at most {MAX_BYTES:,} bytes, found {len(data):,}: train on "
            "fewer events (--from)"
        )
    await connection.execute(SQL["lock"])
    given = orjson.dumps(dict(about)).decode()
    digest = hashlib.sha256(data).hexdigest()
    made: int = await connection.fetchval(
        SQL["add"], tenant, source, about["kind"], given, data, digest
    )
    return made


async def steps(
    connection: Any, tenant: str | None = None, source: str | None = None
) -> list[StepRow]:
    """Return every change of what is live, in order; of one tenant or source where one is given."""
    return [tuple(row) for row in await connection.fetch(SQL["steps"], tenant, source)]


async def step(connection: Any, tenant: str, source: str, kind: str, version: int | None) -> None:
    """Take a step, in the transaction that `connection` is in, which holds the lock of `lock`.

    It counts from `SETTLE_MS` after now on.

    Parameters
    ----------
    version
        To be live; None: the one before.
    """
    await connection.execute(SQL["step"], tenant, source, kind, version, SETTLE_MS)


async def lock(connection: Any) -> None:
    """Let no one else change anything until the transaction ends."""
    await connection.execute(SQL["lock"])
