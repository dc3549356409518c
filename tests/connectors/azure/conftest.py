"""Doubles of Microsoft's APIs, behind TLS: its libraries send tokens to nothing else."""

from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import pytest

from sentinel.testing import Clock
from sentinel.testing.azure import SECRET, AzureLogin
from sentinel.testing.server import ScriptedServer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared():
    with ScriptedServer(tls=True) as server:
        yield server


@pytest.fixture
def server(shared):
    shared.requests.clear()
    shared._faults.clear()
    return shared


@pytest.fixture
def login(server):
    return AzureLogin(server)


@pytest.fixture
def account(server, login):
    """Return the settings of every reader of Azure."""
    return {
        "tenant_id": "00000000-0000-4000-8000-00000000000a",
        "client_id": "00000000-0000-4000-8000-00000000000b",
        "client_secret": SECRET,
        "authority": server.url,
        "ca": server.certificate.path,
    }


@pytest.fixture
def times():
    """Return a function to a time so many minutes before now, as Microsoft writes it."""
    return lambda minutes: (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def clock(now):
    return Clock(now.timestamp())


@pytest.fixture
def made():
    """Return a function that a reader is given to, to be closed in the end."""
    with ExitStack() as stack:
        yield lambda reader: stack.enter_context(closing(reader))
