"""Raw SQL in the role of the API: rows of its own tenant only, whatever the pool did before."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from api.deps import Database, Services
from api.errors import Problem
from api.lending import CONNECTIONS
from sentinel import postgres as roles
from sentinel.settings import Settings
from tests.api.identity.rival import SHARED, Rival, connect, rows_of, settle, tables


@pytest.fixture
async def owner(postgres: str) -> Any:
    connection = await connect(postgres)
    yield connection
    await connection.close()


@pytest.fixture
async def services(api_settings: Settings) -> Any:
    found = Services(api_settings)
    yield found
    await found.close()


async def test_every_table_forces_row_security(owner) -> None:
    open_tables = await owner.fetch(
        "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT LIKE '%yoyo%' "
        "AND (has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE') "
        "OR NOT relforcerowsecurity) "
        "AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS ("
        "SELECT FROM pg_policy p WHERE p.polrelid = c.oid "
        "AND pg_get_expr(polqual, polrelid) LIKE '%sentinel_tenant()%'))",
        roles.API,
    )
    assert {row[0] for row in open_tables} == SHARED
    without = [
        name
        for name, columns in (await tables(owner)).items()
        if "tenant" not in {column["column"] for column in columns}
    ]
    assert set(without) == SHARED


async def test_the_roles_neither_own_nor_bypass(owner) -> None:
    names = [roles.API, roles.WORKER]
    found = await owner.fetch(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, "
        "EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) AS owns, "
        "EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) AS inherits "
        "FROM pg_roles r WHERE rolname = ANY ($1)",
        names,
    )
    assert [tuple(row)[1:] for row in found] == [(False,) * 6] * 2
    direct = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relispartition "
        "AND has_table_privilege($1, oid, 'SELECT')",
        roles.API,
    )
    assert direct == [], "a partition is reached past the policy of its parent"


async def test_only_known_functions_run_as_the_owner(owner) -> None:
    found = await owner.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace "
        "AND has_function_privilege($1, oid, 'EXECUTE')",
        roles.API,
    )
    assert {row[0] for row in found} <= {"ledger_rows", "sentinel_tenant"}, (
        "show that it keeps tenants apart"
    )


async def test_no_row_of_another_tenant_is_seen_or_changed(owner, services, tenant) -> None:
    rival = Rival.new()
    names = await settle(owner, rival)
    before = await rows_of(owner, rival, names)
    assert all(before.values()), "every table has a row to be hidden"
    assert len(names) > 15
    columns = await tables(owner)
    for table in names:
        await _try_everything(Database(services, tenant), table, columns[table], rival)
    assert await rows_of(owner, rival, names) == before
    assert await rows_of(owner, rival._replace(tenant=tenant), names) == {
        name: [] for name in names
    }


async def _try_everything(database: Database, table: str, columns: list[Any], rival: Rival) -> None:
    names = [f'"{column["column"]}"' for column in columns]
    given = [column for column in columns if rival.value(column) is not None]
    into = ", ".join(f'"{column["column"]}"' for column in given)
    values = ", ".join(f"${number}::{column['type']}" for number, column in enumerate(given, 1))
    fresh = rival._replace(id=uuid4())
    statements: list[tuple[str, list[Any]]] = [
        *((f"SELECT {name} FROM {table} WHERE tenant = $1", [rival.tenant]) for name in names),
        (f"SELECT count(*) FROM {table} WHERE tenant <> sentinel_tenant() HAVING count(*) > 0", []),
        (f"UPDATE {table} SET tenant = sentinel_tenant() WHERE tenant = $1", [rival.tenant]),
        (f"UPDATE {table} SET tenant = $1 WHERE tenant = sentinel_tenant()", [rival.tenant]),
        (f"DELETE FROM {table} WHERE tenant = $1", [rival.tenant]),
        (f"DELETE FROM {table}", []),
        (f"INSERT INTO {table} ({into}) VALUES ({values})", [fresh.value(c) for c in given]),
    ]
    for statement, args in statements:
        try:
            async with database.writing() as connection:
                found = await connection.fetch(statement, *args)
                assert found == [], statement
                status = await connection.execute(statement, *args)
                assert status.split()[-1] == "0", (statement, status)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.ForeignKeyViolationError):
            pass  # refused: as good


async def test_the_ledger_is_cut_up_by_tenant(owner, services, tenant) -> None:
    rival = Rival.new()
    await settle(owner, rival)
    mine, its = (Database(services, name) for name in (tenant, rival.tenant))
    async with mine.reading() as connection:
        assert await connection.fetch("SELECT * FROM ledger_rows()") == []
        shown = await connection.fetch("SELECT stage, topic, next_offset FROM checkpoints")
        assert shown  # where stages are is of no one tenant
    async with its.reading() as connection:
        rows = await connection.fetch("SELECT DISTINCT tenant, source FROM ledger_rows()")
    assert [tuple(row) for row in rows] == [(rival.tenant, rival.secret)]
    for column in ("ledger", "state"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with mine.reading() as connection:
                await connection.fetch(f"SELECT {column} FROM checkpoints")


async def test_the_tenant_of_one_use_is_gone_at_the_next(owner, services, tenant) -> None:
    rival = Rival.new()
    can = "SELECT has_table_privilege($1, $2, 'SELECT')"
    names = await settle(owner, rival)
    names = [name for name in names if await owner.fetchval(can, roles.API, name)]
    its, mine = Database(services, rival.tenant), Database(services, tenant)

    async def look(number: int) -> None:
        kinds = (_read, _fail, _leave, _roll_back)
        await kinds[number % 4](its, rival)
        async with mine.reading() as connection:
            for table in names:
                query = f"SELECT count(*) FROM {table} WHERE tenant = $1"
                assert await connection.fetchval(query, rival.tenant) == 0, (table, number)

    await asyncio.gather(*(look(number) for number in range(4 * CONNECTIONS)))
    async with AsyncExitStack() as lent:
        for _ in range(CONNECTIONS):
            connection = await lent.enter_async_context(services.connections.one())
            assert await connection.fetchval("SELECT sentinel_tenant()") == ""
            assert await connection.fetchval("SELECT current_user") == roles.API
            for table in names:
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def _all_are_back(services: Services) -> None:
    """Expect that every connection can be lent, and none of them in anybody's name."""
    async with AsyncExitStack() as lent:
        for _ in range(CONNECTIONS):
            connection = await lent.enter_async_context(services.connections.one())
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT sentinel_tenant()") == ""


def _as(name: str) -> str:
    return f"BEGIN READ ONLY; SET LOCAL sentinel.tenant = '{name}'"


async def test_reads_that_wait_share_transactions_but_of_their_own_tenant_alone(services) -> None:
    names = [f"t-{uuid4()}" for _ in range(3)]
    asked = [names[number % 3] for number in range(30 * CONNECTIONS)]
    look = "SELECT sentinel_tenant(), pg_backend_pid(), now()"
    found = await asyncio.gather(*(services.connections.fetch(_as(name), look) for name in asked))
    assert [rows[0][0] for rows in found] == asked
    transactions = {(rows[0][1], rows[0][2]) for rows in found}
    assert len(transactions) < len(asked) / 2
    await _all_are_back(services)


async def test_a_read_that_fails_or_leaves_takes_no_other_along(services) -> None:
    fetch, name = services.connections.fetch, f"t-{uuid4()}"

    async def ask(number: int) -> Any:
        match number % 4:
            case 0:
                return await fetch(_as(name), "SELECT 1 / 0")
            case 1:
                return await asyncio.wait_for(fetch(_as(name), "SELECT pg_sleep(30)"), 0.05)
            case _:
                return await fetch(_as(name), "SELECT sentinel_tenant()")

    count = 8 * CONNECTIONS
    found = await asyncio.gather(*(ask(number) for number in range(count)), return_exceptions=True)
    for number, each in enumerate(found):
        match number % 4:
            case 0:
                assert isinstance(each, asyncpg.DivisionByZeroError)
            case 1:
                assert isinstance(each, TimeoutError)
            case _:
                assert each[0][0] == name
    await _all_are_back(services)


async def test_a_shared_transaction_sees_what_was_written_before_the_read(
    owner, services, tenant
) -> None:
    mine, done = Database(services, tenant), asyncio.Event()
    fill = {"table": "saved_searches", "wanted": "true"}

    async def keep_busy() -> None:
        while not done.is_set():
            await mine.fetch("count", fill=fill)

    others = [asyncio.create_task(keep_busy()) for _ in range(3 * CONNECTIONS)]
    for number in range(1, 20):
        await owner.execute(
            "INSERT INTO saved_searches (tenant, owner, name, subject, query) "
            "VALUES ($1, 'user:ada', $2, 'alerts', '')",
            tenant,
            str(number),
        )
        assert (await mine.fetch("count", fill=fill))[0][0] == number
    done.set()
    await asyncio.gather(*others)


async def test_a_connection_that_postgresql_closes_is_replaced(owner, services, tenant) -> None:
    mine = Database(services, tenant)

    async def lose() -> None:
        async with mine.reading() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await owner.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            await connection.fetchval("SELECT 1")

    for _ in range(2 * CONNECTIONS):
        with pytest.raises(Problem, match="PostgreSQL cannot be reached"):
            await lose()
    async with mine.reading() as connection:
        assert await connection.fetchval("SELECT sentinel_tenant()") == tenant


async def _read(its: Database, rival: Rival) -> None:
    async with its.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM alerts") == 1


async def _fail(its: Database, rival: Rival) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with its.reading() as connection:
            await connection.fetch("SELECT 1 / 0")


async def _leave(its: Database, rival: Rival) -> None:
    """Go away in the middle, as a client that closes its connection does."""

    async def wait() -> None:
        async with its.reading() as connection:
            await connection.fetch("SELECT pg_sleep(30)")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), 0.05)


async def _roll_back(its: Database, rival: Rival) -> None:
    async def refuse() -> None:
        async with its.writing() as connection:
            await connection.fetch("SELECT count(*) FROM alerts")
            raise Problem(409, "no")

    with pytest.raises(Problem):
        await refuse()
