"""Incidents, findings and suppressions by the commands, through the API and with a tenant's key."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sentinel.cli.app import run
from tests.api.test_resources import finding

NOW = time.time_ns() // 1_000_000


@pytest.fixture
def call(url: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Return a function that runs a command, as on a machine that knows the API's URL alone."""
    monkeypatch.setenv("SENTINEL_API_URL", url)
    monkeypatch.setenv("SENTINEL_HOME", str(home))
    for part in ("POSTGRES", "KAFKA"):
        monkeypatch.delenv(f"SENTINEL_{part}", raising=False)

    async def command(*args: str, token: str = "") -> tuple[int, list[dict[str, Any]], str]:
        monkeypatch.setenv("SENTINEL_API_TOKEN", token)
        status = await asyncio.to_thread(run, list(args))
        said = capsys.readouterr()
        rows = [json.loads(line) for line in said.out.splitlines()] if "--json" in args else []
        return status, rows, said.out + said.err

    return command


async def test_incidents_are_listed_and_shown_with_their_alerts(
    call: Any, seed: Any, tenant: str
) -> None:
    why = '{"what": "w"}'
    for at, entity in ((NOW - 5, "ada"), (NOW, "ada"), (NOW, "bob")):
        await seed.alert(entity=entity, first_seen=at, last_seen=at, explanation=why, events=0)
    mine = ("--tenant", tenant, "--json")
    status, rows, _ = await call("incidents", *mine)
    assert (status, sorted(row["alerts"] for row in rows)) == (0, [1, 2])
    _, (largest,), _ = await call("incidents", *mine, "--min-alerts", "2", "--entity", "ada")
    assert {"seq", "revision", "severity_id", "merged_into", "last_seen"} <= largest.keys()
    for given in (largest["id"], largest["id"][:13].upper()):
        _, (shown,), _ = await call("incident", given, *mine)
        assert [each["what"] for each in shown["members"]] == ["w", "w"]
        assert {"kind", "first_seen", "last_seen"} <= shown["members"][0].keys()
    _, _, table = await call("incident", largest["id"])
    assert "2 alert(s) from" in table
    assert (await call("incidents", *mine, "--since", "1h", "--until", "30m"))[1] == []


async def test_an_incident_that_was_merged_leads_to_where_its_alerts_are(
    call: Any, seed: Any, tenant: str, owner: Any
) -> None:
    for entity in ("ada", "bob"):
        await seed.alert(entity=entity, events=0)
    _, (kept, other), _ = await call("incidents", "--tenant", tenant, "--json")
    await owner.execute(
        "UPDATE incidents SET merged_into = $3, alerts = 0 WHERE tenant = $1 AND id = $2",
        *(tenant, other["id"], kept["id"]),
    )
    _, (shown,), _ = await call("incident", other["id"], "--json")
    assert shown["id"] == kept["id"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("incidents", "--min-severity", "awful"), "expected a severity among"),
        (("incident", str(uuid4())), "`sentinel incidents` lists them"),
        (("incident", "%%%%"), "or its first 4 characters or more, found '%%%%'"),
        (("incident", "ffff-ffff"), "found none; `sentinel incidents` lists them"),
        (("findings", "--state", "gone"), "expected --state among"),
        (("suppressions", "remove", str(uuid4())), "`sentinel suppressions list` lists"),
        (("suppressions", "add", "--reason", "x", "--expires", "8h"), "expected a suppression to"),
        (
            ("suppressions", "add", "--reason", "x", "--expires", "soon", "--rule", "r"),
            "a span such as 8h",
        ),
    ],
)
async def test_what_cannot_be_is_one_line(call: Any, args: tuple[str, ...], message: str) -> None:
    status, _, words = await call(*args)
    assert (status, words.count("\n")) == (1, 1), words
    assert words.startswith("sentinel: ")
    assert message in words


async def test_findings_are_listed_worst_first_with_their_events(
    call: Any, tenant: str, owner: Any
) -> None:
    low = await finding(owner, tenant, severity_id=2, rule="weak")
    worst = await finding(owner, tenant, severity_id=5)
    part = await finding(owner, tenant, scope="namespace/shop", state="resolved")
    await finding(owner, tenant, suppressed=True)
    mine = ("--tenant", tenant, "--json")
    _, rows, _ = await call("findings", *mine)
    assert [row["uid"] for row in rows] == [worst, low]
    assert {"scan", "suppressed", "first_seen", "scope"} <= rows[0].keys()
    assert rows[0]["ocsf"]["activity_name"] == "Create"
    assert (await call("findings", *mine, "--state", "resolved", "--scope", ""))[1] == []
    _, (closed,), _ = await call("findings", *mine, "--state", "resolved")
    assert (closed["uid"], closed["ocsf"]["activity_name"]) == (part, "Close")
    assert len((await call("findings", *mine, "--suppressed"))[1]) == 3
    assert [row["uid"] for row in (await call("findings", *mine, "--rule", "weak"))[1]] == [low]
    assert "CVE-2026-0001" in (await call("findings", "--tenant", tenant))[2]
    _, _, words = await call("findings", "--tenant", "nobody-at-all")
    assert "none found; send the report of a scanner" in words


async def test_a_key_of_a_tenant_keeps_its_own_alerts_quiet_and_sees_no_others(
    call: Any, tenant: str
) -> None:
    rights = ("--permission", "rules:write", "--permission", "config:read")
    _, (made,), _ = await call("keys", "add", "ada", "--tenant", tenant, *rights, "--json")
    key = made["key"]
    why = ("--reason", "known", "--json")
    scope = ("--rule", "r1", "--entity", "192.0.2.0/24")
    _, (made,), _ = await call(
        "suppressions", "add", *scope, "--expires", "8h", "--owner", "ada", *why, token=key
    )
    assert (made["tenant"], made["owner"]) == (tenant, "ada")
    assert made["scope"]["entities"] == ["192.0.2.0/24"]
    hours = ("--weekly", "sun 02:00-04:00", "--end", "30d")
    _, (window,), _ = await call("suppressions", "window", *hours, *why, "--tenant", tenant)
    assert (window["weekly"]["days"], window["state"]) == ([6], "active")
    _, (budget,), _ = await call(
        "suppressions", "budget", "--rule", "*", "--per-day", "5", *why, token=key
    )
    assert budget["expires"] is None
    _, (theirs,), _ = await call("suppressions", "add", *scope, "--expires", "8h", *why)
    assert theirs["tenant"] == "default"
    _, listed, _ = await call("suppressions", "list", "--json", token=key)
    assert [each["id"] for each in listed] == [budget["id"], window["id"], made["id"]]
    status, _, words = await call("suppressions", "remove", theirs["id"], token=key)
    assert (status, "nothing that holds" in words) == (1, True)
    assert (await call("suppressions", "remove", theirs["id"]))[0] == 0
    _, (ended,), _ = await call("suppressions", "remove", made["id"], "--json", token=key)
    assert ended["removed_by"]
    _, _, table = await call("suppressions", "list", token=key)
    assert "weekly 02:00-04:00 UTC" in table
