"""Syslog: CEF in RFC 5424 messages, over TCP, TLS or UDP.

TCP frames count octets (RFC 6587, 3.4.1), as TLS does (RFC 5425). Syslog acknowledges
nothing: over TCP and TLS a message counts as delivered when the receiver's system has taken
it and closed in order, over UDP when it was sent. CEF: Micro Focus, "ArcSight Common Event
Format", revision 26: ``|`` and backslash are escaped in the header, ``=``, backslash and
line breaks in the extension.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any, Final

from sentinel import __version__
from sentinel.errors import SentinelError
from sentinel.subscribers.egress import Place
from sentinel.subscribers.kinds import Syslog
from streams.deliveries.adapters.base import Adapter, Item, Message, Outcome, one_line

#: Facility 13 (log audit) times 8, plus the severity of RFC 5424.
PRIORITY: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5}
CEF: Final = {"critical": 10, "high": 8, "medium": 5, "low": 3}
FACILITY: Final = 13 * 8
MOST_UDP: Final = 2048


class SyslogAdapter(Adapter[Syslog]):
    """One record an alert."""

    async def send(self, message: Message) -> Outcome:
        """Send the records over one connection."""
        channel = self.channel
        records = [record(item, message.id) for item in message.items]
        try:
            place = await self.wire.egress.place(channel.host, channel.port)
            if channel.transport != "tls" and not place.allowed:
                return Outcome(error=f"expected TLS, or a host that is allowed: {channel.host}")
            async with asyncio.timeout(self.options.timeout_s):
                if channel.transport == "udp":
                    await self._datagrams(place, records)
                else:
                    await self._stream(place, records)
        except TimeoutError:
            return Outcome(error=f"not sent within {self.options.timeout_s:g} s")
        except (SentinelError, OSError) as error:
            return Outcome(error=str(error) or type(error).__name__)
        return Outcome()

    async def _stream(self, place: Place, records: list[bytes]) -> None:
        channel = self.channel
        tls: dict[str, Any] = {}
        if channel.transport == "tls":
            tls = {"ssl": ssl.create_default_context(), "server_hostname": channel.host}
        reader, writer = await asyncio.open_connection(place.address, channel.port, **tls)
        try:
            for each in records:
                writer.write(b"%d %b" % (len(each), each))
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
                while await reader.read(4096):
                    pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _datagrams(self, place: Place, records: list[bytes]) -> None:
        family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        loop = asyncio.get_running_loop()
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            for each in records:
                await loop.sock_sendto(out, each[:MOST_UDP], (place.address, self.channel.port))


def record(item: Item, ident: str) -> bytes:
    """Return the RFC 5424 message of an item."""
    data = item.data
    priority = FACILITY + PRIORITY.get(data["severity"], 6)
    head = f"<{priority}>1 {data['last_seen']} sentinel sentinel - {item.type} - "
    return (head + cef(item, ident)).encode()


def cef(item: Item, ident: str) -> str:
    """Return an item in CEF."""
    data = item.data
    severity = CEF.get(data["severity"], 1)
    parts = ("Sentinel", "Sentinel", __version__, data["rule_id"], data["title"], str(severity))
    extension = {
        "externalId": data["id"],
        "cat": item.type,
        "suser": data["entity"],
        "start": data["first_seen"],
        "end": data["last_seen"],
        "cnt": data["count"],
        "cs1Label": "techniques", "cs1": " ".join(data["techniques"]),
        "cs2Label": "source", "cs2": data["source"],
        "cs3Label": "tenant", "cs3": data["tenant"],
        "cs4Label": "message", "cs4": ident,
        "cfp1Label": "score", "cfp1": data["score"],
    }  # fmt: skip
    fields = " ".join(f"{name}={_value(str(value))}" for name, value in extension.items())
    return f"CEF:0|{'|'.join(map(_header, parts))}|{fields}"


def _header(text: str) -> str:
    r"""Escape a field of the header.

    >>> _header("a|b\n")
    'a\\|b'
    """
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    r"""Escape a value of the extension.

    >>> _value("a=b\nc")
    'a\\=b\\nc'
    """
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")
