"""Every route: who may ask, how errors look, and that no input makes it fail."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import jsonschema
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api import auth
from api.app import create
from sentinel.errors import SettingsError
from sentinel.settings import Settings

OPEN = {"/health", "/docs", "/openapi.json", "/.well-known/jwks.json"}


def operations(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]


@pytest.fixture
async def stranger(connect: Any) -> Any:
    async with connect("") as found:
        yield found


async def test_nothing_but_health_and_docs_is_open(app: FastAPI, stranger) -> None:
    for method, path in operations(app):
        answer = await stranger.request(method, re.sub(r"\{\w+\}", str(uuid4()), path))
        if path.startswith("/v1/auth/") and path in auth.OPEN:
            assert answer.status_code in {401, 404, 422}, path  # no body, no single sign-on
        elif path in OPEN:
            assert answer.status_code == 200, path
        else:
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "api-token" in answer.json()["detail"]
    assert (await stranger.get("/docs")).status_code == 200
    assert (await stranger.get("/openapi.json")).status_code == 200
    assert (await stranger.get("/v1/nothing")).status_code == 401


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer wrong", "Basic {token}", "Bearer {token}x", "{token}", "Bearer é"]
)
async def test_another_token_is_refused(stranger, home: Path, header: str) -> None:
    token = (home / "api-token").read_text().strip()
    value = header.format(token=token).encode("latin-1")
    answer = await stranger.get("/v1/alerts", headers={"Authorization": value})
    assert answer.status_code == 401


def test_the_token_is_made_once_and_private(api_settings: Settings, home: Path) -> None:
    create(api_settings)
    first = (home / "api-token").read_text()
    create(api_settings)
    assert (home / "api-token").read_text() == first
    assert len(first.strip()) >= 43  # 32 bytes
    assert stat.S_IMODE((home / "api-token").stat().st_mode) == 0o600


@pytest.mark.parametrize("line", ["only-a-tenant", "tenant short", "* a-token-that-sees-it-all"])
def test_a_bad_line_of_tenant_tokens_is_named(
    api_settings: Settings, home: Path, line: str
) -> None:
    (home / "tenant-tokens").write_text(f"\n{line}\n")
    with pytest.raises(SettingsError, match=r"tenant-tokens:2: expected a tenant and a token"):
        create(api_settings)


async def test_answers_carry_security_headers_and_no_cors(client) -> None:
    answer = await client.get("/v1/alerts", headers={"Origin": "https://elsewhere.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers


async def test_errors_are_problem_details(client) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/alerts", 405),
        ("GET", "/v1/alerts?limit=x", 422),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["detail"]
        assert problem["instance"] == path.partition("?")[0]


async def test_without_postgres_it_says_503_and_stays_up(connect, home: Path) -> None:
    away = create(Settings(home=home, postgres="postgresql://x@127.0.0.1:1/x", kafka="127.0.0.1:1"))
    async with connect(application=away) as client:
        answer = await client.get("/v1/alerts")
        assert answer.status_code == 503
        assert "PostgreSQL cannot be reached" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "5"
        assert (await client.get("/health/db")).status_code == 503
        assert (await client.get("/health")).status_code == 200


async def test_requests_are_counted_by_route(client, tenant: str) -> None:
    await client.get("/v1/alerts", params={"tenant": tenant})
    await client.get("/v1/alerts/6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11")
    text = (await client.get("/metrics")).text
    assert 'sentinel_api_requests_total{method="GET",route="/v1/alerts",status="200"}' in text
    assert tenant not in text
    assert "6f1c2a36" not in text


def test_examples_in_openapi_are_of_their_schemas(app: FastAPI) -> None:
    document = app.openapi()
    checked = 0
    for name, schema in document["components"]["schemas"].items():
        for part in schema.get("properties", {}).values():
            for example in part.get("examples", ()):
                whole = part | {"components": document["components"]}
                jsonschema.validate(example, whole)
                checked += 1
        assert schema.get("description"), name
    assert checked > 50
    for method, path in operations(app):
        operation = document["paths"][path][method.lower()]
        assert operation["description"], path
        assert "401" in operation["responses"], path


def test_openapi_refers_to_nothing_that_is_missing(app: FastAPI) -> None:
    document = app.openapi()
    text = str(document)
    for name in ("HTTPValidationError", "ValidationError"):
        assert f"schemas/{name}'" not in text
    assert "ProblemDetails" in document["components"]["schemas"]


VALUES = (
    st.text(max_size=30)
    | st.integers().map(str)
    | st.sampled_from(["", "0", "-1", "1e9", "null", "\x00", "true", "high", "T1078", "day"])
    | st.sampled_from(["events", "W10", "WzFd", "WyJhIiwiYiJd", "2026-01-01T00:00:00Z", "💥"])
    | st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"])
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_no_parameters_make_it_fail(client, app: FastAPI, data: st.DataObject) -> None:
    document = app.openapi()
    paths = [
        path
        for path, methods in document["paths"].items()
        if "get" in methods
        and not path.startswith("/health")
        # one never ends, the others ask a broker that is not there
        and not path.endswith(("/stream", "/ledger", "/stimulator"))
    ]
    path = data.draw(st.sampled_from(sorted(paths)))
    names = [
        parameter["name"]
        for parameter in document["paths"][path]["get"].get("parameters", ())
        if parameter["in"] == "query"
    ]
    chosen = data.draw(st.lists(st.sampled_from(names or ["none"]), max_size=3))
    params = [(name, data.draw(VALUES)) for name in chosen]
    alert = data.draw(st.uuids() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
    url = httpx.URL("http://api" + re.sub(r"\{\w+\}", quote(str(alert)), path), params=params)
    answer = await client.get(url)
    assert answer.status_code < 500, (url, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
