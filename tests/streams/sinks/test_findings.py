"""Findings in PostgreSQL: states over scans, whatever the batches; a tenant sees its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from connectors.trivy import Trivy
from detectors.suppress.draft import draft
from detectors.suppress.scope import Scope
from sentinel import postgres as database
from sentinel import suppressions
from sentinel.settings import Settings
from streams.sinks.base import EventRow, Rows
from streams.sinks.findings import FindingsSink

START = "2026-03-02T09:{minute:02}:00Z"


def report(
    minute: int, cves: Sequence[int], target: str = "shop", scope: str = ""
) -> list[EventRow]:
    """Return the events of a scan of Trivy at a minute, with findings of these numbers."""
    found: dict[str, Any] = {
        "ArtifactName": target,
        "ArtifactType": "repository",
        "CreatedAt": START.format(minute=minute),
        "Results": [
            {
                "Target": "go.mod",
                "Class": "lang-pkgs",
                "Vulnerabilities": [
                    {
                        "VulnerabilityID": f"CVE-2026-{10_000 + number}",
                        "PkgName": "example",
                        "InstalledVersion": "1.0",
                        "Severity": "HIGH",
                    }
                    for number in cves
                ],
            }
        ],
    }
    if scope:
        found = {"scan": {"scope": scope}, "report": found}
    return rows(json.dumps(found).encode())


def rows(message: bytes) -> list[EventRow]:
    connector = Trivy()
    decoder = connector.decoder(frozenset())
    made = []
    for unit in connector.split(message):
        summary = connector.summarise(decoder.decode(unit))
        columns = (summary.class_uid, summary.activity_id, summary.status_id, summary.severity_id)
        texts = (summary.entity, summary.operation, summary.service, summary.src_ip)
        made.append(
            EventRow("", uuid4().bytes, summary.time, summary.time, "trivy", *columns, *texts, unit)
        )
    return made


def write(dsn: str, tenant: str, *batches: Sequence[EventRow]) -> dict[str, str]:
    """Write batches, each twice; return the states of the tenant's findings by rule."""

    async def run() -> dict[str, str]:
        sink = FindingsSink(Settings(postgres=dsn))
        await sink.open()
        try:
            for batch in batches:
                mine = Rows([row._replace(tenant=tenant) for row in batch])
                await sink.write(mine)
                await sink.write(mine)
        finally:
            await sink.close()
        pool = await database.open_pool(dsn, database.API, tenant=tenant, size=1)
        try:
            found = await pool.fetch("SELECT rule, state FROM findings")
        finally:
            await pool.close()
        return {row[0].removeprefix("CVE-2026-1"): row[1] for row in found}

    return asyncio.run(run())


def test_states_come_out_of_comparing_scans(postgres: str, tenant: str) -> None:
    first = write(postgres, tenant, report(0, [1, 2]))
    second = write(postgres, tenant, report(1, [1, 3]))
    third = write(postgres, tenant, report(2, [2]))

    assert first == {"0001": "new", "0002": "new"}
    assert second == {"0001": "recurring", "0002": "resolved", "0003": "new"}
    assert third == {"0001": "resolved", "0002": "reopened", "0003": "resolved"}


def test_a_scan_counts_when_the_last_of_it_is_here_in_whatever_order(
    postgres: str, tenant: str
) -> None:
    write(postgres, tenant, report(0, [1, 2, 3]))
    later = report(1, [1, 4])

    assert write(postgres, tenant, later[2:])["0002"] == "new"  # the end alone
    assert write(postgres, tenant, later[1:2])["0002"] == "new"
    assert write(postgres, tenant, later[:1]) == {
        "0001": "recurring",
        "0002": "resolved",
        "0003": "resolved",
        "0004": "new",
    }


def test_a_scan_that_finds_nothing_resolves_all_and_one_of_elsewhere_nothing(
    postgres: str, tenant: str
) -> None:
    write(postgres, tenant, report(0, [1]))

    assert write(postgres, tenant, report(1, [], target="other")) == {"0001": "new"}
    assert write(postgres, tenant, report(2, [])) == {"0001": "resolved"}


def test_a_scan_of_a_part_resolves_only_what_scans_of_that_part_found(
    postgres: str, tenant: str
) -> None:
    """Two namespaces of one cluster, and fewer checks than the night before."""
    write(postgres, tenant, report(0, [1, 2], scope="namespace/shop"))
    one = write(postgres, tenant, report(1, [3], scope="namespace/pay"))
    assert one == {"0001": "new", "0002": "new", "0003": "new"}
    two = write(postgres, tenant, report(2, [1], scope="namespace/shop"))
    assert two == {"0001": "recurring", "0002": "resolved", "0003": "new"}

    whole = write(postgres, tenant, report(3, [1, 2, 4]))
    assert whole == {"0001": "recurring", "0002": "reopened", "0003": "resolved", "0004": "new"}
    fewer = write(postgres, tenant, report(4, [1], scope="checks=quick"))
    assert fewer == {
        "0001": "recurring",
        "0002": "reopened",
        "0003": "resolved",
        "0004": "new",
    }, "fewer checks resolved what they do not check"
    assert write(postgres, tenant, report(5, [], scope="checks=quick"))["0001"] == "recurring"
    assert set(write(postgres, tenant, report(6, [])).values()) == {"resolved"}


def test_what_was_scanned_must_be_known(postgres: str, tenant: str) -> None:
    write(postgres, tenant, report(0, [1], target=""))

    assert write(postgres, tenant, report(1, [], target="")) == {"0001": "new"}


def test_other_events_are_left_alone(postgres: str, tenant: str) -> None:
    (finding, end) = report(0, [1])
    strange = [
        finding._replace(raw=b"", ocsf=b"{}"),
        finding._replace(raw=b"", ocsf=b"no JSON"),
        finding._replace(raw=b"", ocsf=b'{"metadata": {"correlation_uid": "x", "sequence": 0}}'),
        end._replace(class_uid=6003),
    ]

    assert write(postgres, tenant, strange) == {}


def test_nobody_sees_the_findings_of_another_tenant(postgres: str, tenant: str) -> None:
    write(postgres, tenant, report(0, [1]))

    async def count(role: str, seen_as: str) -> int:
        pool = await database.open_pool(postgres, role, tenant=seen_as, size=1)
        try:
            return int(await pool.fetchval("SELECT count(*) FROM findings"))
        finally:
            await pool.close()

    assert asyncio.run(count(database.API, tenant)) == 1
    assert asyncio.run(count(database.API, f"not-{tenant}")) == 0
    assert asyncio.run(count(database.WORKER, f"not-{tenant}")) == 0


@pytest.mark.parametrize("role", [database.API])
def test_the_api_cannot_change_findings(postgres: str, tenant: str, role: str) -> None:
    async def change() -> None:
        pool = await database.open_pool(postgres, role, tenant=tenant, size=1)
        try:
            await pool.execute("UPDATE findings SET state = 'resolved'")
        finally:
            await pool.close()

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(change())


def test_a_suppression_takes_findings_and_ends_with_the_scan_after_it(
    postgres: str, tenant: str
) -> None:
    """Scans arrive at the minutes 0 and 9; the suppression holds until minute 5."""
    now = time.time_ns() // 1_000_000

    def scan(minute: int) -> list[EventRow]:
        arrived = now + 60_000 * minute
        return [row._replace(arrived=arrived) for row in report(minute, [1])]

    async def suppress() -> None:
        pool = await database.open_pool(postgres, database.API, tenant=tenant, size=1)
        scope = Scope(kinds=("finding",), rules=("CVE-2026-1*",), entities=("shop",))
        row = draft("suppression", scope, tenant=tenant, owner="ada", reason="accepted",
                    starts=now, expires=now + 300_000, now=now)  # fmt: skip
        async with pool.acquire() as connection:
            await suppressions.add(connection, row)
        await pool.close()

    async def flags() -> list[bool]:
        pool = await database.open_pool(postgres, database.API, tenant=tenant, size=1)
        found = [row[0] for row in await pool.fetch("SELECT suppressed FROM findings")]
        await pool.close()
        return found

    asyncio.run(suppress())
    write(postgres, tenant, scan(0))
    assert asyncio.run(flags()) == [True]
    assert write(postgres, tenant, scan(9)) == {"0001": "recurring"}
    assert asyncio.run(flags()) == [False]
