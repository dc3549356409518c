"""A TCP proxy that can be cut: between the workers and PostgreSQL, or Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

HOST = "127.0.0.1"
CHUNK = 65_536
DRIP = 16_384
COMMIT = b"COMMIT;"


class Proxy:
    """Passes bytes on to a port of this machine, on a thread of its own.

    Parameters
    ----------
    target
        The port that it leads to.

    Attributes
    ----------
    port
        The port that it listens on.
    cuts
        Connections cut so far.
    away
        Set it and new connections are refused; `cut` ends those that there are.
    lag_s
        Set it and bytes drip: at most `DRIP` at a time, this many seconds after one another.
    """

    def __init__(self, target: int) -> None:
        self.cuts = 0
        self.away = False
        self.lag_s = 0.0
        self.target = target
        self._commits_to_cut = 0
        self._lines: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> int:
        """Cut every connection now and return how many; new ones are taken at once."""

        async def cut() -> int:
            for line in self._lines:
                line.cancel()
            return len(self._lines)

        found: int = self._call(cut())
        self.cuts += found
        return found

    def cut_at_commit(self, count: int) -> None:
        """Cut the next `count` connections that commit: it is carried out, the reply is lost."""
        self._commits_to_cut = count

    @property
    def commits_to_cut(self) -> int:
        """Commits still to be cut."""
        return self._commits_to_cut

    def close(self) -> None:
        """Cut everything and listen no more."""

        async def close() -> None:
            self._server.close()
            lines = list(self._lines)
            for line in lines:
                line.cancel()
            await asyncio.gather(*lines, return_exceptions=True)

        self._call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        if line is None:
            return
        self._lines.add(line)
        try:
            if not self.away:
                await self._pass(reader, writer)
        except asyncio.CancelledError:
            pass  # cut, perhaps while the far end was still being reached
        finally:
            writer.transport.abort()
            self._lines.discard(line)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            return
        cutting = asyncio.Event()

        async def forth() -> None:
            while data := await self._next(reader):
                if self._commits_to_cut and COMMIT in data:
                    self._commits_to_cut -= 1
                    cutting.set()
                far_writer.write(data)
                await far_writer.drain()

        async def back() -> None:
            while data := await self._next(far_reader):
                if cutting.is_set():
                    self.cuts += 1
                    return  # PostgreSQL has answered; nobody will know
                writer.write(data)
                await writer.drain()

        ways = [asyncio.create_task(forth()), asyncio.create_task(back())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            far_writer.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        """Return what came next, late and little where the line is slow."""
        data = await reader.read(DRIP if self.lag_s else CHUNK)
        if self.lag_s:
            await asyncio.sleep(self.lag_s)
        return data
