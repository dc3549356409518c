"""Doubles of Google's APIs; tokens come by the real google-auth, signed with a real key."""

from datetime import UTC, datetime

import pytest

from sentinel.testing import Clock
from sentinel.testing.google import GoogleLogin
from sentinel.testing.server import ScriptedServer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with ScriptedServer() as server:
        key_file = GoogleLogin(server).key_file(tmp_path_factory.mktemp("key"))
        yield server, key_file


@pytest.fixture
def server(shared):
    shared[0].requests.clear()
    shared[0]._faults.clear()
    return shared[0]


@pytest.fixture
def login(server):
    return GoogleLogin(server)


@pytest.fixture
def account(shared, server, login):
    """Return the settings of every reader of Google Cloud."""
    return {"key_file": shared[1], "endpoint": server.url}


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def clock():
    return Clock(NOW.timestamp())
