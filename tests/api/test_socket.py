"""Live alerts over a WebSocket of a real server: filtered, resumable, slow ones dropped."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.routes import alert_stream


@pytest.fixture
def address(url: str, home: Path) -> Any:
    token = (home / "api-token").read_text().strip()

    def make(**params: Any) -> dict[str, Any]:
        uri = f"{url.replace('http', 'ws', 1)}/v1/alerts/ws?{urlencode(params)}"
        return {"uri": uri, "additional_headers": {"Authorization": f"Bearer {token}"}}

    return make


async def test_alerts_come_filtered_and_a_client_that_comes_back_misses_none(
    address, seed, tenant
) -> None:
    low = await seed.alert(severity_id=2)
    first = await seed.alert(severity_id=5)
    given = {"tenant": tenant, "query": "severity>=high", "after": 0}
    async with open_socket(**address(**given)) as socket:
        one = json.loads(await asyncio.wait_for(socket.recv(), 120))
        second = await seed.alert(severity_id=4)
        two = json.loads(await asyncio.wait_for(socket.recv(), 120))
    assert [(each["type"], each["data"]["id"]) for each in (one, two)] == [
        ("alert", first.id),
        ("alert", second.id),
    ]
    await seed.write(first._replace(count=2, events=[]))
    third = await seed.alert(severity_id=5)
    async with open_socket(**address(**given | {"after": two["id"]})) as socket:
        found = [json.loads(await asyncio.wait_for(socket.recv(), 120)) for _ in range(2)]
    assert [(each["type"], each["data"]["id"]) for each in found] == [
        ("amendment", first.id),
        ("alert", third.id),
    ]
    assert low.id not in {each["data"]["id"] for each in (one, two, *found)}


async def test_a_browser_gives_its_token_as_a_protocol(address, home, tenant) -> None:
    given = address(tenant=tenant)
    token = (home / "api-token").read_text().strip()
    async with open_socket(given["uri"], subprotocols=["bearer", token]) as socket:
        assert socket.subprotocol == "bearer"


async def test_a_stranger_and_a_wrong_query_are_refused(address) -> None:
    with pytest.raises(InvalidStatus) as stranger:
        await open_socket(address()["uri"])
    assert stranger.value.response.status_code in {401, 403}
    with pytest.raises(InvalidStatus) as wrong:
        await open_socket(**address(query="sevrity:high"))
    assert wrong.value.response.status_code == 422
    assert b"query, column 1" in wrong.value.response.body


async def test_a_client_that_takes_nothing_is_dropped_and_can_resume(
    address, seed, tenant, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(alert_stream, "SLOW_S", 0.5)
    text = json.dumps({"why": "x" * 400_000})
    rows = [await seed.alert(explanation=text) for _ in range(40)]
    given = {"tenant": tenant, "after": 0}
    ids: list[str] = []
    last = "0"
    async with open_socket(**address(**given), max_queue=1, compression=None) as socket:
        while "client too slow" not in caplog.text:  # noqa: ASYNC110 # as it takes nothing
            await asyncio.sleep(0.05)
        try:
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), 120))
                ids.append(message["data"]["id"])
                last = message["id"]
        except ConnectionClosed as closed:
            end = closed
    assert len(ids) < len(rows)
    if end.rcvd is not None:
        assert (end.rcvd.code, "come back with after=" in end.rcvd.reason) == (1013, True)
    monkeypatch.undo()
    async with open_socket(**address(**given | {"after": last})) as socket:
        while len(ids) < len(rows):
            ids.append(json.loads(await asyncio.wait_for(socket.recv(), 120))["data"]["id"])
    assert ids == [row.id for row in rows]
