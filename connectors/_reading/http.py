"""A push endpoint: whoever has logs sends them; the answer 200 says that the broker has them."""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import json
import queue
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field, SecretStr

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
from connectors._reading.paging import Pile
from connectors.base import Connector

#: Seconds that a client may take for its request, and that it waits for the broker.
REQUEST_S: Final = 30.0
ANSWER_S: Final = 60.0
#: Requests, and bytes of them, that wait for their turn; more are refused with 429.
WAITING: Final = 64
HELD: Final = 64 << 20
#: Connections at a time; more are closed.
CONNECTIONS: Final = 128
RETRY_AFTER_S: Final = 5


class HttpSettings(ReaderSettings):
    """Where to listen, and who may send."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(ge=0, le=65535, description="Port to listen on; 0: a free one.")
    token: SecretStr = Field(
        min_length=16, description="Bearer token, or password of basic authentication."
    )
    max_bytes: int = Field(8 << 20, ge=1024, description="Largest request, as it is sent.")
    max_unpacked: int = Field(64 << 20, ge=1024, description="Largest request, unpacked.")
    certificate: Path | None = Field(None, description="PEM file of the certificate; none: HTTP.")
    key: Path | None = Field(None, description="PEM file of its key.")
    poll_s: float = Field(5.0, gt=0, description="Seconds of silence after which a round ends.")


class Push(NamedTuple):
    """A request that waits for the broker; its answer is set on `done`."""

    records: list[Record]
    done: Future[HTTPStatus]


class RefusedError(Exception):
    """A request that is not taken, and the status that says why."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class HttpReader(Reader):
    """A push endpoint (webhooks): POST with a token; 200 once the broker has the records.

    Bodies are JSON, JSON lines, an array or lines of text, plain or gzip. With the header
    ``Idempotency-Key`` a request that is sent again gives the same records; without it records
    have no id. 401: no token or a wrong one. 411, 413: no length, or too large. 415: an encoding
    other than gzip. 429: too much at once. 503: not delivered, send it again.
    """

    Settings: ClassVar[type[ReaderSettings]] = HttpSettings
    settings: HttpSettings
    waits: ClassVar[bool] = True

    def __init__(self, settings: HttpSettings, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._queue: queue.Queue[Push] = queue.Queue(WAITING)
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the first `read`."""
        return self._server.server_port if self._server else 0

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what is sent until nothing was for `poll_s`.

        Raises
        ------
        SourceError
            The address is taken.
        DeniedError
            The port or the certificate may not be used.
        """
        self._listen()
        until = time.monotonic() + self.settings.poll_s
        while not self.stopping.is_set() and time.monotonic() < until:
            pushes = self._taken()
            if not pushes:
                continue
            pile = Pile()
            for push in pushes:
                for record in push.records:
                    pile.add(record)
            delivered = False
            try:
                yield pile.page({})
                delivered = True
            finally:
                status = HTTPStatus.OK if delivered else HTTPStatus.SERVICE_UNAVAILABLE
                for push in pushes:
                    push.done.set_result(status)
            until = time.monotonic() + self.settings.poll_s

    def _taken(self) -> list[Push]:
        """Return the requests that wait, as many as fit a page, or none after a moment."""
        pushes: list[Push] = []
        size = 0
        while size < 4 << 20 and not (pushes and self._queue.empty()):
            try:
                push = self._queue.get(timeout=0.1)
            except queue.Empty:
                break
            pushes.append(push)
            size += sum(len(record.value) for record in push.records)
        return pushes

    def _listen(self) -> None:
        """Open the port, once."""
        if self._server is not None:
            return
        address = (self.settings.host, self.settings.port)
        try:
            self._server = Server(address, self.settings, self._queue, self.connector)
        except (PermissionError, ssl.SSLError) as error:
            raise DeniedError(f"cannot listen on {address}: {error}") from error
        except OSError as error:
            raise SourceError(f"expected to listen on {address}, found: {error}") from error
        threading.Thread(target=self._server.serve_forever, name="push", daemon=True).start()

    def check(self) -> Iterator[Check]:
        """Try to listen."""
        what = f"listen on {self.settings.host}:{self.settings.port}"
        try:
            self._listen()
        except SourceError as error:
            yield Check(what, ok=False, detail=f"{error}; does the input run already?")
        else:
            yield Check(what, ok=True, detail=f"port {self.port}")

    def close(self) -> None:
        """Close the port; whoever waits is told to send it again."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        while not self._queue.empty():
            self._queue.get_nowait().done.set_result(HTTPStatus.SERVICE_UNAVAILABLE)


class Server(ThreadingHTTPServer):
    """The listener: a thread a connection, of which there are at most `CONNECTIONS`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        settings: HttpSettings,
        waiting: queue.Queue[Push],
        connector: Connector,
    ) -> None:
        self.settings = settings
        self.connector = connector
        self.waiting = waiting
        self._counting = threading.Lock()
        self._held = 0
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, Handler)
        if settings.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.certificate, settings.key)
            # The handshake is done by the connection's thread, which has a time-out.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread, or close it where there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count bytes that wait; refuse more than `HELD`, unless nothing else waits."""
        with self._counting:
            if self._held and self._held + size > HELD:
                raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too much at once")
            self._held += size
        try:
            yield
        finally:
            with self._counting:
                self._held -= size

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that break off."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S

    def do_POST(self) -> None:
        """Take a request, wait until the broker has it, answer."""
        try:
            self._allowed()
            records = self._records(self._body())
            status = self._deliver(records) if records else HTTPStatus.OK
            self._answer(status, f'{{"accepted":{len(records)}}}' if status == 200 else "")
        except RefusedError as error:
            self.close_connection = True  # what is left of the body is not read
            self._answer(error.status, "", str(error))
        except TimeoutError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Say that it is alive."""
        self._answer(HTTPStatus.OK, '{"ok":true}')

    def _allowed(self) -> None:
        """Refuse whoever has no token."""
        kind, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        elif kind.lower() != "bearer":
            given = ""
        token = self.server.settings.token.get_secret_value()
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "expected Authorization: Bearer TOKEN")

    def _body(self) -> bytes:
        """Return the body, unpacked."""
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        most = self.server.settings.max_bytes
        if int(length) > most:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {most} bytes: {length}"
            )
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "expected the whole body, it broke off")
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected gzip or no encoding")
        if encoding == "gzip" or body[:2] == b"\x1f\x8b":
            return self._unpacked(body)
        return body

    def _unpacked(self, body: bytes) -> bytes:
        most = self.server.settings.max_unpacked
        data, rest = bytearray(), body
        while rest:  # gzip may be several, one after another
            unpacker = zlib.decompressobj(wbits=31)
            try:
                data += unpacker.decompress(rest, most + 1 - len(data))
            except zlib.error as error:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"expected gzip: {error}") from error
            if len(data) > most:
                raise RefusedError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {most} bytes unpacked"
                )
            if not unpacker.eof:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "expected whole gzip, it ends too early")
            rest = unpacker.unused_data
        return bytes(data)

    def _records(self, body: bytes) -> list[Record]:
        name = (self.headers.get("Idempotency-Key") or "")[:256]
        try:
            found = list(self.server.connector.records(io.BytesIO(body)))
        except (ValueError, EOFError, OSError) as error:
            detail = f"expected what the source writes: {error!s:.200}"
            raise RefusedError(HTTPStatus.BAD_REQUEST, detail) from error
        return [
            Record(value, f"http:{name}#{index}" if name else "")
            for index, value in enumerate(found)
        ]

    def _deliver(self, records: list[Record]) -> HTTPStatus:
        push = Push(records, Future())
        size = sum(len(record.value) for record in records)
        with self.server.holding(size):
            try:
                self.server.waiting.put_nowait(push)
                return push.done.result(ANSWER_S)
            except queue.Full:
                raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too much at once") from None
            except TimeoutError:
                return HTTPStatus.SERVICE_UNAVAILABLE

    def _answer(self, status: HTTPStatus, body: str, detail: str = "") -> None:
        text = (body or json.dumps({"error": detail or status.phrase})).encode()
        self.send_response(status)
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.send_header("Retry-After", str(RETRY_AFTER_S))
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(text)
        except OSError:
            self.close_connection = True

    def version_string(self) -> str:
        """Name no versions."""
        return "sentinel"

    def log_message(self, *_: Any) -> None:
        """Write no access log."""
