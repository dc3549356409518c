"""The audit log: complete, in one chain, and not to be changed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from api.deps import Actor, Database, Services
from api.errors import Problem
from api.identity.audit import MAX_DETAIL, Head, audit, digest, verify
from sentinel.settings import Settings


@pytest.fixture
async def services(api_settings: Settings) -> Any:
    found = Services(api_settings)
    yield found
    await found.close()


@pytest.fixture
def database(services: Services, tenant: str) -> Database:
    return Database(services, tenant, Actor("user:ada", "192.0.2.1", "request-1"))


async def lines(database: Database, tenant: str) -> list[dict[str, Any]]:
    async with database.reading() as connection:
        query = "SELECT * FROM audit_log WHERE tenant = $1 ORDER BY seq"
        return [dict(row) for row in await connection.fetch(query, tenant)]


async def test_each_line_says_who_from_where_and_follows_the_one_before(database, tenant) -> None:
    for number in range(3):
        async with database.writing() as connection:
            await audit(connection, "alert.resolve", f"a{number}", {"naïve": "\x00é", "n": number})
    found = await lines(database, tenant)
    assert [row["seq"] for row in found] == [1, 2, 3]
    assert {(row["actor"], row["address"], row["request"]) for row in found} == {
        ("user:ada", "192.0.2.1", "request-1")
    }
    heads, broken = verify(found, {})
    assert broken == []
    assert heads[tenant].seq == 3
    assert digest(found[0], b"") == found[0]["hash"]


async def test_what_is_rolled_back_leaves_no_line(database, tenant) -> None:
    async def refuse() -> None:
        async with database.writing() as connection:
            await audit(connection, "alert.resolve", "a", {})
            raise Problem(409, "no")

    with pytest.raises(Problem):
        await refuse()
    assert await lines(database, tenant) == []


async def test_a_large_detail_leaves_its_keys(database, tenant) -> None:
    async with database.writing() as connection:
        await audit(connection, "x.y", "t" * 1000, {"much": "m" * MAX_DETAIL})
    (row,) = await lines(database, tenant)
    assert row["detail"] == '{"left_out":["much"]}'


async def test_another_tenant_neither_sees_nor_writes_it(database, services, tenant) -> None:
    other = Database(services, f"other-{uuid4().hex}")
    async with database.writing() as connection:
        await audit(connection, "x.y", "t", {})
    assert await lines(other, tenant) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with other.writing() as connection:
            await audit(connection, "x.y", "t", {}, tenant=tenant)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET action = 'other'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO audit_log (tenant, seq, action, target, detail) VALUES ('x', 9, '', '', '')",
        "UPDATE audit_heads SET seq = 0",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "SELECT audit_chain()",
    ],
)
async def test_the_api_can_only_add_to_it(database, statement) -> None:
    refused = (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError)
    with pytest.raises(refused):
        async with database.writing() as connection:
            await connection.execute(statement)


async def test_nor_can_the_owner_by_mistake(postgres, database, tenant) -> None:
    async with database.writing() as connection:
        await audit(connection, "x.y", "t", {})
    owner = await asyncpg.connect(postgres)
    for statement in ("UPDATE audit_log SET action = ''", "DELETE FROM audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(statement)
    await owner.close()


CHANGES = {
    "content": lambda rows: rows[1].update(action="other"),
    "gap": lambda rows: rows.pop(1),
    "order": lambda rows: rows[1].update(seq=3) or rows[2].update(seq=2),
    "slipped in": lambda rows: rows.insert(1, dict(rows[0], seq=2)),
    "start": lambda rows: rows.pop(0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_every_change_breaks_the_chain(database, tenant, change) -> None:
    for number in range(4):
        async with database.writing() as connection:
            await audit(connection, "x.y", str(number), {})
    rows = await lines(database, tenant)
    change(rows)
    _, broken = verify(rows, {})
    assert [each.tenant for each in broken] == [tenant]


async def test_a_cut_or_rewritten_end_is_seen_from_the_anchor(database, tenant) -> None:
    for number in range(3):
        async with database.writing() as connection:
            await audit(connection, "x.y", str(number), {})
    rows = await lines(database, tenant)
    heads, _ = verify(rows, {})
    assert verify(rows, heads)[1] == []
    (cut,) = verify(rows[:2], heads)[1]
    assert "expected at least the 3 lines" in cut.why
    forged = {tenant: Head(tenant, 2, "00")}
    (rewritten,) = verify(rows, forged)[1]
    assert rewritten.seq == 2
    assert verify([], heads)[1]
