"""The stream of alerts over a real server: nothing is left out, also after a break."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

PLACE = {"Last-Event-ID": "0"}


@pytest.fixture
async def browser(url: str, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {(home / 'api-token').read_text().strip()}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
        yield client


async def read(
    client: httpx.AsyncClient, count: int, headers: Any, two: Any = None, **params: Any
) -> list[Any]:
    """Return the first `count` events as (kind, id, alert); set `two` when there are two."""
    found: list[Any] = []
    fields: dict[str, str] = {}
    async with client.stream("GET", "/v1/alerts/stream", params=params, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async with contextlib.aclosing(answer.aiter_lines()) as lines:
            async for line in lines:
                if not line and "data" in fields:
                    found.append((fields["event"], fields["id"], json.loads(fields["data"])))
                    fields = {}
                elif ": " in line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                if two and len(found) == 2:
                    two.set()
                if len(found) == count:
                    return found
    raise AssertionError("the stream ended")


async def test_alerts_come_as_they_are_created_and_amended(browser, seed, tenant) -> None:
    first = await seed.alert()
    two = asyncio.Event()
    following = asyncio.create_task(read(browser, 3, PLACE, two, tenant=tenant))
    second = await seed.alert()
    await asyncio.wait_for(two.wait(), 120)  # else the amendment may come as one with its alert
    odd = first.events[0]._replace(uid=uuid4().bytes)
    await seed.write(first._replace(count=2, events=[odd]))
    events = await asyncio.wait_for(following, 120)
    seen = [(kind, alert["id"], alert["count"]) for kind, _, alert in events]
    assert (seen[-1][1], seen[-1][2]) == (first.id, 2)
    assert {identity for _, identity, _ in seen} == {first.id, second.id}
    revisions = [int(revision) for _, revision, _ in events]
    assert revisions == sorted(revisions)


async def test_a_client_that_comes_back_misses_nothing(browser, seed, tenant) -> None:
    rows = [await seed.alert() for _ in range(3)]
    before = await read(browser, 3, PLACE, tenant=tenant)
    assert [kind for kind, _, _ in before] == ["alert"] * 3
    odd = rows[0].events[0]._replace(uid=uuid4().bytes)
    await seed.write(rows[0]._replace(count=2, events=[odd]))
    rows.append(await seed.alert())
    after = await read(browser, 2, {"Last-Event-ID": before[-1][1]}, tenant=tenant)
    assert [(kind, alert["id"]) for kind, _, alert in after] == [
        ("amendment", rows[0].id),
        ("alert", rows[3].id),
    ]


async def test_more_alerts_than_one_look_takes_all_come(browser, seed, tenant) -> None:
    row = await seed.alert()
    rows = [row._replace(id=str(uuid4()), events=[]) for _ in range(450)]
    await asyncio.gather(*(seed.write(row) for row in rows))
    found = await read(browser, 451, PLACE, tenant=tenant)
    assert {alert["id"] for _, _, alert in found} == {row.id, *(row.id for row in rows)}


async def test_without_a_place_it_begins_with_what_comes_next(browser, seed, tenant) -> None:
    await seed.alert()
    request = browser.build_request("GET", "/v1/alerts/stream", params={"tenant": tenant})
    answer = await browser.send(request, stream=True)  # its beginning is fixed with the headers
    later = await seed.alert()
    lines = answer.aiter_lines()
    async for line in lines:
        if line.startswith("data: "):
            assert json.loads(line[6:])["id"] == later.id
            break
    await lines.aclose()
    await answer.aclose()


async def test_filters_hold_for_the_stream(browser, seed, tenant) -> None:
    await seed.alert(severity_id=1)
    high = await seed.alert(severity_id=5)
    ((_, _, alert),) = await read(browser, 1, PLACE, tenant=tenant, min_severity="high")
    assert alert["id"] == high.id


async def test_a_stranger_gets_no_stream(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/v1/alerts/stream")).status_code == 401
