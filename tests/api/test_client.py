"""The Python client against a real server: what its examples say is what happens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sentinel.client import ApiError, Sentinel


@pytest.fixture
def script(url: str, home: Path) -> Any:
    """Return a function that runs another with a client, in a thread as a script would be."""

    async def run(function: Any) -> Any:
        def call() -> Any:
            with Sentinel(url, (home / "api-token").read_text().strip()) as api:
                return function(api)

        return await asyncio.to_thread(call)

    return run


async def test_alerts_are_searched_changed_and_followed(script, seed, tenant, monkeypatch) -> None:
    monkeypatch.setattr("sentinel.client.PAGE", 2)
    rows = [await seed.alert(entity=f"corp/alice-{number}") for number in range(5)]
    query = f"user:alice AND severity>=high AND time>now-24h AND tenant:{tenant}"
    found = await script(lambda api: list(api.alerts(query)))
    assert {each["id"] for each in found} == {row.id for row in rows}
    first = rows[0].id
    changed = await script(lambda api: api.change(first, status="triaged", assignee="user:ada"))
    assert (changed["status"], changed["assignee"]) == ("triaged", "user:ada")
    done = await script(lambda api: api.change_all(query=query, status="in_progress"))
    assert done["changed"] == 5
    past = await script(lambda api: list(api.timeline(first)))
    assert [each["action"] for each in past].count("change") == 2
    change = await script(lambda api: next(api.follow("status:in_progress", after="0")))
    assert change.alert["status"] == "in_progress"
    assert (await script(lambda api: api.alert(first)))["evidence"]["items"]


async def test_the_rest_can_be_asked_for_too(script, seed, tenant, tmp_path: Path) -> None:
    await seed.alert(entity="ada")
    await seed.event()
    assert [each["tenant"] for each in await script(lambda api: list(api.events(tenant=tenant)))]
    entities = await script(lambda api: api.entities(tenant=tenant))
    assert [each["entity"] for each in entities] == ["ada"]
    for listed in ("incidents", "findings"):
        await script(lambda api, name=listed: list(getattr(api, name)(tenant=tenant)))
    size = await script(lambda api: api.export("alerts", tmp_path / "a.csv", tenant=tenant))
    assert size == (tmp_path / "a.csv").stat().st_size


async def test_what_the_api_refuses_is_told_in_its_words(script) -> None:
    with pytest.raises(ApiError, match="query, column 1: expected a field") as caught:
        await script(lambda api: list(api.alerts("sevrity:high")))
    assert caught.value.status == 422
