"""Incidents as PostgreSQL keeps them, written with the alerts."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from sentinel import postgres as database
from sentinel.settings import Settings
from streams.sinks.base import AlertEventRow, AlertRow, Rows
from streams.sinks.postgres import PostgresSink

NOW = time.time_ns() // 1_000_000
HOUR = 3_600_000


@pytest.fixture
async def sink(postgres: str) -> AsyncIterator[PostgresSink]:
    opened = PostgresSink(Settings(postgres=postgres))
    await opened.open()
    yield opened
    await opened.close()


def alert(tenant: str, entity: str, ip: str = "", at: int = NOW, **changes: Any) -> AlertRow:
    ocsf = json.dumps({"src_endpoint": {"ip": ip}} if ip else {})
    event = AlertEventRow(uuid4().bytes, at, at, 0.7, "cloudtrail", ocsf, b"raw")
    return AlertRow(
        tenant=tenant, id=str(uuid4()), kind="rule", rule_id="r", title="Root logged in",
        source="cloudtrail", severity_id=4, score=0.7, techniques=["T1078.004"], entity=entity,
        explanation='{"what": "w"}', count=1, first_seen=at, last_seen=at, events=[event],
    )._replace(**changes)  # fmt: skip


async def _incidents(owner: asyncpg.Connection, tenant: str) -> list[dict[str, Any]]:
    rows = await owner.fetch(
        "SELECT *, id::text AS id, merged_into::text AS merged_into FROM incidents "
        "WHERE tenant = $1 ORDER BY seq", tenant,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def test_alerts_that_share_an_address_are_one_incident_written_once(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    first = alert(tenant, "ada", "203.0.113.7", NOW - HOUR)
    second = alert(tenant, "bob", "203.0.113.7", severity_id=5, title="Keys made",
                   techniques=["T1098"])  # fmt: skip
    far = alert(tenant, "ada", at=NOW - 100 * HOUR)
    await sink.write(Rows(alerts=[first]))
    for _ in range(2):
        await sink.write(Rows(alerts=[second, far, alert(tenant + "x", "ada")]))
    one, other = await _incidents(owner, tenant)
    assert (one["alerts"], one["severity"], one["title"]) == (2, "critical", "Keys made")
    assert one["entities"] == ["ada", "bob"]
    assert "persistence" in one["tactics"]
    assert (other["alerts"], other["severity"]) == (1, "high"), "four days before"
    assert one["revision"] > one["seq"]


async def test_an_alert_connects_incidents_and_a_quiet_one_joins_when_it_opens(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    await sink.write(Rows(alerts=[alert(tenant, "ada", at=NOW - 2), alert(tenant, "eve")]))
    assert len(await _incidents(owner, tenant)) == 2
    quiet = alert(tenant, "ada", "203.0.113.9", status="suppressed", suppression="s")
    await sink.write(Rows(alerts=[quiet, alert(tenant, "eve", "203.0.113.9")]))
    assert [each["alerts"] for each in await _incidents(owner, tenant)] == [1, 2]
    opened = quiet._replace(count=2, status="new", suppression="")
    await sink.write(Rows(alerts=[opened]))
    kept, gone = await _incidents(owner, tenant)
    assert (kept["alerts"], gone["alerts"], gone["status"]) == (4, 0, "merged")
    assert gone["merged_into"] == kept["id"]
    rows = await owner.fetch(
        "SELECT DISTINCT incident_id::text FROM incident_alerts WHERE tenant = $1", tenant
    )
    assert [row[0] for row in rows] == [kept["id"]]


async def test_what_cannot_be_stored_costs_no_incident(
    sink: PostgresSink, owner: asyncpg.Connection, tenant: str
) -> None:
    """NUL in names and times that no calendar has are normal input."""
    odd = [
        alert(tenant, "a\0b", at=-(1 << 62)),
        alert(tenant, "a\0b", at=(1 << 62)),
        alert(tenant, "\udcff"),
        alert(tenant, "x" * 5000),
    ]
    await sink.write(Rows(alerts=odd))
    assert sum(each["alerts"] for each in await _incidents(owner, tenant)) == 4


async def test_a_closed_incident_opens_with_a_new_alert_and_tenants_see_their_own(
    sink: PostgresSink, postgres: str, owner: asyncpg.Connection, tenant: str
) -> None:
    first = alert(tenant, "ada")
    await sink.write(Rows(alerts=[first]))
    await owner.execute("UPDATE incidents SET status = 'resolved' WHERE tenant = $1", tenant)
    await sink.write(Rows(alerts=[first._replace(count=2, events=[])]))
    assert [each["status"] for each in await _incidents(owner, tenant)] == ["resolved"]
    await sink.write(Rows(alerts=[alert(tenant, "ada")]))
    assert [each["status"] for each in await _incidents(owner, tenant)] == ["new"]
    pool = await database.open_pool(postgres, database.API, tenant="someone-else", size=1)
    for table in ("incidents", "incident_alerts"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0
    await pool.close()
