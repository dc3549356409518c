"""Syslog over real sockets: frames, CEF that nobody can break out of."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streams.deliveries.adapters.syslog import cef


@pytest.fixture
async def collector():
    """Return ``await collector(context)``: a port, and the list of what arrives there."""
    servers = []

    async def start(context=None):
        got = []

        async def take(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    size = int(await reader.readuntil(b" "))
                    got.append((await reader.readexactly(size)).decode())
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return server.sockets[0].getsockname()[1], got

    yield start
    for server in servers:
        server.close()


RECORD = re.compile(r"<\d+>1 2026-01-31T12:05:00.000Z sentinel sentinel - alert\.created - CEF:0\|")


async def test_tcp_frames_count_octets(adapter, collector, item, message, until):
    port, got = await collector()
    syslog = adapter("syslog", {"host": "127.0.0.1", "port": port})
    assert not (await syslog.send(message(item(title="Grüße"), item()))).error
    await until(lambda: len(got) == 2)
    assert RECORD.match(got[0])
    assert "|Grüße|10|externalId=" in got[0]
    assert got[0].startswith("<106>")


async def test_tls(adapter, collector, certificate, message, until):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.path, certificate.key_path)
    port, got = await collector(context)
    config = {"host": "localhost", "port": port, "transport": "tls"}
    assert not (await adapter("syslog", config).send(message())).error
    await until(lambda: bool(got))
    assert RECORD.match(got[0])


async def test_udp(adapter, message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        config = {"host": "127.0.0.1", "port": receiver.getsockname()[1], "transport": "udp"}
        assert not (await adapter("syslog", config).send(message())).error
        assert RECORD.match(receiver.recv(4096).decode())


async def test_nobody_there(adapter, message):
    outcome = await adapter("syslog", {"host": "127.0.0.1", "port": 1}).send(message())
    assert outcome.error


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(title=st.text(max_size=50), entity=st.text(max_size=50))
def test_no_text_breaks_out_of_its_field(item, title, entity):
    told = item(title=title, entity=entity)
    text = cef(told, "id")
    assert "\n" not in text
    assert "\r" not in text
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    assert parts[0] == "CEF:0"
    assert parts[7].startswith(f"externalId={told.data['id']} cat=alert.created suser=")
    names = re.findall(r"(?:^| )(\w+)(?<!\\)=", parts[7])
    assert names[-2:] == ["cfp1Label", "cfp1"]
    assert len(names) == 16
