"""Every operation there is, whoever added it: who may, and never a word of another tenant."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute

from api import auth, permissions
from api.app import create, routers
from api.permissions import PLATFORM, ROLES
from sentinel.kafka import create_topics
from sentinel.settings import Settings
from tests.api.identity.rival import Rival, connect, rows_of, settle

#: Seconds that an operation which never ends (a stream) is listened to once it has begun; and
#: most seconds until it begins, or says what is awaited, and until any other has ended.
LISTEN_S, LIMIT_S = 0.7, 120.0
#: What its log says of attempts on it is the other tenant's own.
ITS_OWN = {"audit_log", "audit_heads", "login_guesses"}
#: Rows that go by themselves, whoever asks for what: counts that are void, what was sent.
PASSING = {"rate_counts", "feedback_outbox"}
INGEST = frozenset({"events:write"})
CUSTOM = frozenset({"alerts:read", "exports:read"})


class Operation(NamedTuple):
    """One route and method, with the permission that it asks for."""

    method: str
    path: str
    permission: str


def operations() -> Iterator[Operation]:
    """Yield what all routers have, WebSockets included."""
    for router in routers():
        for route in router.routes:
            assert isinstance(route, APIRoute | APIWebSocketRoute), route
            asked = [permissions.asked(each.call) for each in route.dependant.dependencies]
            named = [name for name in asked if name]
            path = re.sub(r":\w+\}", "}", route.path)
            if route.path in auth.OPEN:
                continue
            assert named, f"{route.path}: expected dependencies=[Depends(allow(…))]"
            methods = route.methods if isinstance(route, APIRoute) else {"WEBSOCKET"}
            for method in sorted(methods):
                yield Operation(method, path, " ".join(named))


OPERATIONS = list(operations())


class Reply(NamedTuple):
    """What came back: the status, and all bytes of headers, body or messages."""

    status: int
    text: str


def filled(document: dict[str, Any], operation: Operation, rival: Rival) -> tuple[str, str, bytes]:
    """Return path, query and body of an operation that name what is `rival`'s."""
    item = document["paths"].get(operation.path, {}).get(operation.method.lower(), {})

    def name(match: re.Match[str]) -> str:
        if match[1] == "name" and operation.path.startswith("/v1/tenants"):
            return rival.tenant
        if match[1] == "key_id":
            return rival.key
        return rival.name if match[1] in {"name", "source"} else str(rival.id)

    path = re.sub(r"\{(\w+)\}", name, operation.path)
    sent = {"after": "0", "limit": "100", "tenant": rival.tenant}
    declared = {parameter["name"] for parameter in item.get("parameters", ())}
    query = {name: value for name, value in sent.items() if name in declared}
    content = item.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = example(content.get("schema", {}), document, rival) if content else None
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return path, text, json.dumps(body).encode() if content else b""


def example(schema: dict[str, Any], document: dict[str, Any], rival: Rival, name: str = "") -> Any:
    """Return a value of a schema: its own example, with the ids of `rival` in it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if name == "tenant":
        return rival.tenant
    if schema.get("format") == "uuid":
        return str(rival.id)
    if "properties" in schema:
        needed = {*schema.get("required", ()), "tenant"}
        parts = {key: part for key, part in schema["properties"].items() if key in needed}
        return {key: example(part, document, rival, key) for key, part in parts.items()}
    if schema.get("type") == "array":
        return [example(schema.get("items", {}), document, rival)]
    if schema.get("examples"):
        return schema["examples"][0]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        return example(choice, document, rival)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    return {"string": "x", "integer": 1, "number": 1, "boolean": True}.get(schema.get("type"), {})


async def call(
    app: FastAPI, operation: Operation, asked: tuple[str, str, bytes], token: str, until: str = ""
) -> Reply:
    """Call an operation as a server does, and stop listening after `LISTEN_S`, or at `until`."""
    path, query, body = asked
    websocket = operation.method == "WEBSOCKET"
    headers = [(b"host", b"api"), (b"last-event-id", b"0"), (b"content-type", b"application/json")]
    headers += [(b"authorization", b"Bearer " + token.encode())] if token else []
    scope: dict[str, Any] = {
        "type": "websocket" if websocket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("api", 80),
        **({"subprotocols": []} if websocket else {"method": operation.method}),
    }
    connect = {"type": "websocket.connect"}
    pending = [connect if websocket else {"type": "http.request", "body": body}]
    status, parts, said = 0, [], asyncio.Event()

    async def receive() -> Any:
        if pending:
            return pending.pop()
        await asyncio.Event().wait()
        return None

    async def send(message: Any) -> None:
        nonlocal status
        closed = 403 if message["type"] == "websocket.close" else 101
        status = status or message.get("status", closed)
        parts.append(str({**message, "body": message.get("body", b"").decode("latin-1")}))
        if until in parts[-1]:
            said.set()

    work = asyncio.ensure_future(app(scope, receive, send))
    if _endless(path):
        hearing = asyncio.ensure_future(said.wait())
        await asyncio.wait([work, hearing], timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        hearing.cancel()
    with suppress(TimeoutError):
        await asyncio.wait_for(work, LISTEN_S if _endless(path) else LIMIT_S)
    return Reply(status, "\n".join(parts))


def _endless(path: str) -> bool:
    return path.endswith(("/stream", "/live", "/socket", "/ws"))


@pytest.fixture
async def running(api_settings: Settings, kafka: str) -> Any:
    """Yield the application with a broker too."""
    settings = api_settings.model_copy(update={"kafka": kafka})
    await asyncio.to_thread(create_topics, settings, ["cloudtrail"])
    app = create(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def owner(postgres: str) -> Any:
    connection = await connect(postgres)
    yield connection
    await connection.close()


def use(app: FastAPI, token: str, tenant: str, held: frozenset[str]) -> str:
    """Let `token` be that of a principal, past sign-in, which has tests of its own."""
    credentials = app.state.identity.credentials
    who = permissions.Principal(tenant, f"user:{token}", held, str(Rival.new().id))
    credentials._tokens = credentials._tokens._replace(
        digests=(*credentials._tokens.digests, (_digest(token), who))
    )
    return token


def _digest(token: str) -> bytes:
    from api.identity.credentials import _digest as digest

    return digest(token)


def test_every_operation_asks_for_a_permission() -> None:
    """`operations` says which does not."""
    assert len(OPERATIONS) > 40
    assert {each.permission for each in OPERATIONS} >= {"alerts:read", "users:manage"}


def test_roles_are_the_matrix_that_is_promised() -> None:
    viewer, analyst, admin = (ROLES[name] for name in ("viewer", "analyst", "admin"))
    assert viewer < analyst < admin
    assert {"alerts:read", "events:read", "exports:read"} <= viewer
    assert not {name for name in viewer if name.endswith((":update", ":manage", ":train"))}
    assert {"alerts:update", "feedback:write", "models:train"} <= analyst
    assert not analyst & {"users:manage", "config:write", "rules:write", "keys:manage"}
    assert {"users:manage", "config:write"} <= admin


@pytest.mark.e2e
async def test_no_operation_gives_or_changes_anything_of_another_tenant(
    running: FastAPI, owner: Any, tenant: str
) -> None:
    rival = Rival.new()
    names = await settle(owner, rival)
    before = await rows_of(owner, rival, names)
    document = running.openapi()
    held = {**ROLES, "custom": CUSTOM, "ingest": INGEST}
    tokens = {name: use(running, f"{name}-of-{tenant}", tenant, held[name]) for name in held}
    leaks, wrong = [], []
    for operation in OPERATIONS:
        asked = filled(document, operation, rival)
        for name, token in {**tokens, "nobody": "", "wrong": "no-such-token"}.items():
            reply = await call(running, operation, asked, token)
            place = (operation.method, operation.path, name, reply.status)
            if rival.secret in reply.text:
                leaks.append(place)
            if not _expected(operation, held.get(name), reply.status):
                wrong.append(place)
    assert leaks == []
    assert wrong == []
    after = await rows_of(owner, rival, names)
    for name in set(names) - ITS_OWN - PASSING:
        assert after[name] == before[name], name


def _expected(operation: Operation, held: frozenset[str] | None, status: int) -> bool:
    """Say whether a status fits who asked: 401 nobody, 403 who may not, never a failure."""
    if held is None:
        return status == (403 if operation.method == "WEBSOCKET" else 401)
    needed = set(operation.permission.split())
    if not needed <= held - PLATFORM:
        return status == 403
    if operation.path.startswith("/health/") and status == 503:  # its way to say so
        return True
    again = operation.path.startswith("/v1/account/second-factor")  # asks for the password
    return status < 500 and (status != 401 or again)


@pytest.mark.e2e
async def test_the_owner_does_see_it(running: FastAPI, owner: Any, tenant: str) -> None:
    """Without this, the walk above could pass because there is nothing to see."""
    rival = Rival.new()
    await settle(owner, rival)
    document = running.openapi()
    own = use(running, f"own-of-{tenant}", rival.tenant, ROLES["admin"])
    seen = set()
    for operation in OPERATIONS:
        if operation.method in {"GET", "WEBSOCKET"}:
            until = rival.secret if operation.path.endswith("/stream") else ""
            asked = filled(document, operation, rival)
            reply = await call(running, operation, asked, own, until)
            if rival.secret in reply.text:
                seen.add(operation.path)
    expected = {
        *("/v1/alerts", "/v1/alerts/{alert_id}", "/v1/alerts/stream", "/v1/events"),
        *("/v1/dead-letters", "/v1/ledger", "/v1/users", "/v1/users/{user_id}", "/v1/keys"),
        *("/v1/tenants", "/v1/roles", "/v1/audit", "/v1/audit/chain"),
    }
    assert expected - seen == set()
