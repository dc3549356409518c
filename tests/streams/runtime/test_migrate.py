"""Migrations: once, by any number of processes, and nobody reads another tenant's rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import asyncpg
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sentinel import postgres as database
from sentinel.errors import StackError
from streams.runtime import migrate

TABLES = ("alerts", "alert_events", "events", "dead_letters")
EVENT = """INSERT INTO events VALUES ($1, $2, (now() AT TIME ZONE 'UTC')::date, now(), now(),
  's', 1, 1, 1, 1, '', '', '', '', '{}')"""
ALERT = """INSERT INTO alerts (tenant, id, revision, kind, rule_id, title, source, severity_id,
  score, techniques, entity, explanation, count, first_seen, last_seen) VALUES ($1, $2,
  nextval('alerts_seq'), 'rule', 'r', 't', 's', 1, 0, '{}', '', '{}', 1, now(), now())"""
EVIDENCE = "INSERT INTO alert_events VALUES ($1, $2, $3, now(), now(), 0, 's', '{}', '')"
LETTER = """INSERT INTO dead_letters
  VALUES ('d', 0, $2, 'o', 0, $2, 0, 's', 'r', '', $1, 's', now(), 0, '')"""


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """Yield the DSN of a database of its own that nothing has been applied to."""
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield make_conninfo(postgres, dbname=name)
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_second_time_there_is_nothing_to_apply(empty: str) -> None:
    expected = sorted(path.stem for path in migrate.DIRECTORY.glob("*.sql"))
    assert migrate.apply(empty) == expected
    assert migrate.apply(empty) == []


def test_processes_that_migrate_at_once_apply_each_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate.apply, [empty] * 4))
    assert sorted(map(len, applied))[:3] == [0, 0, 0]
    assert max(map(len, applied)) == len(list(migrate.DIRECTORY.glob("*.sql")))


def test_an_owner_who_may_not_create_roles_is_told_what_to_run(empty: str) -> None:
    role = f"plain_{uuid4().hex}"
    with psycopg.connect(empty, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role)))
        plain = make_conninfo(empty, user=role, password="x")
        try:
            every = "sentinel_worker, sentinel_api, sentinel_trainer"
            with pytest.raises(StackError, match=f"GRANT {every} TO {role}"):
                migrate.apply(plain)
            for statement in (
                f"GRANT {every} TO {{}}",
                "ALTER DATABASE {db} OWNER TO {}",
            ):
                name = sql.Identifier(owner.info.dbname)
                owner.execute(sql.SQL(statement).format(sql.Identifier(role), db=name))
            assert migrate.apply(plain)
        finally:
            owner.execute(
                sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(role))
            )
            owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            name = sql.Identifier(owner.info.dbname)
            owner.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name))
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_no_server_is_said_plainly() -> None:
    with pytest.raises(StackError, match="SENTINEL_POSTGRES"):
        migrate.apply("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")


@pytest.fixture
async def two_tenants(postgres: str) -> tuple[str, str]:
    """Return two tenants with one row each in every table of tenants."""
    names = (f"a-{uuid4().hex}", f"b-{uuid4().hex}")
    pool = await database.open_pool(postgres, database.WORKER, tenant="*")
    async with pool:
        for name in names:
            alert, offset = uuid4(), uuid4().int >> 70
            await pool.execute("SELECT events_partition((now() AT TIME ZONE 'UTC')::date)")
            await pool.execute(EVENT, name, uuid4())
            await pool.execute(ALERT, name, alert)
            await pool.execute(EVIDENCE, name, alert, uuid4())
            await pool.execute(LETTER, name, offset)
    return names


async def seen(pool: asyncpg.Pool, table: str, tenant: str) -> set[str]:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('sentinel.tenant', $1, true)", tenant)
        rows = await connection.fetch(f"SELECT DISTINCT tenant FROM {table}")
    return {row["tenant"] for row in rows}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", [database.API, database.WORKER])
async def test_a_tenant_sees_its_own_rows_only(
    postgres: str, two_tenants: tuple[str, str], table: str, role: str
) -> None:
    first, second = two_tenants
    pool = await database.open_pool(postgres, role, size=1)
    try:
        assert await seen(pool, table, first) == {first}
        assert await seen(pool, table, second) == {second}
        assert {first, second} <= await seen(pool, table, "*")
        assert await pool.fetch(f"SELECT 1 FROM {table}") == []  # nothing is left over in the pool
    finally:
        await pool.close()


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DELETE FROM {table}" for table in TABLES),
        *(f"UPDATE {table} SET tenant = 'x'" for table in TABLES),
        "SELECT state FROM checkpoints",
        "UPDATE checkpoints SET next_offset = 0",
        "SELECT events_partition('2020-01-01')",
        "SELECT events_expire('2999-01-01')",
        "ALTER TABLE alerts DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE public.mine (x int)",
    ],
)
async def test_the_api_may_only_read(postgres: str, statement: str) -> None:
    pool = await database.open_pool(postgres, database.API, tenant="*", size=1)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    finally:
        await pool.close()


async def test_partitions_cannot_be_read_past_the_policy(
    postgres: str, two_tenants: tuple[str, str]
) -> None:
    pool = await database.open_pool(postgres, database.API, tenant=two_tenants[0], size=1)
    try:
        part = await pool.fetchval("SELECT min(tableoid::regclass::text) FROM events")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(f"SELECT * FROM {part}")
    finally:
        await pool.close()


async def test_a_login_without_the_role_is_told_what_to_do(postgres: str) -> None:
    role = f"plain_{uuid4().hex}"
    owner = await asyncpg.connect(postgres)
    try:
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        parts = conninfo_to_dict(postgres)
        query = f"?host={parts['host']}&port={parts.get('port', 5432)}"
        plain = f"postgresql://{role}:x@/{parts['dbname']}{query}"
        with pytest.raises(StackError, match="GRANT sentinel_worker TO"):
            await database.open_pool(plain, database.WORKER, size=1)
    finally:
        await owner.execute(f"DROP ROLE {role}")
        await owner.close()


async def test_no_role_may_bypass_the_policies(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    rows = await connection.fetch(
        "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles "
        "WHERE rolname IN ('sentinel_api', 'sentinel_worker', 'sentinel_trainer')"
    )
    forced = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    )
    await connection.close()
    assert [row[0] for row in rows] == [False, False, False]
    assert {row[0] for row in forced} >= set(TABLES)
