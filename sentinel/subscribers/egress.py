"""Where we may connect to: public addresses, and what the operator allows by name or network.

A tenant chooses the address of a subscription, so it must not lead into our own network
(server-side request forgery, OWASP API7:2023): loopback, private, link-local and shared
addresses, those of cloud metadata, and IPv4 addresses that hide in IPv6 are refused. A name
is resolved once, and the connection made to the very address that was checked, so that a name
that changes in between (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from sentinel.errors import SentinelError, SettingsError

Ip = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
#: Not to be reached from outside, whatever the version of `ipaddress` says: Azure's WireServer,
#: the metadata of Oracle Cloud (RFC 6890), NAT64 of a network's own (RFC 8215).
_REFUSED: Final = tuple(
    ip_network(text) for text in ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48")
)
#: IPv6 prefixes whose last 32 bits are an IPv4 address: NAT64 (RFC 6052), compatible.
_EMBEDDING: Final = tuple(IPv6Network(text) for text in ("64:ff9b::/96", "::/96"))
RESOLVE_S: Final = 5.0


class RefusedError(SentinelError):
    """An address that nobody is to be sent to."""


class Place(NamedTuple):
    """An address that was checked, and whether the operator named it."""

    address: str
    allowed: bool


async def system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of `host` as the system resolves it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Egress:
    """Checks addresses.

    Parameters
    ----------
    allow
        Names (``hooks.internal``, ``.internal`` for all below) and networks (``10.0.0.0/8``)
        that are allowed though not public, separated by commas: `Settings.deliver_allow`.
    resolve
        Returns the addresses of a name.

    Raises
    ------
    SettingsError
        An entry with a slash is no network.
    """

    def __init__(self, allow: str = "", resolve: Resolver = system) -> None:
        entries = [entry.strip().lower() for entry in allow.split(",") if entry.strip()]
        try:
            self._networks = [ip_network(entry) for entry in entries if _numeric(entry)]
        except ValueError as error:
            raise SettingsError(f"SENTINEL_DELIVER_ALLOW: expected a network, {error}") from error
        self._names = [entry for entry in entries if not _numeric(entry)]
        self._resolve = resolve

    async def place(self, host: str, port: int) -> Place:
        """Return the address to connect to.

        Raises
        ------
        RefusedError
            The name has no address, or none of those is allowed.
        """
        host = host.strip("[]").rstrip(".").lower()
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise RefusedError(f"{host} cannot be resolved: {error or 'no answer'}") from error
        named = self._named(host)
        for address in found:
            ip = ip_address(address.partition("%")[0])
            listed = named or any(ip in network for network in self._networks)
            if listed or public(ip):
                return Place(address, listed)
        raise RefusedError(
            # Which address it is, is nobody's business who only knows the name.
            f"expected a public address, found {host} at another; an operator can allow it with "
            "SENTINEL_DELIVER_ALLOW"
        )

    def check(self, host: str) -> None:
        """Refuse what its name alone says cannot be reached, before anything is sent.

        Names are not looked up: whoever may choose a host must not learn what our own name
        servers know. So a name that leads inside is found by `place`, when something is sent.

        Raises
        ------
        RefusedError
            It is an address that is not public, or a name without a domain, and not allowed.
        """
        host = host.strip("[]").rstrip(".").lower()
        if self._named(host):
            return
        try:
            ip = ip_address(host.partition("%")[0])
        except ValueError:
            if "." in host and not host.endswith(".localhost"):
                return
        else:
            if public(ip) or any(ip in network for network in self._networks):
                return
        raise RefusedError(
            f"expected a public address, found {host}; an operator can allow it with "
            f"SENTINEL_DELIVER_ALLOW={host} for the API and the workers"
        )

    def _named(self, host: str) -> bool:
        return any(
            host == name or (name.startswith(".") and host.endswith(name)) for name in self._names
        )


def _numeric(entry: str) -> bool:
    """Say whether an entry is an address or a network, not a name."""
    head = entry.partition("/")[0]
    return "/" in entry or ":" in head or head.replace(".", "").isdigit()


def public(ip: Ip) -> bool:
    """Say whether an address belongs to the public Internet.

    >>> [public(ip_address(a)) for a in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    return all(
        each.is_global
        and not each.is_multicast
        and not each.is_reserved
        and not any(each in network for network in _REFUSED)
        for each in (ip, *_hidden(ip))
    )


def _hidden(ip: Ip) -> Iterable[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address carries."""
    if isinstance(ip, IPv4Address):
        return
    if ip.ipv4_mapped is not None:
        yield ip.ipv4_mapped
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield from ip.teredo
    if any(ip in network for network in _EMBEDDING):
        yield IPv4Address(int(ip) & 0xFFFFFFFF)
