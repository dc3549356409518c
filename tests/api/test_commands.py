"""The commands that ask the API, as a script runs them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from streams.sinks.base import AlertEventRow

NOW = int(time.time() * 1000)
FIELDS = ["id", "time", "tenant", "source", "severity", "score", "rule_id", "title"]
FIELDS += ["techniques", "entity", "event_uids", "explanation", "status", "count"]
FIELDS += ["assignee", "disposition", "disposition_reason", "merged_into", "suppression"]
FIELDS += ["updated_at"]


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Sentinel = Callable[..., Coroutine[Any, Any, Result]]


def environment(home: Path, url: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    return own | {"SENTINEL_HOME": str(home), "SENTINEL_API_URL": url, "COLUMNS": "200"}


@pytest.fixture
def sentinel(home: Path, url: str) -> Sentinel:
    """Return a function that runs ``sentinel`` with the arguments given."""

    async def run(*args: str) -> Result:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sentinel.cli", *args),
            env=environment(home, url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())

    return run


async def test_alerts_as_json_lines_have_the_fields_of_the_contract(
    sentinel: Sentinel, seed, tenant
) -> None:
    high = await seed.alert(severity_id=5, events=2)
    low = await seed.alert(severity_id=2, first_seen=high.first_seen - 1000)
    result = await sentinel("alerts", "--json", "--tenant", tenant)
    assert (result.status, result.err) == (0, "")
    assert [row["id"] for row in result.rows] == [high.id, low.id]
    assert all(list(row) == FIELDS for row in result.rows)
    result = await sentinel(
        *("alerts", "--json", "--tenant", tenant, "--min-severity", "high", "--since", "1h")
    )
    assert [row["id"] for row in result.rows] == [high.id]


async def test_no_alert_is_left_out_without_a_limit(sentinel: Sentinel, seed, tenant) -> None:
    row = await seed.alert()
    rows = [row._replace(id=str(uuid4()), events=[]) for _ in range(1100)]
    await seed.write(*rows)
    result = await sentinel("alerts", "--json", "--tenant", tenant)
    assert len(result.rows) == 1101
    result = await sentinel("alerts", "--json", "--tenant", tenant, "--limit", "7")
    assert len(result.rows) == 7
    result = await sentinel("alerts", "--tenant", tenant)
    assert "There are more than 50" in result.err


async def test_one_alert_as_json_has_all_its_events(sentinel: Sentinel, seed) -> None:
    row = await seed.alert(events=2300)
    result = await sentinel("alert", row.id, "--json")
    (alert,) = result.rows
    assert list(alert) == [*FIELDS, "opinions"]
    assert alert["event_uids"] == [str(UUID(bytes=event.uid)) for event in row.events]


async def test_an_alert_for_a_person_says_why(sentinel: Sentinel, seed) -> None:
    why = '{"what": "ConsoleLogin by nobody we know"}'
    row = await seed.alert(title="Odd [red]title[/]", explanation=why)
    result = await sentinel("alert", row.id)
    assert result.status == 0
    for part in ("Odd [red]title[/]", row.id, "ConsoleLogin", "T1078.004", '{"r": 1}'):
        assert part in result.out


async def test_an_alert_for_a_person_says_what_happened_what_else_and_what_to_do(
    sentinel: Sentinel, seed
) -> None:
    ocsf = {
        "message": "ConsoleLogin by root",
        "status": "Failure",
        "src_endpoint": {"ip": "203.0.113.7", "location": {"country": "NZ"}},
        "enrichments": [{"value": "203.0.113.7", "type": "anonymity", "data": {"flags": ["tor"]}}],
    }
    about = AlertEventRow(uuid4().bytes, NOW, NOW, 0.7, "cloudtrail", json.dumps(ocsf), b"{}")
    entity = f"root {uuid4()}"
    first = await seed.alert(entity=entity)
    await seed.write(first._replace(events=[about]))
    await seed.alert(entity=entity, title="A key was made")

    result = await sentinel("alert", first.id[:18])

    assert result.status == 0
    for part in (
        *("ConsoleLogin by root", "203.0.113.7 (NZ, tor)", "Failure"),
        *("1 more alert(s) share", "sentinel incident ", "A key was made"),
        f"sentinel events --entity '{entity}' --since ",
        f"sentinel suppressions add --rule {first.rule_id} --entity '{entity}'",
        "https://attack.mitre.org/techniques/T1078/004/",
    ):
        assert part in result.out


async def test_events_are_listed(sentinel: Sentinel, seed, tenant) -> None:
    row = await seed.event(operation="Odd[/]")
    result = await sentinel("events", "--json", "--tenant", tenant)
    assert [event["uid"] for event in result.rows] == [str(UUID(bytes=row.uid))]
    assert result.rows[0]["ocsf"] == {"class_uid": 6003}
    assert "Odd[/]" in (await sentinel("events", "--tenant", tenant)).out


async def test_following_prints_alerts_as_they_come(sentinel: Sentinel, seed, tenant) -> None:
    rows = [await seed.alert() for _ in range(2)]
    options = ("--follow", "--all", "--limit", "3", "--json", "--tenant", tenant)
    following = asyncio.create_task(sentinel("alerts", *options))
    rows.append(await seed.alert())
    result = await asyncio.wait_for(following, 30)
    assert [row["id"] for row in result.rows] == [row.id for row in rows]
    shown = await sentinel("alerts", "--follow", "--all", "--limit", "1", "--tenant", tenant)
    assert "Root logged in" in shown.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("alerts", "--severity", "awful"), "severity"),
        (("alerts", "--since", "yesterday"), "90m, 12h, 7d"),
        (("alert", "6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"), "there is no alert"),
        (("alert", "6f1c2a36-3f6e"), "found none among the latest"),
        (("alert", "first"), "or its first 4 characters or more, found 'first'"),
    ],
)
async def test_what_the_api_refuses_is_one_line(
    sentinel: Sentinel, args: tuple[str, ...], message: str
) -> None:
    result = await sentinel(*args)
    assert result.status == 1
    assert message in result.err
    assert len(result.err.splitlines()) == 1


async def test_without_an_api_it_says_what_to_do(home: Path, url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sentinel.cli", "alerts"),
        env=environment(home, "http://127.0.0.1:1"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"is it up (`sentinel status`)?" in err


async def test_alerts_are_searched_changed_and_their_past_is_shown(
    sentinel: Sentinel, seed, tenant
) -> None:
    row = await seed.alert(entity="CORP/alice")
    other = await seed.alert(entity="bob")
    query = f"user:alice AND NOT severity:low AND tenant:{tenant}"
    result = await sentinel("alerts", "-q", query, "--json")
    assert [each["id"] for each in result.rows] == [row.id]
    result = await sentinel("events", "--query", "class:6003 AND foo:1", "--json")
    assert result.status == 1
    assert result.err.endswith(f"  class:6003 AND foo:1\n  {' ' * 15}^\n")
    changes = ("--status", "triaged", "--assign", "user:ada", "--comment", "looking")
    result = await sentinel("alert", row.id, *changes, "--merge", other.id, "--json")
    assert result.status == 0, result.err
    assert (result.rows[0]["status"], result.rows[0]["assignee"]) == ("triaged", "user:ada")
    result = await sentinel("alert", row.id, "--timeline", "--json")
    assert {each["action"] for each in result.rows} == {"event", "comment", "change", "merge"}
    result = await sentinel("alert", row.id, "--timeline")
    assert "status: new → triaged; assignee: none → user:ada" in result.out
    result = await sentinel("alert", row.id, "--disposition", "benign")
    assert "a disposition needs a `reason`" in result.err


def left(folder: Path) -> list[Path]:
    return list(folder.glob("*.csv*"))


async def test_an_export_is_written_whole_or_not_at_all(
    sentinel: Sentinel, seed, tenant, tmp_path: Path
) -> None:
    row = await seed.alert()
    out = tmp_path / "alerts.csv"
    result = await sentinel("export", "alerts", "-o", str(out), "-q", f"tenant:{tenant}")
    assert result.status == 0, result.err
    assert row.id in out.read_text()
    assert "alerts.csv" in result.err
    result = await sentinel("export", "alerts", "-q", f"tenant:{tenant}")
    assert [each["id"] for each in result.rows] == [row.id]
    wrong = await sentinel("export", "events", "-o", str(tmp_path / "events.pdf"))
    assert "expected --format among jsonl, json, csv, xml for events" in wrong.err
    broken = await sentinel("export", "alerts", "-o", str(tmp_path / "x.csv"), "-q", "foo:1")
    assert "expected a field" in broken.err
    assert {each.name for each in left(tmp_path)} == {"alerts.csv"}


async def test_searches_are_kept_run_and_removed(sentinel: Sentinel, seed, tenant) -> None:
    row = await seed.alert(entity="CORP/alice")
    await seed.alert(entity="bob")
    name = f"Alice of {tenant}"
    kept = await sentinel("searches", "save", name, f"user:alice AND tenant:{tenant}", "--json")
    assert kept.status == 0, kept.err
    found = await sentinel("searches", "run", name, "--json")
    assert [each["id"] for each in found.rows] == [row.id]
    listed = await sentinel("searches", "list", "--json")
    assert name in [each["name"] for each in listed.rows]
    wrong = await sentinel("searches", "save", "x", "foo:1")
    assert "expected a field" in wrong.err
    assert (await sentinel("searches", "remove", name)).status == 0
    gone = await sentinel("searches", "run", name)
    assert "expected the name of a saved search" in gone.err
