"""Unix sockets: auditd's af_unix plug-in, syslog daemons, and whatever else writes lines.

Source: audit-userspace, ``audisp-af_unix(8)``: with ``format = string`` the plug-in listens
on its socket and writes audit records as lines to whoever connects.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import Field

from connectors._reading.base import (
    Check,
    DeniedError,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.lines import Line, Lines
from connectors._reading.paging import Pile

CHUNK: Final = 1 << 18
#: Seconds without data after which what there is goes on.
PATIENCE_S: Final = 0.1
#: Writers that may be connected to a stream socket at a time.
MOST_WRITERS: Final = 256


class UnixSettings(ReaderSettings):
    """Which socket, and who makes it."""

    path: Path = Field(description="Path of the socket.")
    mode: Literal["connect", "listen"] = Field(
        "connect", description="connect: to audisp's af_unix plug-in; listen: make the socket."
    )
    kind: Literal["stream", "dgram"] = Field(
        "stream", description="stream: lines; dgram: a record a datagram (syslog)."
    )
    access: int = Field(0o600, description="Rights of a socket that is made here.")


class UnixReader(Reader):
    """A unix socket: lines of a stream, or datagrams.

    A socket keeps nothing: what was received and not yet acknowledged by the broker when
    this process is killed is lost. Records have no id for the same reason.
    """

    Settings: ClassVar[type[ReaderSettings]] = UnixSettings
    settings: UnixSettings
    waits: ClassVar[bool] = True

    def __init__(self, settings: UnixSettings, connector: object) -> None:
        super().__init__(settings, connector)  # type: ignore[arg-type]
        self._socket: socket.socket | None = None
        self._writers: dict[socket.socket, Lines] = {}
        self._run = secrets.token_hex(6)
        self._count = 0

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what is written until there was nothing for `poll_s`.

        Raises
        ------
        DeniedError
            The socket may not be opened.
        SourceError
            There is none, or whoever made it has closed it.
        """
        opened = self._open()
        pile, heard = Pile(), time.monotonic()
        while not self.stopping.is_set():
            ready, _, _ = select.select({opened, *self._writers}, [], [], PATIENCE_S)
            for each in ready:
                heard = time.monotonic()
                for line, problem in self._received(each):
                    record = Record(line, f"unix:{self._run}#{self._count}", problem=problem)
                    self._count += 1
                    if pile.add(record):
                        yield pile.page({})
            if pile and not ready:
                yield pile.page({})
            if self._socket is None:
                if pile:
                    yield pile.page({})
                raise SourceError(f"{self.settings.path}: whoever made the socket closed it")
            if not ready and time.monotonic() - heard > self.settings.poll_s:
                return
        if pile:
            yield pile.page({})

    def _received(self, ready: socket.socket) -> Iterator[Line]:
        """Yield what one socket has to say."""
        if ready is self._socket and self.settings.mode == "listen":
            if self.settings.kind == "dgram":
                yield ready.recv(CHUNK), ""
            elif len(self._writers) < MOST_WRITERS:
                self._writers[ready.accept()[0]] = Lines()
            return
        lines = self._writers.setdefault(ready, Lines())
        data = b""
        with suppress(ConnectionError):
            data = ready.recv(CHUNK)
        if data:
            yield from lines.feed(data)
            return
        yield from lines.rest()
        del self._writers[ready]
        ready.close()
        if ready is self._socket:
            self._socket = None

    def _open(self) -> socket.socket:
        """Connect to the socket, or make it."""
        if self._socket is not None:
            return self._socket
        chosen = self.settings
        kind = socket.SOCK_STREAM if chosen.kind == "stream" else socket.SOCK_DGRAM
        made = socket.socket(socket.AF_UNIX, kind)
        try:
            if chosen.mode == "connect":
                made.connect(str(chosen.path))
            else:
                self._make(made)
        except PermissionError as error:
            made.close()
            raise DeniedError(f"{chosen.path}: {error}: give this user the right to it") from error
        except OSError as error:
            made.close()
            raise SourceError(f"expected a socket at {chosen.path}, found: {error}") from error
        self._socket = made
        return made

    def _make(self, made: socket.socket) -> None:
        """Bind, in place of a socket that a killed run left."""
        path = self.settings.path
        if path.is_socket():
            path.unlink()
        before = os.umask(0o777 & ~self.settings.access)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        if self.settings.kind == "stream":
            made.listen(MOST_WRITERS)

    def check(self) -> Iterator[Check]:
        """Open the socket."""
        what = f"{self.settings.mode} {self.settings.path}"
        try:
            self._open()
        except SourceError as error:
            yield Check(what, ok=False, detail=str(error))
        else:
            yield Check(what, ok=True)

    def close(self) -> None:
        """Close the socket, and remove it where it was made here."""
        for each in {*self._writers, *([self._socket] if self._socket else ())}:
            each.close()
        if self._socket is not None and self.settings.mode == "listen":
            self.settings.path.unlink(missing_ok=True)
        self._writers.clear()
        self._socket = None
