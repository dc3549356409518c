"""Suppressions from the table to the status of stored alerts, with a real PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from detectors.suppress.draft import draft
from detectors.suppress.scope import Scope
from schemas import avro
from sentinel import postgres as database
from sentinel import suppressions
from sentinel.settings import Settings
from streams.correlate import CorrelateStage
from streams.persist import PersistAlertsTask
from streams.policy.suppressions import Board, Reader
from streams.sinks.postgres import PostgresSink

ARRIVED = time.time_ns() // 1_000_000
HOUR = 3_600_000


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4().hex}"


@pytest.fixture
async def connection(postgres: str) -> AsyncIterator[Any]:
    pool = await database.open_pool(postgres, database.API, tenant="*", size=1)
    async with pool.acquire() as found:
        yield found
    await pool.close()


@pytest.fixture
async def owner(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(postgres)
    await found.execute("SELECT set_config('sentinel.tenant', '*', false)")
    yield found
    await found.close()


@pytest.fixture
async def reader(postgres: str) -> AsyncIterator[tuple[Board, Reader]]:
    board = Board()
    opened = Reader(board, postgres, "correlate")
    await opened.open()
    yield board, opened
    await opened.close()


class _Mapper:
    """Evidence as it is: the mapping is not what is tested here."""

    def ocsf(self, source: str, tenant: str, uid: bytes, raw: bytes) -> bytes:
        return json.dumps({"raw": raw.decode()}).encode()


def signal(tenant: str, offset: int, arrived: int, **changes: Any) -> bytes:
    event = {"uid": offset.to_bytes(16, "big"), "time": ARRIVED + offset, "arrived": arrived,
             "origin": offset, "score": 0.7, "raw": b"raw"}  # fmt: skip
    found = {"tenant": tenant, "source": "auditd", "kind": "rule", "rule_id": "r", "title": "R",
             "techniques": ["T1"], "severity_id": 4, "score": 0.7, "entity": "ada", "group": "ada",
             "explanation": "{}", "events": [event]} | changes  # fmt: skip
    return avro.encode("signal_batch", {
        "origin_partition": 0, "origin_first": offset, "origin_last": offset, "signals": [found],
    })  # fmt: skip


def asked(tenant: str, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "scope": Scope(entities=("ada",)), "tenant": tenant, "owner": "ada", "reason": "known",
        "starts": ARRIVED - HOUR, "expires": ARRIVED + HOUR, "now": ARRIVED - HOUR,
    }  # fmt: skip
    return draft(changes.pop("kind", "suppression"), **given | changes)


async def _stored(owner: asyncpg.Connection, tenant: str) -> list[tuple[Any, ...]]:
    query = "SELECT status, suppression, count FROM alerts WHERE tenant = $1 AND kind = 'rule'"
    return [tuple(row) for row in await owner.fetch(query, tenant)]


async def test_a_suppressed_alert_is_kept_quietly_and_opens_again_after_the_end(
    postgres: str, records: Any, tenant: str, connection: Any, reader: tuple[Board, Reader],
    owner: asyncpg.Connection,
) -> None:  # fmt: skip
    board, looking = reader
    made = await suppressions.add(connection, asked(tenant))
    assert await looking.look()
    assert not await looking.look(), "nothing new"
    task = CorrelateStage(Settings(), 1, 1, board).task("signals", 0)
    sink = PostgresSink(Settings(postgres=postgres))
    await sink.open()
    persist = PersistAlertsTask(_Mapper())  # type: ignore[arg-type]

    async def push(offset: int, arrived: int) -> None:
        output = task.process(records([signal(tenant, offset, arrived)], "signals", 0, offset))
        values = [record.value for record in output.records]
        rows = persist.process(records(values, "alerts", 0, offset)).rows
        assert rows is not None
        await sink.write(rows)
        await sink.write(rows)

    await push(1, ARRIVED + 1)
    assert await _stored(owner, tenant) == [("suppressed", made["id"], 1)]
    (row,) = task.ledger.dump()
    assert (row["in"], row["out"], row["suppressed"]) == (1, 1, 1)
    await push(2, ARRIVED + 2 * HOUR)
    assert await _stored(owner, tenant) == [("new", "", 2)], "a repeat after the end"
    await push(3, ARRIVED + 2)
    assert await _stored(owner, tenant) == [("new", "", 3)], "what is open stays open"
    await sink.close()


async def test_rows_are_found_ended_and_seen_by_their_tenant_only(
    postgres: str, tenant: str, connection: Any
) -> None:
    far = 4_000_000_000_000
    made = await suppressions.add(
        connection, asked(tenant, kind="budget", per_hour=3, expires=far, starts=None)
    )
    assert made["per_hour"] == 3
    assert made["starts"] > made["created"], "workers learn of it first"
    (found,) = await suppressions.listed(connection, tenant)
    assert found == made
    other = await database.open_pool(postgres, database.API, tenant="someone-else", size=1)
    async with other.acquire() as theirs:
        assert await suppressions.listed(theirs, tenant) == []
        assert await suppressions.remove(theirs, UUID(made["id"]), "eve") is None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await suppressions.add(theirs, asked(tenant))
    await other.close()
    ended = await suppressions.remove(connection, UUID(made["id"]), "ada", tenant)
    assert ended is not None
    assert ended["removed_by"] == "ada"
    assert await suppressions.remove(connection, UUID(made["id"]), "ada") is None
