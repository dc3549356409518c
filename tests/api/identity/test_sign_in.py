"""Signing in: passwords, guesses, second factors, sessions."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import asyncpg
import pyotp
import pytest

NEW = "staple battery horse correct"


async def test_an_invited_user_chooses_a_password_and_signs_in(people, stranger, tenant) -> None:
    user = await people.invite(tenant, "analyst")
    who = {"tenant": tenant, "user": user["name"]}
    early = await stranger.post("/v1/auth/login", json={**who, "password": user["secret"]})
    assert early.status_code == 403
    assert "choose a password" in early.json()["detail"]
    chosen = {**who, "password": user["secret"], "new_password": NEW}
    assert (await stranger.post("/v1/auth/password", json=chosen)).status_code == 204
    again = await stranger.post("/v1/auth/password", json={**chosen, "new_password": NEW + "!"})
    assert again.status_code == 401  # good once
    answer = await stranger.post("/v1/auth/login", json={**who, "password": NEW})
    assert answer.json()["expires_in"] == 900
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    account = (await stranger.get("/v1/account", headers=headers)).json()
    assert (account["subject"], account["tenant"]) == (f"user:{user['name']}", tenant)
    assert "alerts:update" in account["permissions"]
    assert "users:manage" not in account["permissions"]


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "expected 12 to 256 characters"),
        ("Password!2026", "found in breaches"),
        ("aaaaaaaaaaaaaaa", "different characters"),
        ("name-{name}-name", "without the name of the user"),
    ],
)
async def test_a_bad_password_is_refused(people, stranger, tenant, password, why) -> None:
    user = await people.invite(tenant, "viewer")
    body = {"tenant": tenant, "user": user["name"], "password": user["secret"]}
    body["new_password"] = password.format(name=user["name"])
    answer = await stranger.post("/v1/auth/password", json=body)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


async def test_guesses_lock_a_name_whether_it_exists_or_not(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    answers = {}
    for name in (ada.name, f"nobody-{uuid4().hex[:8]}"):
        body = {"tenant": tenant, "user": name, "password": "wrong"}
        answers[name] = [await stranger.post("/v1/auth/login", json=body) for _ in range(7)]
    known, unknown = (
        [(a.status_code, {**a.json(), "detail": a.json()["detail"][:20]}) for a in each]
        for each in answers.values()
    )
    assert known == unknown
    assert [status for status, _ in known] == [401] * 5 + [429] * 2
    assert 0 < int(answers[ada.name][-1].headers["retry-after"]) <= 60
    right = await stranger.post("/v1/auth/login", json=ada.proof)
    assert right.status_code == 429
    unlocked = await people.client.post(f"/v1/users/{ada.id}/unlock")
    assert unlocked.status_code == 204
    assert (await stranger.post("/v1/auth/login", json=ada.proof)).status_code == 200


async def test_guesses_at_the_same_time_do_not_outrun_the_count(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    body = {**ada.proof, "password": "wrong"}
    found = await asyncio.gather(*(stranger.post("/v1/auth/login", json=body) for _ in range(12)))
    statuses = sorted(answer.status_code for answer in found)
    assert statuses == [401] * 5 + [429] * 7


async def test_too_many_attempts_of_an_address_are_refused(app, stranger, tenant) -> None:
    app.state.identity.rates.sign_ins = 3
    body = {"tenant": tenant, "user": "x", "password": "wrong"}
    found = [(await stranger.post("/v1/auth/refresh", json={"refresh_token": "x"})).status_code]
    for number in range(4):
        named = {**body, "user": f"x{number}"}
        found.append((await stranger.post("/v1/auth/login", json=named)).status_code)
    assert found == [401, 401, 401, 401, 429]


async def test_refresh_tokens_rotate_and_a_copied_one_ends_the_session(
    people, stranger, tenant
) -> None:
    ada = await people.add(tenant)

    async def refresh(token: str) -> Any:
        return await stranger.post("/v1/auth/refresh", json={"refresh_token": token})

    second = (await refresh(ada.refresh)).json()
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await stranger.get("/v1/account", headers=headers)).status_code == 200
    assert (await refresh(ada.refresh)).status_code == 401  # the thief's, or the owner's
    assert (await refresh(second["refresh_token"])).status_code == 401  # hence nobody's
    people.client._transport.app.state.identity.credentials.forget()
    assert (await stranger.get("/v1/account", headers=headers)).status_code == 401
    lines = (await people.client.get("/v1/audit", params={"tenant": tenant})).json()["items"]
    assert "session.reuse" in {line["action"] for line in lines}


async def test_one_refresh_token_used_at_once_gives_one_pair(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    body = {"refresh_token": ada.refresh}
    found = await asyncio.gather(*(stranger.post("/v1/auth/refresh", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in found) == [200] + [401] * 5


async def test_signing_out_ends_access_and_refresh(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    assert (await stranger.post("/v1/auth/logout", headers=ada.headers)).status_code == 204
    assert (await stranger.get("/v1/account", headers=ada.headers)).status_code == 401
    answer = await stranger.post("/v1/auth/refresh", json={"refresh_token": ada.refresh})
    assert answer.status_code == 401


async def test_another_password_ends_all_sessions(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    other = (await stranger.post("/v1/auth/login", json=ada.proof)).json()
    sessions = (await stranger.get("/v1/account/sessions", headers=ada.headers)).json()["items"]
    assert [each["current"] for each in sessions] == [False, True]
    changed = await stranger.post("/v1/auth/password", json={**ada.proof, "new_password": NEW})
    assert changed.status_code == 204
    for token in (ada.access, other["access_token"]):
        answer = await stranger.get("/v1/account", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_one_session_can_be_ended_from_another(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    other = (await stranger.post("/v1/auth/login", json=ada.proof)).json()
    items = (await stranger.get("/v1/account/sessions", headers=ada.headers)).json()["items"]
    (session,) = [each["id"] for each in items if not each["current"]]
    path = f"/v1/account/sessions/{session}"
    assert (await stranger.delete(path, headers=ada.headers)).status_code == 204
    assert (await stranger.delete(path, headers=ada.headers)).status_code == 404
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await stranger.get("/v1/account", headers=headers)).status_code == 401


async def test_a_second_factor_from_seed_to_recovery(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    path = "/v1/account/second-factor"
    password = {"password": ada.proof["password"]}
    refused = await stranger.post(path, headers=ada.headers, json={"password": "wrong"})
    assert refused.status_code == 401
    seed = (await stranger.post(path, headers=ada.headers, json=password)).json()
    assert seed["seed"] in seed["address"]
    totp = pyotp.TOTP(seed["seed"])
    wrong = await stranger.post(
        f"{path}/confirm", headers=ada.headers, json={"code": totp.at(time.time() - 900)}
    )
    assert wrong.status_code == 422
    now = totp.now()
    on = await stranger.post(f"{path}/confirm", headers=ada.headers, json={"code": now})
    codes = on.json()["recovery_codes"]
    assert len(set(codes)) == 10
    asked = await stranger.post("/v1/auth/login", json=ada.proof)
    assert asked.status_code == 401
    assert "`code`" in asked.json()["detail"]
    replayed = await stranger.post("/v1/auth/login", json={**ada.proof, "code": now})
    assert replayed.status_code == 401  # it has turned the factor on: good once
    fresh = {**ada.proof, "code": totp.at(time.time() + 30)}
    assert (await stranger.post("/v1/auth/login", json=fresh)).status_code == 200
    lost = {**ada.proof, "code": codes[0].lower().replace("-", " ")}
    assert (await stranger.post("/v1/auth/login", json=lost)).status_code == 200
    assert (await stranger.post("/v1/auth/login", json=lost)).status_code == 401
    account = (await stranger.get("/v1/account", headers=ada.headers)).json()
    assert (account["second_factor"], account["recovery_codes_left"]) == (True, 9)
    proof = {**password, "code": codes[1]}
    off = await stranger.post(f"{path}/off", headers=ada.headers, json=proof)
    assert off.status_code == 204
    assert (await stranger.post("/v1/auth/login", json=ada.proof)).status_code == 200


async def test_codes_are_guesses_too(people, stranger, tenant) -> None:
    ada = await people.add(tenant)
    path = "/v1/account/second-factor"
    password = {"password": ada.proof["password"]}
    seed = (await stranger.post(path, headers=ada.headers, json=password)).json()["seed"]
    code = pyotp.TOTP(seed).now()
    await stranger.post(f"{path}/confirm", headers=ada.headers, json={"code": code})
    found = []
    for guess in ("000000", "", "000001", "", "000002", "000003"):
        body = {**ada.proof, "code": guess}
        found.append((await stranger.post("/v1/auth/login", json=body)).status_code)
    assert found == [401] * 5 + [429]


async def test_secrets_are_nowhere_in_the_database_as_they_are(
    postgres, people, stranger, tenant
) -> None:
    ada = await people.add(tenant)
    password = {"password": ada.proof["password"]}
    answer = await stranger.post("/v1/account/second-factor", headers=ada.headers, json=password)
    key = await people.client.post("/v1/keys", json={"name": "k", "tenant": tenant})
    secrets = [
        *(ada.proof["password"], ada.refresh, ada.access),
        *(answer.json()["seed"], key.json()["key"].split("_", 2)[2]),
    ]
    connection = await asyncpg.connect(postgres)
    tables = ("users", "sessions", "refresh_tokens", "recovery_codes", "api_keys", "audit_log")
    for table in tables:
        rows = await connection.fetch(f"SELECT t::text FROM {table} AS t")
        text = "\n".join(row[0] for row in rows)
        for secret in secrets:
            assert secret not in text, table
            assert secret.encode().hex() not in text, table
    query = "SELECT password FROM users WHERE tenant = $1 AND password IS NOT NULL"
    hashes = await connection.fetch(query, tenant)
    assert hashes
    assert all(row[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$") for row in hashes)
    await connection.close()
