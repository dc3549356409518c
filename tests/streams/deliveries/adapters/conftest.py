"""An adapter of any kind on real sockets, and messages to give it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest

import streams.deliveries.adapters
from sentinel.registry import discover
from sentinel.subscribers.egress import Egress
from sentinel.subscribers.kinds import KINDS
from sentinel.subscribers.model import Options
from sentinel.testing.certificate import Certificate
from sentinel.testing.server import ScriptedServer
from streams.deliveries.adapters.base import Adapter, Item, Message, Wire
from streams.deliveries.http import Http


def make_item(kind: str = "alert.created", **changes: Any) -> Item:
    """Return an item about an alert."""
    data = {
        "id": str(uuid4()),
        "tenant": "acme",
        "source": "cloudtrail",
        "kind": "rule",
        "rule_id": "rule-1",
        "title": "Root logged in",
        "severity": "critical",
        "score": 0.9,
        "techniques": ["T1078.004"],
        "entity": "root",
        "explanation": {"matched": {"eventName": "ConsoleLogin"}},
        "first_seen": "2026-01-31T12:00:00.000Z",
        "last_seen": "2026-01-31T12:05:00.000Z",
        "count": 2,
        "status": "new",
    } | changes
    return Item(kind, data, orjson.dumps({"type": kind, "data": data}).decode())


def make_message(*items: Item, reference: str = "") -> Message:
    """Return a message of items, one by default."""
    found = items or (make_item(),)
    return Message(str(uuid4()), time.time(), found, found[0].body.encode(), reference)


@pytest.fixture
def item() -> Callable[..., Item]:
    """Return `make_item`."""
    return make_item


@pytest.fixture
def message() -> Callable[..., Message]:
    """Return `make_message`."""
    return make_message


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Yield a server without routes."""
    with ScriptedServer() as found:
        yield found


@pytest.fixture
def certificate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Certificate]:
    """Yield a certificate of localhost that clients of this process trust."""
    made = Certificate()
    monkeypatch.setenv("SSL_CERT_FILE", made.path)
    yield made
    made.close()


@pytest.fixture
async def adapter() -> AsyncIterator[Callable[..., Adapter[Any]]]:
    """Return ``adapter(kind, config, **options)``; this machine's addresses are allowed."""
    egress = Egress("127.0.0.1,localhost")
    http = Http(egress)
    found = discover(streams.deliveries.adapters, Adapter)  # type: ignore[type-abstract]

    def make(kind: str, config: dict[str, Any], **options: Any) -> Adapter[Any]:
        channel = KINDS[kind].model_validate(config)
        return found[kind](channel, Options(**options), Wire(http, egress, time.time))

    yield make
    await http.close()
