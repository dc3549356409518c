"""Where deliveries may go: no private address by any spelling, no rebinding, what is allowed."""

from __future__ import annotations

import asyncio

import pytest

from sentinel.errors import SettingsError
from sentinel.subscribers.egress import Egress, RefusedError
from sentinel.testing.server import Response, ScriptedServer
from streams.deliveries.http import Http

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200"),
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "168.63.129.16", "192.0.0.192", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::127.0.0.1"),
    *("2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "192.0.2.1"),
]


def resolving(*answers):
    """Return a resolver that gives each answer once, the last for ever."""
    left = list(answers)

    async def resolve(host, port):
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


@pytest.mark.parametrize("address", PRIVATE)
async def test_private_addresses_are_refused(address):
    with pytest.raises(RefusedError, match="expected a public address"):
        await Egress("", resolving([address])).place("hooks.example.com", 443)


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]"]
)
async def test_spellings_of_this_machine_are_refused(host):
    with pytest.raises(RefusedError):
        await Egress().place(host, 443)


async def test_public_addresses_pass_and_the_first_of_them_is_taken():
    egress = Egress("", resolving(["10.0.0.1", "8.8.8.8", "2606:4700::1111"]))
    assert await egress.place("hooks.example.com", 443) == ("8.8.8.8", False)


@pytest.mark.parametrize(
    ("allow", "host", "allowed"),
    [
        ("10.0.0.0/8", "x.example.com", True),
        ("10.0.0.1", "x.example.com", True),
        ("x.example.com", "x.example.com", True),
        (".example.com", "x.example.com", True),
        (".example.com", "x.example.com.", True),
        ("example.com", "x.example.com", False),
        (".example.com", "xexample.com", False),
        ("10.0.1.0/24", "x.example.com", False),
    ],
)
async def test_the_operator_allows_names_and_networks(allow, host, allowed):
    egress = Egress(allow, resolving(["10.0.0.1"]))
    if allowed:
        assert await egress.place(host, 443) == ("10.0.0.1", True)
    else:
        with pytest.raises(RefusedError):
            await egress.place(host, 443)


def test_a_network_that_is_none_is_told():
    with pytest.raises(SettingsError, match="SENTINEL_DELIVER_ALLOW"):
        Egress("10.0.0.0/99")


async def test_the_connection_goes_to_the_address_that_was_checked(server):
    """A name that leads elsewhere the second time it is asked (DNS rebinding) gains nothing."""
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) <= 2 else ["8.8.8.8"]

    http = Http(Egress("127.0.0.1", rebinding))
    port = server.port
    reply = await http.request("POST", f"http://rebind.example.com:{port}/hook", content=b"{}")
    assert reply.ok
    assert server.requests[0].headers["host"] == f"rebind.example.com:{port}"
    await http.close()

    async def back(host, port):
        return ["127.0.0.1"]

    http = Http(Egress("", back))
    reply = await http.request("POST", f"https://rebind.example.com:{port}/hook", content=b"{}")
    assert "expected a public address" in reply.error
    assert len(server.requests) == 1
    await http.close()


async def test_without_encryption_only_to_what_is_allowed():
    http = Http(Egress("", resolving(["8.8.8.8"])))
    reply = await http.request("POST", "http://hooks.example.com/")
    assert reply.error == "expected https, found http://hooks.example.com"
    await http.close()


async def test_tls_expects_the_name_not_the_address(monkeypatch):
    with ScriptedServer(tls=True) as server:
        server.route("POST", "/hook", lambda _: Response())
        monkeypatch.setenv("SSL_CERT_FILE", server.certificate.path)
        http = Http(Egress("127.0.0.1", resolving(["127.0.0.1"])))
        good = await http.request("POST", f"https://localhost:{server.port}/hook", content=b"{}")
        other = await http.request("POST", f"https://other.example.com:{server.port}/hook")
        await http.close()
    assert good.ok
    assert "CERTIFICATE_VERIFY_FAILED" in other.error


async def test_a_name_that_does_not_answer_is_given_up_on(monkeypatch):
    monkeypatch.setattr("sentinel.subscribers.egress.RESOLVE_S", 0.01)

    async def never(host, port):
        await asyncio.Event().wait()

    with pytest.raises(RefusedError, match="cannot be resolved"):
        await Egress("", never).place("hooks.example.com", 443)


async def test_an_answer_without_end_is_cut(server):
    server.route("POST", "/hook", lambda _: Response(200, b"x" * 3_000_000))
    http = Http(Egress("127.0.0.1"))
    reply = await http.request("POST", f"{server.url}/hook")
    await http.close()
    assert reply.ok
    assert len(reply.body) == 65_536


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "localhost", "receiver"])
def test_what_its_name_says_is_not_public_is_refused_before_anything_is_sent(host: str) -> None:
    with pytest.raises(RefusedError, match="SENTINEL_DELIVER_ALLOW"):
        Egress("192.0.2.0/24,.internal").check(host)


@pytest.mark.parametrize("host", ["198.51.100.7", "hooks.example.com", "a.internal", "receiver"])
def test_what_is_allowed_or_must_be_looked_up_first_is_not_refused_early(host: str) -> None:
    Egress("198.51.100.0/24,.internal,receiver").check(host)
