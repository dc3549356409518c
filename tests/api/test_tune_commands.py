"""`rules tune`, `rules tuned` and `suppressions propose`, as a person types them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sentinel.cli.app import run
from sentinel.settings import Settings


@pytest.fixture
def call(
    url: str, home: Path, api_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Any:
    """Return a function that runs a command and returns its status, rows and words."""
    monkeypatch.setenv("SENTINEL_API_URL", url)
    monkeypatch.setenv("SENTINEL_HOME", str(home))
    monkeypatch.setenv("SENTINEL_POSTGRES", api_settings.postgres)

    async def command(*args: str) -> tuple[int, list[dict[str, Any]], str]:
        status = await asyncio.to_thread(run, list(args))
        said = capsys.readouterr()
        rows = [json.loads(line) for line in said.out.splitlines()] if "--json" in args else []
        return status, rows, said.out + said.err

    return command


async def test_a_rule_is_tuned_listed_and_set_back(call: Any, tenant: str) -> None:
    mine = ("--tenant", tenant)
    status, (made,), _ = await call(
        "rules", "tune", "aws_*", *mine, "--severity", "low", "--staged", "--reason", "noisy",
        "--source", "cloudtrail", "--json",
    )  # fmt: skip
    assert status == 0
    assert (made["severity"], made["staged"], made["disabled"]) == (2, True, None)
    assert made["scope"]["sources"] == ["cloudtrail"]
    status, _, words = await call("rules", "tune", "r1", *mine, "--off", "--reason", "wrong")
    assert status == 0
    assert "off: r1 of " in words
    _, _, table = await call("rules", "tuned", *mine)
    assert "on trial, low" in table
    assert (await call("suppressions", "remove", made["id"]))[0] == 0
    _, rows, _ = await call("suppressions", "list", *mine, "--json")
    assert {row["id"]: bool(row["removed"]) for row in rows}[made["id"]]
    assert {row["kind"] for row in rows} == {"tuning"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "at least one of disabled"),
        (("--threshold", "0.7"), "rules have none"),
        (("--severity", "dire"), "expected one of informational"),
    ],
)
async def test_what_makes_no_sense_is_said(call: Any, options: Any, message: str) -> None:
    status, _, words = await call("rules", "tune", "r1", "--reason", "x", *options)
    assert status != 0
    assert message in words


async def test_proposals_are_shown_and_accepted(
    call: Any, client: Any, seed: Any, tenant: str
) -> None:
    for _ in range(3):
        row = await seed.alert(rule_id="noisy", entity="job[1]")
        change = {"disposition": "benign", "reason": "a nightly job"}
        assert (await client.patch(f"/v1/alerts/{row.id}", json=change)).status_code == 200
    mine = ("--tenant", tenant)
    _, (found,), _ = await call("suppressions", "propose", *mine, "--json")
    assert (found["action"], found["entity"], found["wrong"]) == ("suppress", "job[1]", 3)
    assert (await call("suppressions", "propose", *mine, "--accept"))[0] == 0
    _, (made,), _ = await call("suppressions", "list", *mine, "--json")
    assert made["kind"] == "suppression"
    assert made["scope"]["entities"] == ["job[[]1]"]
    assert "3 alerts were wrong" in made["reason"]
    lines = (await client.get("/v1/audit", params={"tenant": tenant})).json()["items"]
    assert "suppression.add" in {line["action"] for line in lines}
