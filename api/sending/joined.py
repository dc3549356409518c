"""How uvicorn sends what the API answers: head and body together.

uvicorn writes the head of an answer, then its body, and uvloop passes each on at once: two
system calls, and two wake-ups of whoever reads, where one will do. On a small answer that is
a fifth of all its time.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes that are held back at most; beyond, flow control must hear of them.
MOST_HELD: Final = 65_536


class Joined:
    """A transport that passes on together what is written in one turn of the event loop.

    Parameters
    ----------
    transport
        Where it goes; all but writing and closing is its own.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` before the event loop waits for anything."""
        if not data:
            return
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        held, self._held, self._size = self._held, [], 0
        if held and not self.transport.is_closing():
            self.transport.writelines(held)

    def close(self) -> None:
        """Close once all is sent."""
        self.flush()
        self.transport.close()


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, on a transport that is `Joined`: ``uvicorn.run(…, http=Protocol)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(cast(asyncio.Transport, Joined(transport)))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection itself on: what speaks WebSocket joins what it sends."""
        joined = cast(Joined, self.transport)
        joined.flush()
        self.transport = joined.transport
        super().handle_websocket_upgrade()
