"""People of several tenants and roles, signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from sentinel.local import Stack
from streams.runtime.migrate import apply

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def postgres(stack: Stack) -> Iterator[str]:
    """Yield a database of their own: rivals leave odd rows in every table."""
    name = f"identity_{uuid4().hex}"
    with psycopg.connect(stack.postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    dsn = urlsplit(stack.postgres)._replace(path=f"/{name}").geturl()
    apply(dsn)
    yield dsn
    with psycopg.connect(stack.postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Person(NamedTuple):
    """Somebody who has signed in."""

    id: str
    tenant: str
    name: str
    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}

    @property
    def proof(self) -> dict[str, str]:
        return {"tenant": self.tenant, "user": self.name, "password": PASSWORD}


class People:
    """Adds users with the first token, as `client` has it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def invite(self, tenant: str, role: str) -> dict[str, Any]:
        body = {"name": f"u-{uuid4().hex[:8]}", "role": role, "tenant": tenant}
        answer = await self.client.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def add(self, tenant: str, role: str = "viewer") -> Person:
        user = await self.invite(tenant, role)
        who = {"tenant": tenant, "user": user["name"]}
        chosen = {**who, "password": user["secret"], "new_password": PASSWORD}
        answer = await self.client.post("/v1/auth/password", json=chosen)
        assert answer.status_code == 204, answer.text
        answer = await self.client.post("/v1/auth/login", json={**who, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        return Person(
            user["id"], tenant, user["name"], tokens["access_token"], tokens["refresh_token"]
        )


@pytest.fixture(autouse=True)
def patient(app: FastAPI) -> None:
    """Let tests sign in as often as they like; the limit has a test of its own."""
    app.state.identity.rates.sign_ins = 10_000


@pytest.fixture
def people(client: httpx.AsyncClient) -> People:
    return People(client)


@pytest.fixture
async def stranger(app: FastAPI, client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client without a credential, of the application that `client` runs."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as found:
        yield found
