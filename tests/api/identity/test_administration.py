"""Users, roles, keys and tenants as administrators manage them, and what they cannot do."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from api.app import create
from api.errors import Problem
from api.identity.setup import first_admin
from sentinel.local.home import ADMIN_SECRET
from streams.runtime.migrate import apply


async def test_nobody_gives_more_than_they_have(people, stranger, tenant) -> None:
    admin = await people.add(tenant, "admin")
    body = {"permissions": ["users:manage", "keys:manage", "alerts:read"]}
    made = await stranger.put("/v1/roles/deputy", headers=admin.headers, json=body)
    assert made.status_code == 200
    deputy = await people.add(tenant, "deputy")

    async def ask(method: str, path: str, **json: Any) -> int:
        answer = await stranger.request(method, path, headers=deputy.headers, json=json or None)
        return int(answer.status_code)

    assert await ask("POST", "/v1/users", name="eve", role="admin") == 403
    assert await ask("POST", "/v1/users", name="eve", role="analyst") == 403
    assert await ask("POST", "/v1/users", name="eve", role="deputy") == 201
    assert await ask("POST", "/v1/keys", name="k", permissions=["events:write"]) == 403
    assert await ask("POST", "/v1/keys", name="k", permissions=["alerts:read"]) == 201
    assert await ask("PUT", "/v1/roles/deputy", permissions=["config:write"]) == 403
    assert await ask("PUT", "/v1/roles/admin", permissions=["alerts:read"]) == 409
    assert await ask("PUT", "/v1/roles/x", permissions=["no:such"]) == 422
    assert await ask("POST", f"/v1/users/{admin.id}/reset") == 403
    assert await ask("PATCH", f"/v1/users/{admin.id}", disabled=True) == 403
    assert await ask("DELETE", f"/v1/users/{admin.id}") == 403
    assert await ask("PATCH", f"/v1/users/{deputy.id}", role="admin") == 409
    for other in ("*", "default"):
        assert await ask("POST", "/v1/users", name="eve2", role="deputy", tenant=other) == 403
        assert await ask("POST", "/v1/keys", name="k", tenant=other) == 403
    assert await ask("POST", "/v1/tenants", tenant="mine") == 403


async def test_a_role_changes_with_all_who_have_it(people, stranger, tenant) -> None:
    path = f"/v1/roles/auditor?tenant={tenant}"
    body = {"permissions": ["audit:read", "account"]}
    assert (await people.client.put(path, json=body)).status_code == 200
    ada = await people.add(tenant, "auditor")
    assert (await stranger.get("/v1/audit", headers=ada.headers)).status_code == 200
    assert (await stranger.get("/v1/alerts", headers=ada.headers)).status_code == 403
    assert (await people.client.delete(path)).status_code == 409
    await people.client.put(path, json={"permissions": ["alerts:read"]})
    assert (await stranger.get("/v1/audit", headers=ada.headers)).status_code == 403
    assert (await stranger.get("/v1/alerts", headers=ada.headers)).status_code == 200
    other = {"role": "viewer"}
    assert (await people.client.patch(f"/v1/users/{ada.id}", json=other)).status_code == 200
    assert (await people.client.delete(path)).status_code == 204
    items = (await people.client.get("/v1/roles", params={"tenant": tenant})).json()["items"]
    assert [role["name"] for role in items] == ["viewer", "analyst", "admin"]


async def test_users_are_listed_changed_and_removed(people, stranger, tenant) -> None:
    ada, bob = await people.add(tenant), await people.add(tenant, "analyst")
    found, cursor = [], None
    while True:
        params = {"tenant": tenant, "limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await people.client.get("/v1/users", params=params)).json()
        found += page["items"]
        if not (cursor := page["next"]):
            break
    assert {user["name"]: user["role"] for user in found} == {
        ada.name: "viewer",
        bob.name: "analyst",
    }
    again = {"name": ada.name.upper(), "tenant": tenant}
    assert (await people.client.post("/v1/users", json=again)).status_code == 409
    off = await people.client.patch(f"/v1/users/{ada.id}", json={"disabled": True})
    assert off.json()["disabled"] is True
    assert (await stranger.get("/v1/account", headers=ada.headers)).status_code == 401
    assert (await stranger.post("/v1/auth/login", json=ada.proof)).status_code == 401
    await people.client.patch(f"/v1/users/{ada.id}", json={"disabled": False})
    assert (await stranger.post("/v1/auth/login", json=ada.proof)).status_code == 200
    reset = (await people.client.post(f"/v1/users/{ada.id}/reset")).json()
    assert (reset["password"], len(reset["secret"])) == ("one-time", 20)
    assert (await stranger.post("/v1/auth/login", json=ada.proof)).status_code == 401
    assert (await people.client.delete(f"/v1/users/{bob.id}")).status_code == 204
    assert (await stranger.get("/v1/account", headers=bob.headers)).status_code == 401
    assert (await people.client.get(f"/v1/users/{bob.id}")).status_code == 404


async def test_a_key_that_only_sends_events_in(people, stranger, tenant) -> None:
    body = {"name": "vector", "tenant": tenant}
    made = (await people.client.post("/v1/keys", json=body)).json()
    assert made["permissions"] == ["events:write"]
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await stranger.get("/v1/alerts", headers=headers)).status_code == 403
    assert (await stranger.get("/v1/account", headers=headers)).status_code == 403
    other = await stranger.post(
        "/v1/ingest/cloudtrail?tenant=other", headers=headers, content=b"{}"
    )
    assert other.status_code == 403
    assert "expected " + tenant in other.json()["detail"]
    listed = (await people.client.get("/v1/keys", params={"tenant": tenant})).json()["items"]
    assert "key" not in listed[0]
    assert listed[0]["last_used_at"] is not None
    assert (await people.client.delete(f"/v1/keys/{made['id']}")).status_code == 204
    assert (await stranger.get("/v1/alerts", headers=headers)).status_code == 401
    assert (await people.client.delete(f"/v1/keys/{made['id']}")).status_code == 404


async def test_half_a_key_opens_nothing(people, stranger, tenant) -> None:
    body = {"name": "k", "tenant": tenant, "permissions": ["alerts:read"]}
    made, other = [(await people.client.post("/v1/keys", json=body)).json() for _ in range(2)]
    mixed = f"snk_{made['id']}_{other['key'].split('_', 2)[2]}"
    for text in (mixed, made["key"][:-1], made["key"] + "x", made["id"], f"snk_{made['id']}_"):
        answer = await stranger.get("/v1/alerts", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 401, text


async def test_a_tenant_that_is_switched_off_is_refused(
    people, stranger, app, home, tenant
) -> None:
    ada = await people.add(tenant, "admin")
    body = {"name": "k", "tenant": tenant, "permissions": ["alerts:read"]}
    key = (await people.client.post("/v1/keys", json=body)).json()["key"]
    of_file = (home / "tenant-tokens").read_text().split()[1]
    tokens = {ada.access: 401, key: 401, of_file: 403}
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        assert (await stranger.get("/v1/alerts", headers=headers)).status_code == 200
    new = {"tenant": tenant, "disabled": True}
    assert (await people.client.post("/v1/tenants", json=new)).status_code == 201
    for token, status in tokens.items():
        headers = {"Authorization": f"Bearer {token}"}
        assert (await stranger.get("/v1/alerts", headers=headers)).status_code == status
    identity = app.state.identity
    quota = await identity.credentials.quota(tenant, app.state.services)
    assert _spent(identity.rates, tenant, quota, 1) == 403  # sent in by whomever


async def test_quotas_of_a_tenant(people, stranger, app, tenant) -> None:
    ada = await people.add(tenant, "admin")
    new = {"tenant": tenant, "title": "A", "events_per_second": 2, "requests_per_minute": 5}
    made = await people.client.post("/v1/tenants", json=new)
    assert made.json()["events_per_second"] == 2
    assert (await people.client.post("/v1/tenants", json=new)).status_code == 409
    found = [await stranger.get("/v1/tenants", headers=ada.headers) for _ in range(7)]
    assert [answer.status_code for answer in found] == [200] * 5 + [429] * 2
    assert [item["tenant"] for item in found[0].json()["items"]] == [tenant]
    assert 1 <= int(found[-1].headers["retry-after"]) <= 60
    identity = app.state.identity
    quota = await identity.credentials.quota(tenant, app.state.services)
    statuses = [_spent(identity.rates, tenant, quota, count) for count in (121, 100, 20, 1)]
    assert statuses == [413, 202, 202, 429]
    off = {"title": "A"}
    changed = await people.client.put(f"/v1/tenants/{tenant}", json=off)
    assert changed.json()["events_per_second"] is None
    assert (await stranger.get("/v1/tenants", headers=ada.headers)).status_code == 200


def _spent(rates: Any, tenant: str, quota: Any, count: int) -> int:
    try:
        rates.events(tenant, quota, count)
    except Problem as problem:
        return problem.status
    return 202


async def test_rows_past_their_tenants_retention_go(people, postgres, seed, tenant) -> None:
    await seed.event()
    await seed.alert()
    day = 86_400_000
    old = await seed.alert(first_seen=seed_time() - 3 * day, last_seen=seed_time() - 3 * day)
    owner = await asyncpg.connect(postgres)
    await owner.execute("SELECT set_config('sentinel.tenant', '*', false)")
    new = {"tenant": tenant, "retention_days": 5, "alert_retention_days": 2}
    assert (await people.client.post("/v1/tenants", json=new)).status_code == 201
    await owner.fetchval("SELECT tenants_expire(100000)")
    left = await owner.fetch("SELECT id::text FROM alerts WHERE tenant = $1", tenant)
    assert len(left) == 1
    assert old.id not in {row[0] for row in left}
    events = "SELECT count(*) FROM events WHERE tenant = $1"
    assert await owner.fetchval(events, tenant) == 1
    await owner.execute(
        "SELECT events_partition(current_date - 6)",
    )
    await owner.execute("UPDATE events SET day = current_date - 6 WHERE tenant = $1", tenant)
    await owner.fetchval("SELECT tenants_expire(100000)")
    assert await owner.fetchval(events, tenant) == 0
    await owner.close()


def seed_time() -> int:
    return time.time_ns() // 1_000_000


async def test_the_first_user_has_a_secret_that_is_good_once(api_settings, postgres) -> None:
    """In a database of its own: that of the session has users."""
    name = f"first_{uuid4().hex[:8]}"
    owner = await asyncpg.connect(postgres)
    await owner.execute(f"CREATE DATABASE {name}")
    dsn = postgres.rpartition("/")[0] + f"/{name}" + _options(postgres)
    try:
        await _first_user(api_settings.model_copy(update={"postgres": dsn}))
    finally:
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await owner.close()


def _options(dsn: str) -> str:
    last = dsn.rpartition("/")[2]
    return f"?{last.partition('?')[2]}" if "?" in last else ""


async def _first_user(settings: Any) -> None:
    await asyncio.to_thread(apply, settings.postgres)
    path = await first_admin(settings)
    assert path == settings.home / ADMIN_SECRET
    assert path.stat().st_mode & 0o777 == 0o600
    assert await first_admin(settings) is None
    app = create(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    who = {"tenant": "*", "user": "admin"}
    password = "correct horse battery staple"
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        for guess in ("admin", "password", "sentinel", ""):
            answer = await client.post("/v1/auth/login", json={**who, "password": guess})
            assert answer.status_code in {401, 422}, "no default password"
        chosen = {**who, "password": path.read_text().strip(), "new_password": password}
        assert (await client.post("/v1/auth/password", json=chosen)).status_code == 204
        assert list(settings.home.glob(ADMIN_SECRET)) == []
        assert (await client.post("/v1/auth/password", json=chosen)).status_code == 401
        tokens = (await client.post("/v1/auth/login", json={**who, "password": password})).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        account = (await client.get("/v1/account", headers=headers)).json()
        assert account["tenant"] == "*"
        assert "tenants:manage" in account["permissions"]
