"""Webhooks and channels over the API: made, changed, tested, rotated, replayed, and kept apart."""

from __future__ import annotations

import time
from uuid import uuid4

import httpx
import orjson
import pytest

import api.identity.credentials
from api.app import create
from api.permissions import ADMIN
from sentinel import postgres as pg
from sentinel.subscribers.vault import Vault, bound
from streams.deliveries.outbox import lane

NEW = {"name": "soar", "url": "https://hooks.example.com/alerts"}


@pytest.fixture
async def ours(monkeypatch, connect, home, api_settings):
    """Yield a client of the tenant that has every permission within it."""
    monkeypatch.setattr(api.identity.credentials, "SERVICE", ADMIN)
    token = (home / "tenant-tokens").read_text().split()[1]
    async with connect(token, create(api_settings)) as client:
        yield client


@pytest.fixture
async def worker(postgres):
    pool = await pg.open_pool(postgres, pg.WORKER, tenant=pg.ALL_TENANTS, size=1)
    yield pool
    await pool.close()


async def make(client: httpx.AsyncClient, **changes):
    answer = await client.post("/v1/webhooks", json=NEW | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def deliver(worker, made, state="failed", count=1):
    """Write deliveries as a worker does."""
    ids = [uuid4() for _ in range(count)]
    for ident in ids:
        await worker.execute(
            "INSERT INTO deliveries (tenant, id, subscription_id, lane, type, alert_tenant,"
            " alert_id, revision, payload, state, due_at, step, attempts, error)"
            " VALUES ($1, $2, $3, 0, 'alert.created', $1, $4, 1, '{\"type\": \"x\"}', $5,"
            " now() + interval '1 hour', 5, 6, 'expected 2xx, found 500')",
            *(made["tenant"], ident, made["id"], uuid4(), state),
        )
    return ids


async def test_a_webhook_is_made_and_its_secret_shown_once(ours, tenant, worker, api_settings):
    made = await make(ours, filter=[{"min_severity": "high"}], options={"concurrency": 4})
    assert made["secret"].startswith("whsec_")
    assert made["tenant"] == tenant
    assert made["options"]["concurrency"] == 4
    shown = (await ours.get(f"/v1/webhooks/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert [each["id"] for each in (await ours.get("/v1/webhooks")).json()["items"]] == [made["id"]]
    row = await worker.fetchrow(
        "SELECT config, secrets FROM subscriptions WHERE id = $1", made["id"]
    )
    assert made["secret"].encode() not in row["secrets"]
    vault = Vault.load(api_settings)
    opened = orjson.loads(vault.open(row["secrets"], bound(tenant, made["id"])))
    assert opened == {"secrets": [{"value": made["secret"], "expires_at": None}]}


async def test_with_ed25519_the_public_key_is_shown(ours):
    assert (await make(ours, algorithm="v1a"))["secret"].startswith("whpk_")


async def test_rotation_keeps_the_secret_before_for_a_day(ours, worker, api_settings, tenant):
    made = await make(ours)
    rotated = (await ours.post(f"/v1/webhooks/{made['id']}/rotate")).json()
    assert rotated["secret"] not in ("", made["secret"])
    row = await worker.fetchrow("SELECT secrets FROM subscriptions WHERE id = $1", made["id"])
    vault = Vault.load(api_settings)
    secrets = orjson.loads(vault.open(row["secrets"], bound(tenant, made["id"])))["secrets"]
    assert [each["value"] for each in secrets] == [rotated["secret"], made["secret"]]
    assert secrets[0]["expires_at"] is None
    assert 86_000 < secrets[1]["expires_at"] - time.time() <= 86_400


async def test_changes_keep_what_is_left_out(ours):
    made = await make(ours, filter=[{"sources": ["okta"]}])
    path = f"/v1/webhooks/{made['id']}"
    changed = (
        await ours.patch(path, json={"enabled": False, "config": {"algorithm": "v1"}})
    ).json()
    assert (changed["enabled"], changed["filter"]) == (False, made["filter"])
    assert changed["config"]["url"] == NEW["url"]
    assert (await ours.post(f"{path}/test")).status_code == 409
    changed = (await ours.patch(path, json={"enabled": True, "name": "other"})).json()
    assert (changed["enabled"], changed["name"]) == (True, "other")
    assert (await ours.delete(path)).status_code == 204
    assert (await ours.get(path)).status_code == 404


async def test_a_test_message_has_a_lane_of_its_own(ours, worker):
    made = await make(ours)
    answer = await ours.post(f"/v1/webhooks/{made['id']}/test")
    assert answer.status_code == 202
    path = f"/v1/webhooks/{made['id']}/deliveries/{answer.json()['delivery']}"
    found = (await ours.get(path)).json()
    assert (found["type"], found["state"], found["log"]) == ("sentinel.ping", "pending", [])
    assert found["payload"]["data"]["title"] == "Test of soar"
    lane = await worker.fetchval("SELECT lane FROM deliveries WHERE id = $1", found["id"])
    assert lane == -2


async def test_the_log_is_paged_and_what_failed_goes_out_again(ours, worker):
    made = await make(ours)
    path = f"/v1/webhooks/{made['id']}"
    ids = [str(ident) for ident in await deliver(worker, made, count=3)]
    await deliver(worker, made, state="delivered")
    first = (await ours.get(f"{path}/deliveries", params={"state": "failed", "limit": 2})).json()
    cursor = {"state": "failed", "cursor": first["next"]}
    rest = (await ours.get(f"{path}/deliveries", params=cursor)).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None
    assert (await ours.post(f"{path}/replay", json={"state": "failed"})).json() == {"replayed": 3}
    rows = await worker.fetch(
        "SELECT state, step, attempts FROM deliveries WHERE id = ANY ($1::uuid[])", ids
    )
    assert {tuple(row) for row in rows} == {("pending", 0, 6)}
    assert (await ours.get(path)).json()["pending"] == 3
    assert (await ours.post(f"{path}/replay", json={})).status_code == 422


async def test_changed_options_move_what_waits(ours, worker):
    made = await make(ours)
    ids = await deliver(worker, made, state="pending", count=8)
    path = f"/v1/webhooks/{made['id']}"
    await worker.execute("UPDATE deliveries SET lane = -1 WHERE id = $1", ids[0])
    assert (await ours.patch(path, json={"options": {"concurrency": 4}})).status_code == 200
    rows = await worker.fetch("SELECT id, alert_id, lane, due_at < now() AS due FROM deliveries"
                              " WHERE subscription_id = $1", made["id"])  # fmt: skip
    assert all(row["lane"] == lane(row["alert_id"], 4) for row in rows)
    assert {row["id"] for row in rows if row["due"]} == {ids[0]}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"url": "ftp://hooks.example.com"}, "https://"),
        ({"url": "https://user:pw@hooks.example.com"}, "without user"),
        ({"url": "http://10.1.2.3/hook"}, "SENTINEL_DELIVER_ALLOW=10.1.2.3"),
        ({"url": "http://localhost:8080"}, "SENTINEL_DELIVER_ALLOW=localhost"),
        ({"name": "a\nb"}, "name"),
        ({"options": {"concurrency": 99}}, "concurrency"),
        ({"options": {"quiet": {"start": "22:00", "end": "7", "timezone": "Mars"}}}, "quiet"),
        ({"options": {"escalation": [{"after_s": 60, "to": "nobody"}]}}, "nobody"),
        ({"filter": [{"severity": "high"}]}, "severity"),
        ({"secrets": []}, "secrets"),
    ],
)
async def test_what_is_wrong_is_said(ours, body, word):
    answer = await ours.post("/v1/webhooks", json=NEW | body)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


async def test_a_name_is_taken_once(ours):
    await make(ours)
    answer = await ours.post("/v1/webhooks", json=NEW)
    assert (answer.status_code, "soar" in answer.json()["detail"]) == (409, True)


async def test_channels_show_no_secret_and_changes_may_leave_it_out(ours):
    body = {
        "name": "tickets",
        "kind": "jira",
        "config": {
            "url": "https://example.atlassian.net",
            "user": "bot@example.com",
            "token": "very-secret",
            "project": "SEC",
        },
    }
    answer = await ours.post("/v1/notifications", json=body)
    assert answer.status_code == 201
    assert "very-secret" not in answer.text
    assert answer.json()["options"]["amendments"] is False, "people are told once"
    path = f"/v1/notifications/{answer.json()['id']}"
    changed = await ours.patch(path, json={"config": {"project": "OPS"}})
    assert changed.json()["config"]["project"] == "OPS"
    for wrong in ({"project": "lower"}, {"url": "http://192.168.0.1"}):
        assert (await ours.patch(path, json={"config": wrong})).status_code == 422
    assert (await ours.get(f"/v1/webhooks/{answer.json()['id']}")).status_code == 404
    kinds = (await ours.get("/v1/notifications/kinds")).json()["kinds"]
    assert {"slack", "email", "servicenow", "syslog"} <= set(kinds)


async def test_another_tenant_sees_and_touches_nothing(client, ours, worker, tenant):
    other = f"{tenant}-other"
    made = (await client.post("/v1/webhooks", json=NEW | {"tenant": other})).json()
    assert made["tenant"] == other
    (delivery,) = await deliver(worker, made)
    path = f"/v1/webhooks/{made['id']}"
    answers = [
        await ours.get(path),
        await ours.patch(path, json={"enabled": False}),
        await ours.delete(path),
        await ours.post(f"{path}/test"),
        await ours.post(f"{path}/rotate"),
        await ours.get(f"{path}/deliveries"),
        await ours.get(f"{path}/deliveries/{delivery}"),
        await ours.post(f"{path}/replay", json={"state": "failed"}),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert (await ours.get("/v1/webhooks")).json()["items"] == []
    assert (await ours.post("/v1/webhooks", json=NEW | {"tenant": "*"})).status_code == 403
    assert (await client.get(path)).json()["enabled"]


async def test_without_the_permission_nothing_is_to_be_seen(connect, home):
    token = (home / "tenant-tokens").read_text().split()[1]
    async with connect(token) as analyst:
        for path in ("/v1/webhooks", "/v1/notifications", "/v1/notifications/kinds"):
            assert (await analyst.get(path)).status_code == 403
