"""Socket addresses as the kernel dumps them: ``struct sockaddr`` in hexadecimal."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

_UNIX: Final = 1
_INET: Final = 2
_INET6: Final = 10
_NETLINK: Final = 16


class Peer(NamedTuple):
    """A socket address.

    Attributes
    ----------
    family
        ``ipv4``, ``ipv6``, ``unix``, ``netlink``, or the number of another one.
    ip
        Address, empty where the family has none. IPv4 in IPv6 is written as IPv4.
    port
        0 where the family has none.
    path
        Of a unix socket; an abstract one starts with ``@``.
    """

    family: str
    ip: str = ""
    port: int = 0
    path: str = ""


def peer(saddr: str) -> Peer | None:
    """Decode ``saddr=``; None where it is no address (too short, not hexadecimal).

    The family is in the byte order of the host that wrote it: little endian on every
    architecture that `tables.ARCHES` can tell calls of, but for s390x.

    Examples
    --------
    >>> peer("02000050A9FEA9FE0000000000000000")
    Peer(family='ipv4', ip='169.254.169.254', port=80, path='')
    """
    try:
        data = bytes.fromhex(saddr)
    except ValueError:
        return None
    if len(data) < 2:
        return None
    family = int.from_bytes(data[:2], "little") if data[0] else data[1]
    if family == _INET and len(data) >= 8:
        ip = str(IPv4Address(data[4:8]))
        return Peer("ipv4", ip, int.from_bytes(data[2:4], "big"))
    if family == _INET6 and len(data) >= 24:
        address = IPv6Address(data[8:24])
        ip = str(address.ipv4_mapped or address)
        return Peer("ipv6", ip, int.from_bytes(data[2:4], "big"))
    if family == _UNIX:
        name = b"@" + data[3:] if data[2:3] == b"\0" and len(data) > 3 else data[2:]
        return Peer("unix", path=name.split(b"\0")[0].decode("utf-8", "backslashreplace"))
    return Peer({_NETLINK: "netlink"}.get(family, str(family)))
