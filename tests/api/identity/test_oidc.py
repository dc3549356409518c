"""Single sign-on against a real OpenID Connect provider that runs beside the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import oidc_provider_mock
import pytest
from pydantic import SecretStr

from api.app import create
from api.identity.oidc import COOKIE
from sentinel.settings import Settings

#: The provider's own, of the library that it is made with.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
REDIRECT = "http://api/v1/auth/oidc/callback"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@asynccontextmanager
async def sign_on(api_settings: Settings, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    secret = {"oidc_client_secret": SecretStr("of the client")}
    changed = {"oidc_client_id": "sentinel", "oidc_redirect": REDIRECT, **secret, **settings}
    app = create(api_settings.model_copy(update=changed))
    app.state.identity.rates.sign_ins = 1000
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield client


def known(issuer: str, subject: str, **claims: Any) -> None:
    """Tell the provider what it says of a person."""
    httpx.put(f"{issuer}/users/{quote(subject)}", json=claims).raise_for_status()


async def there(client: httpx.AsyncClient, subject: str) -> tuple[str, dict[str, list[str]]]:
    """Go to the provider, sign in as `subject`; return the way back and what was asked."""
    answer = await client.get("/v1/auth/oidc")
    assert answer.status_code == 303
    where = answer.headers["location"]
    async with httpx.AsyncClient() as browser:
        back = await browser.post(where, data={"sub": subject})
    assert back.status_code in {302, 303}, back.text
    return back.headers["location"], parse_qs(urlsplit(where).query)


async def account(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return dict((await client.get("/v1/account", headers=headers)).json())


async def test_a_known_user_is_joined_by_the_verified_address(
    people, api_settings, issuer, tenant
) -> None:
    name = f"ada@{tenant}.example"
    body = {"name": name, "role": "analyst", "tenant": tenant}
    assert (await people.client.post("/v1/users", json=body)).status_code == 201
    known(issuer, f"sub-{tenant}", email=name, email_verified=True)
    async with sign_on(api_settings, oidc_issuer=issuer, oidc_tenant=tenant) as client:
        back, asked = await there(client, f"sub-{tenant}")
        assert asked["code_challenge_method"] == ["S256"]
        assert len(asked["code_challenge"][0]) == 43
        cookie = client.cookies.get(COOKIE)
        assert cookie
        answer = await client.get(back)
        assert answer.status_code == 200, answer.text
        found = await account(client, answer)
        assert (found["subject"], found["tenant"]) == (f"user:{name}", tenant)
        assert "alerts:update" in found["permissions"]
        known(issuer, f"sub-{tenant}", email="changed@example.com", email_verified=False)
        again = await client.get((await there(client, f"sub-{tenant}"))[0])
        assert (await account(client, again))["subject"] == f"user:{name}"  # by subject now
    lines = (await people.client.get("/v1/audit", params={"tenant": tenant})).json()["items"]
    assert [line["action"] for line in lines].count("user.login") == 2


async def test_strangers_get_in_only_where_a_role_is_set(people, api_settings, issuer, tenant):
    for subject, verified in (("new", True), ("unproven", False)):
        email = f"{subject}@{tenant}.example"
        known(issuer, f"{subject}-{tenant}", email=email, email_verified=verified)
    async with sign_on(api_settings, oidc_issuer=issuer, oidc_tenant=tenant) as client:
        answer = await client.get((await there(client, f"new-{tenant}"))[0])
        assert answer.status_code == 403
    settings = {"oidc_issuer": issuer, "oidc_tenant": tenant, "oidc_role": "viewer"}
    async with sign_on(api_settings, **settings) as client:
        answer = await client.get((await there(client, f"unproven-{tenant}"))[0])
        assert answer.status_code == 403
        answer = await client.get((await there(client, f"new-{tenant}"))[0])
        assert answer.status_code == 200, answer.text
        assert "alerts:update" not in (await account(client, answer))["permissions"]
    users = (await people.client.get("/v1/users", params={"tenant": tenant})).json()["items"]
    assert [(user["password"], user["single_sign_on"]) for user in users] == [("none", True)]
    off = {"disabled": True}
    await people.client.patch(f"/v1/users/{users[0]['id']}", json=off)
    async with sign_on(api_settings, **settings) as client:
        answer = await client.get((await there(client, f"new-{tenant}"))[0])
        assert answer.status_code == 403


async def test_the_way_back_is_for_the_browser_that_went(api_settings, issuer, tenant) -> None:
    known(issuer, f"eve-{tenant}", email=f"eve@{tenant}.example", email_verified=True)
    settings = {"oidc_issuer": issuer, "oidc_tenant": tenant, "oidc_role": "viewer"}
    async with sign_on(api_settings, **settings) as client:
        back, _ = await there(client, f"eve-{tenant}")
        kept = client.cookies.get(COOKIE)
        client.cookies.clear()
        assert (await client.get(back)).status_code == 401  # a victim's browser: no cookie
        for cookie in ("x", "é", kept[:-4] + "AAAA"):
            headers = {"Cookie": f"{COOKIE}={cookie}".encode("latin-1")}
            assert (await client.get(back, headers=headers)).status_code in {401, 422}
        await client.get("/v1/auth/oidc")  # another way, with another state
        assert (await client.get(back)).status_code == 401
        client.cookies.clear()
        client.cookies.set(COOKIE, kept, path="/v1/auth/oidc")
        other = back.replace("state=", "state=x")
        assert (await client.get(other)).status_code == 401
        assert (await client.get("/v1/auth/oidc/callback?error=denied")).status_code == 401
        assert (await client.get(back)).status_code == 200
        client.cookies.set(COOKIE, kept, path="/v1/auth/oidc")
        assert (await client.get(back)).status_code == 502  # the code is good once


async def test_an_issuer_that_is_another_or_away(api_settings, issuer) -> None:
    async with sign_on(api_settings) as client:
        off = await client.get("/v1/auth/oidc")
        assert off.status_code == 404
        assert "SENTINEL_OIDC_ISSUER" in off.json()["detail"]
    for wrong in ("http://127.0.0.1:1", f"{issuer}/", "http://oidc.example"):
        async with sign_on(api_settings, oidc_issuer=wrong) as client:
            answer = await client.get("/v1/auth/oidc")
            assert answer.status_code == 502, wrong
            assert answer.json()["detail"].startswith("single sign-on: expected")
