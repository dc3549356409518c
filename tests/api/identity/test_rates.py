"""Limits that hold over all processes of the API, by one table."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import create
from api.deps import Database
from api.identity.rates import Counts
from sentinel import postgres as roles
from tests.api.conftest import Client

LIMIT = 6


async def settle(app: FastAPI) -> None:
    await app.state.identity.rates.counts.settle(Database(app.state.services, roles.ALL_TENANTS))


@pytest.fixture
async def another(api_settings, connect: Client) -> AsyncIterator[FastAPI]:
    """Yield a second process of the API, as far as it knows of the first: not at all."""
    app = create(api_settings)
    async with connect(application=app):
        yield app


async def ask(app: FastAPI, headers: dict[str, str], times: int) -> list[int]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return [(await client.get("/v1/alerts", headers=headers)).status_code for _ in range(times)]


async def test_a_quota_holds_over_processes(people, app, another, tenant) -> None:
    new = {"tenant": tenant, "title": "A", "requests_per_minute": LIMIT}
    assert (await people.client.post("/v1/tenants", json=new)).status_code == 201
    ada = await people.add(tenant, "viewer")
    assert await ask(app, ada.headers, LIMIT - 2) == [200] * (LIMIT - 2)
    await settle(app)
    assert await ask(another, ada.headers, 1) == [200]
    await settle(another)
    assert await ask(another, ada.headers, 2) == [200, 429]
    await settle(another)
    assert await ask(app, ada.headers, 1) == [200]  # within a settlement it cannot know
    await settle(app)
    assert await ask(app, ada.headers, 1) == [429]


async def test_all_wait_for_the_end_of_the_same_window(app, another, client) -> None:
    counts: list[Counts] = [each.state.identity.rates.counts for each in (app, another)]
    key = f"test/{time.time_ns()}"
    first, second = counts
    first.incr(key, 60)
    await settle(app)
    second.incr(key, 3600, 2)
    await settle(another)
    assert second.get(key) == 3
    assert second.get_expiry(key) == first.get_expiry(key)


async def test_a_window_that_is_over_begins_anew(app, client) -> None:
    counts: Counts = app.state.identity.rates.counts
    key = f"test/{time.time_ns()}"
    counts.incr(key, 0, 5)
    assert counts.get(key) == 0
    counts.incr(key, 60, 2)
    await settle(app)
    assert counts.get(key) == 2


async def test_without_the_database_a_process_counts_alone(app, client, monkeypatch: Any) -> None:
    counts: Counts = app.state.identity.rates.counts
    key = f"test/{time.time_ns()}"
    counts.incr(key, 60, 2)
    services = app.state.services
    away = type(services)(
        services.settings.model_copy(update={"postgres": "postgresql://127.0.0.1:1/x"})
    )
    with pytest.raises(Exception, match="PostgreSQL cannot be reached"):
        await counts.settle(Database(away, roles.ALL_TENANTS))
    assert counts.get(key) == 2
    await settle(app)
    assert counts.get(key) == 2
