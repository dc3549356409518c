"""Incidents as PostgreSQL keeps them, written with the alerts, and as commands show them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from sentinel import postgres as database
from sentinel.cli import _common
from sentinel.cli.app import run
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


@pytest.fixture
def stored(postgres: str, tenant: str) -> str:
    """Two alerts of one incident, one of another; the tenant."""
    import asyncio

    async def write() -> None:
        sink = PostgresSink(Settings(postgres=postgres))
        await sink.open()
        rows = [alert(tenant, "ada", at=NOW - 5), alert(tenant, "ada"), alert(tenant, "bob")]
        await sink.write(Rows(alerts=rows))
        await sink.close()

    asyncio.run(write())
    return tenant


def test_commands_list_incidents_and_show_one(
    postgres: str, stored: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_common, "settings", lambda: Settings(postgres=postgres))
    assert run(["incidents", "--tenant", stored, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(row["alerts"] for row in rows) == [1, 2]
    assert run(["incidents", "--tenant", stored, "--min-alerts", "2", "--entity", "ada"]) == 0
    assert run(["incidents", "--min-severity", "awful"]) == 1
    (largest,) = [row for row in rows if row["alerts"] == 2]
    assert run(["incident", largest["id"], "--json"]) == 0
    said = capsys.readouterr()
    shown = json.loads(said.out.splitlines()[-1])
    assert [each["what"] for each in shown["members"]] == ["w", "w"]
    assert "expected --min-severity among" in said.err
    assert run(["incident", largest["id"][:13], "--tenant", stored, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == largest["id"]
    assert run(["incident", str(uuid4())]) == 1
    assert "found none" in capsys.readouterr().err
    assert run(["incident", "%%%%"]) == 1
    assert "its first 4 characters or more, found '%%%%'" in capsys.readouterr().err
