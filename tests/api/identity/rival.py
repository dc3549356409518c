"""One row of a tenant in every table there is, with texts that must be seen nowhere else.

Made from the database's own description, so that a table that somebody adds is in it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

#: Tables with rows of no one tenant; what is in them that a tenant could tell another by is
#: not granted to the API (`test_the_ledger_is_cut_up_by_tenant`).
SHARED = {"checkpoints"}
#: Columns that change what a row is when they are set.
OPTIONAL = {
    *("oidc_issuer", "oidc_subject", "secret_until", "disabled", "revoked_at"),
    *("events_per_second", "requests_per_minute"),
}
NOW = datetime.now(UTC) - timedelta(minutes=1)
COLUMNS = """
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
  a.attnotnull AS needed, coalesce((
    SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
    WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)), '') AS checks
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
AND c.relname NOT LIKE '\\_yoyo%' AND c.relname NOT LIKE 'yoyo%'
ORDER BY 1, a.attnum
"""
CHECKS = """
SELECT conname, replace(pg_get_constraintdef(oid), ' NOT VALID', '') FROM pg_constraint
WHERE contype = 'c' AND conrelid = $1::text::regclass
"""


class Rival(NamedTuple):
    """Another tenant: its name and ids are known to everybody, its texts to nobody."""

    tenant: str
    id: UUID
    name: str
    key: str
    secret: str

    @classmethod
    def new(cls) -> Rival:
        token = uuid4().hex
        return cls(f"rival-{token}", uuid4(), f"known-{token[:10]}", token[:12], f"hidden{token}")

    def value(self, column: Any) -> Any:
        """Return what to put into a column."""
        name, kind, checks = column["column"], column["type"], column["checks"]
        if name == "tenant":
            return self.tenant
        if kind == "text":
            return self._text(name, checks)
        array = kind.endswith("[]")
        found = _TYPES.get(kind.removesuffix("[]").partition("(")[0], lambda _: None)(self)
        if array and kind.startswith("text"):
            return [self.secret]
        return [found] if array else found

    def _text(self, name: str, checks: str) -> str:
        if " ~ " not in checks and (words := re.findall(r"'([^']+)'::text", checks)):
            return str(words[0])
        if name == "id":
            return self.key
        return self.name if name == "name" else self.secret


_TYPES: dict[str, Any] = {
    "uuid": lambda rival: rival.id,
    "text": lambda rival: rival.secret,
    "name": lambda rival: rival.secret,
    "bigint": lambda rival: rival.id.int >> 80,
    "integer": lambda _: 1,
    "smallint": lambda _: 1,
    "double precision": lambda _: 0.5,
    "real": lambda _: 0.5,
    "boolean": lambda _: False,
    "timestamp with time zone": lambda _: NOW,
    "date": lambda _: date.today(),  # noqa: DTZ011 # of the partition
    "bytea": lambda rival: rival.secret.encode(),
    "jsonb": lambda rival: f'{{"hidden": "{rival.secret}", "class_uid": 2004}}',
    "interval": lambda _: timedelta(days=1),
    "int4multirange": lambda _: [],
    "inet": lambda _: "192.0.2.1",
}


async def tables(owner: Any) -> dict[str, list[Any]]:
    """Return every table of ours with its columns."""
    found: dict[str, list[Any]] = {}
    for row in await owner.fetch(COLUMNS):
        found.setdefault(row["table"], []).append(row)
    return found


async def settle(owner: Any, rival: Rival) -> list[str]:
    """Give `rival` a row in every table with a tenant; return the tables."""
    today = date.today()  # noqa: DTZ011
    await owner.execute("SELECT events_partition($1)", today)
    settled = []
    for table, columns in (await tables(owner)).items():
        if "tenant" not in {column["column"] for column in columns}:
            continue
        given = [
            column
            for column in columns
            if column["column"] not in OPTIONAL and rival.value(column) is not None
        ]
        names = ", ".join(f'"{column["column"]}"' for column in given)
        values = ", ".join(f"${number}::{column['type']}" for number, column in enumerate(given, 1))
        async with owner.transaction():
            # without triggers, foreign keys and checks: every table on its own
            await owner.execute("SET LOCAL session_replication_role = replica")
            checks = await owner.fetch(CHECKS, table)
            for name, _ in checks:
                await owner.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            await owner.execute(
                f"INSERT INTO {table} ({names}) VALUES ({values})",
                *(rival.value(column) for column in given),
            )
            for name, check in checks:
                await owner.execute(
                    f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {check} NOT VALID'
                )
        settled.append(table)
    await owner.execute(
        "INSERT INTO checkpoints (stage, topic, partition, owner, ledger) "
        "VALUES ('normalize', $1, 0, gen_random_uuid(), $2)",
        rival.name,
        f'{{"rows": [{{"stage": "normalize", "tenant": "{rival.tenant}", '
        f'"source": "{rival.secret}", "in": 1, "out": 1}}]}}',
    )
    return settled


async def rows_of(owner: Any, rival: Rival, names: list[str]) -> dict[str, list[str]]:
    """Return all rows of `rival`, as text, by table."""
    return {
        name: [
            row[0]
            for row in await owner.fetch(
                f"SELECT t::text FROM {name} AS t WHERE tenant = $1 ORDER BY 1", rival.tenant
            )
        ]
        for name in names
    }


async def connect(dsn: str) -> Any:
    """Return a connection of the owner."""
    return await asyncpg.connect(dsn)
