"""`sentinel users|roles|keys|tenants|audit`, as an administrator runs them on the machine."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from sentinel.cli.app import run

PASSWORD = "correct horse battery staple"


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Sentinel = Callable[..., Coroutine[Any, Any, Result]]


@pytest.fixture
def sentinel(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Sentinel:
    """Return a function that runs ``sentinel`` with the arguments given, in this process."""
    monkeypatch.setenv("SENTINEL_HOME", str(home))
    monkeypatch.setenv("SENTINEL_API_URL", url)

    def call(args: tuple[str, ...], stdin: str) -> Result:
        streams = {name: io.TextIOWrapper(io.BytesIO()) for name in ("stdout", "stderr")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            status = run(args)
        for stream in streams.values():
            stream.flush()
        out, err = (stream.buffer.getvalue().decode() for stream in streams.values())
        return Result(status, out, err)

    async def command(*args: str, stdin: str = "") -> Result:
        return await asyncio.to_thread(call, args, stdin)

    return command


async def test_a_user_from_invitation_to_removal(sentinel: Sentinel, url: str, tenant) -> None:
    of = ("--tenant", tenant)
    added = await sentinel("users", "add", "Ada", "--role", "analyst", *of)
    assert added.status == 0, added.err
    secret = added.out.strip()
    assert f"sentinel users password ada --tenant '{tenant}'" in added.err
    chosen = await sentinel(
        "users", "password", "ada", *of, "--stdin", stdin=f"{secret}\n{PASSWORD}"
    )
    assert chosen.status == 0, chosen.err
    tokens = await sentinel("users", "login", "ada", *of, "--stdin", stdin=PASSWORD)
    headers = {"Authorization": f"Bearer {tokens.rows[0]['access_token']}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        assert (await client.get("/v1/account")).json()["subject"] == "user:ada"
        assert (await sentinel("users", "disable", "ada", *of)).status == 0
        assert (await client.get("/v1/account")).status_code == 401
    assert (await sentinel("users", "role", "ada", "--role", "viewer", *of)).status == 0
    assert (await sentinel("users", "enable", "ada", *of)).status == 0
    assert (await sentinel("users", "unlock", "ada", *of)).status == 0
    (user,) = (await sentinel("users", "list", *of, "--json")).rows
    assert (user["name"], user["role"], user["disabled"]) == ("ada", "viewer", False)
    assert "ada" in (await sentinel("users", "list", *of)).out
    reset = await sentinel("users", "reset", "ada", *of, "--json")
    assert reset.rows[0]["password"] == "one-time"
    short = await sentinel("users", "password", "ada", *of, "--stdin", stdin="")
    assert (short.status, "expected 2 lines or more, found 0" in short.err) == (1, True)
    assert (await sentinel("users", "remove", "ada", *of)).status == 0
    gone = await sentinel("users", "remove", "ada", *of)
    assert gone.status == 1
    assert "there is no user ada" in gone.err
    twice = [await sentinel("users", "add", "bob", *of) for _ in range(2)]
    assert "already" in twice[1].err


async def test_a_user_is_found_by_name_alone_unless_several_have_it(
    sentinel: Sentinel, tenant
) -> None:
    name, other = f"u-{tenant}", f"{tenant}-b"
    assert (await sentinel("users", "add", name, "--tenant", tenant)).status == 0
    off = await sentinel("users", "disable", name)
    assert (off.status, f"{name} of {tenant}: viewer, disabled" in off.err) == (0, True)
    assert (await sentinel("users", "add", name, "--tenant", other)).status == 0
    several = await sentinel("users", "remove", name)
    assert (several.status, "say which with --tenant" in several.err) == (1, True)
    for whose in (tenant, other):
        gone = await sentinel("users", "remove", name, "--tenant", whose)
        assert (gone.status, gone.err) == (0, f"removed {name} of {whose}\n")


async def test_what_is_made_belongs_to_the_tenant_of_the_key(
    sentinel: Sentinel, tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = ("keys:manage", "users:manage", "alerts:read", "events:write")
    asked = [word for right in rights for word in ("--permission", right)]
    key = (await sentinel("keys", "add", "ops", *asked, "--tenant", tenant)).out.strip()
    monkeypatch.setenv("SENTINEL_API_TOKEN", key)
    assert f" of {tenant} may " in (await sentinel("keys", "add", "vector")).err
    role = await sentinel("roles", "set", "night", "--permission", "alerts:read")
    assert role.err == f"night of {tenant} may alerts:read\n"
    added = await sentinel("users", "add", "ada", "--role", "night")
    assert f"ada of {tenant}, night" in added.err
    assert (await sentinel("users", "remove", "ada")).status == 0
    assert (await sentinel("roles", "remove", "night")).err == "removed night\n"


async def test_a_tenant_has_roles_of_its_own(sentinel: Sentinel, tenant) -> None:
    of = ("--tenant", tenant)
    some = ("--permission", "alerts:read", "--permission", "exports:read")
    made = await sentinel("roles", "set", "night-shift", *some, *of)
    assert made.status == 0, made.err
    assert "may alerts:read, exports:read" in made.err
    assert (await sentinel("users", "add", "eve", "--role", "night-shift", *of)).status == 0
    roles = {row["name"]: row for row in (await sentinel("roles", "list", *of, "--json")).rows}
    assert roles["night-shift"]["permissions"] == ["alerts:read", "exports:read"]
    assert roles["viewer"]["tenant"] is None
    assert "night-shift" in (await sentinel("roles", "list", *of)).out
    assert "exports:read" in (await sentinel("roles", "permissions")).out
    used = await sentinel("roles", "remove", "night-shift", *of)
    assert (used.status, "in use" in used.err) == (1, True)
    await sentinel("users", "remove", "eve", *of)
    assert (await sentinel("roles", "remove", "night-shift", *of)).status == 0
    wrong = await sentinel("roles", "set", "x", "--permission", "all", *of)
    assert (wrong.status, "expected some of alerts:read" in wrong.err) == (1, True)


async def test_keys_are_made_shown_once_and_revoked(sentinel: Sentinel, url: str, tenant) -> None:
    made = await sentinel("keys", "add", "vector", "--tenant", tenant, "--days", "30")
    assert "events:write" in made.err
    key = made.out.strip()
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        assert (await client.get("/v1/alerts")).status_code == 403
        read = await sentinel(
            *("keys", "add", "grafana", "--tenant", tenant, "--json"),
            *("--permission", "alerts:read", "--permission", "events:read"),
        )
        client.headers["Authorization"] = f"Bearer {read.rows[0]['key']}"
        assert (await client.get("/v1/alerts")).status_code == 200
        listed = await sentinel("keys", "list", "--tenant", tenant)
        assert "vector" in listed.out
        assert key not in listed.out
        assert (await sentinel("keys", "revoke", read.rows[0]["id"])).status == 0
        assert (await client.get("/v1/alerts")).status_code == 401
    assert len((await sentinel("keys", "list", "--tenant", tenant, "--json")).rows) == 2
    assert "signed with key" in (await sentinel("keys", "rotate")).err
    bad = await sentinel("keys", "add", "x", "--permission", "all")
    assert bad.status == 1
    assert "expected some of alerts:read" in bad.err


async def test_tenants_get_quotas(sentinel: Sentinel, tenant) -> None:
    added = await sentinel("tenants", "add", tenant, "--title", "A", "--events-per-second", "100")
    assert added.status == 0, added.err
    assert (await sentinel("tenants", "set", tenant, "--retention-days", "3")).status == 0
    assert (await sentinel("tenants", "set", tenant, "--events-per-second", "0")).status == 0
    assert (await sentinel("tenants", "disable", tenant)).status == 0
    listed = await sentinel("tenants", "list", "--json")
    (found,) = [row for row in listed.rows if row["tenant"] == tenant]
    assert found["disabled"] is True
    assert (found["title"], found["retention_days"], found["events_per_second"]) == ("A", 3, None)
    assert (await sentinel("tenants", "enable", tenant)).status == 0
    assert tenant in (await sentinel("tenants", "list")).out
    nothing = await sentinel("tenants", "set", tenant)
    assert "expected something to change" in nothing.err


async def test_the_audit_log_is_verified(sentinel: Sentinel, postgres, home, tenant) -> None:
    await sentinel("tenants", "add", tenant)
    await sentinel("tenants", "disable", tenant)
    listed = await sentinel("audit", "list", "--tenant", tenant, "--json")
    assert [row["action"] for row in listed.rows] == ["tenant.change", "tenant.create"]
    assert {row["actor"] for row in listed.rows} == {"token:api-token"}
    assert "tenant.create" in (await sentinel("audit", "list", "--tenant", tenant)).out
    anchors = str(home / "noted.json")
    verify = ("audit", "verify", "--tenant", tenant, "--anchors", anchors)
    first = await sentinel(*verify)
    assert first.status == 0, first.err
    assert "the audit log holds" in first.err
    noted = await sentinel(*verify, "--json")
    assert [head["seq"] for head in noted.rows if head["tenant"] == tenant] == [2]
    owner = await asyncpg.connect(postgres)
    change = "UPDATE audit_log SET detail = '{{}}' WHERE tenant = $1 AND seq = {}"
    cut = "DELETE FROM audit_log WHERE tenant = $1 AND seq = {}"
    try:
        for forgery, number, told in ((change, 1, "not what was written"), (cut, 2, "at least")):
            transaction = owner.transaction()
            await transaction.start()
            kept = await owner.fetch("SELECT * FROM audit_log WHERE tenant = $1", tenant)
            await owner.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_keep")
            await owner.execute(forgery.format(number), tenant)
            await owner.execute("ALTER TABLE audit_log ENABLE TRIGGER audit_keep")
            await transaction.commit()
            found = await sentinel(*verify)
            assert found.status == 1
            assert f"log of {tenant}, line" in found.err
            assert told in found.err
            await _put_back(owner, tenant, kept)
    finally:
        await owner.close()


async def _put_back(owner: Any, tenant: str, rows: list[Any]) -> None:
    async with owner.transaction():
        await owner.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        await owner.execute("DELETE FROM audit_log WHERE tenant = $1", tenant)
        places = ", ".join(f"${number}" for number in range(1, 12))
        for row in rows:
            await owner.execute(f"INSERT INTO audit_log VALUES ({places})", *row.values())
        await owner.execute("ALTER TABLE audit_log ENABLE TRIGGER USER")
