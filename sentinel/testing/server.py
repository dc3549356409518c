"""A small HTTP server that answers as a public API does, and fails when a test says so.

::

    with ScriptedServer() as server:
        server.route("GET", "/api/v1/logs", answer)      # Request -> Response
        server.script("/api/v1/logs", None, throttled(2), expired(), cut(), malformed())
        ...                                              # the real client talks to server.url
        assert [request.path for request in server.requests] == [...]

`ScriptedServer.script` lines up what happens to the next requests of a path: None lets one
through; each fault is used once. Whatever is not in line is answered as `route` says.
Answers are given at once and in the order of the requests of a connection; requests of
several connections run in threads of their own, so answers that change state take `lock`.
"""

from __future__ import annotations

import json
import re
import secrets
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from sentinel.testing.certificate import Certificate

HTTP_UNAUTHORIZED: Final = 401
MAX_BODY: Final = 64 << 20
"""Largest request body taken, in bytes."""


class Request(NamedTuple):
    """What a client asked for; names of `headers` are in lower case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes

    def param(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, (default,))[0]

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """Return the body as a form's fields, the first value of each."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def bearer(self) -> str:
        """Return the bearer token it came with, or an empty string."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind.lower() == "bearer" else ""


class Response(NamedTuple):
    """What the client gets.

    Attributes
    ----------
    cut_at
        Bytes of the body after which the connection breaks, though ``Content-Length`` had
        promised all of it; None: it does not.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {"Content-Type": "application/json"}
    cut_at: int | None = None


Answer = Callable[[Request], Response]
Fault = Callable[[Request, Answer], Response]


def reply(value: Any, status: int = 200, **headers: str) -> Response:
    """Return `value` as JSON; ``_`` in names of `headers` stands for ``-``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(
        status, json.dumps(value).encode(), {"Content-Type": "application/json", **named}
    )


def throttled(retry_after_s: float | None = 0, status: int = 429, body: Any = None) -> Fault:
    """Refuse with ``Retry-After``; without the header where it is None."""
    named = {} if retry_after_s is None else {"Retry_After": f"{retry_after_s:g}"}
    return lambda _request, _answer: reply(
        body or {"error": {"message": "throttled"}}, status, **named
    )


def failed(status: int = 503, body: Any = None) -> Fault:
    """Answer with an error of the server, or whatever `status` says."""
    return lambda _request, _answer: reply(body or {"error": {"message": "failed"}}, status)


def malformed(body: bytes | None = None) -> Fault:
    """Answer 200 with `body`; None: with half of the right answer, which does not parse."""

    def spoil(request: Request, answer: Answer) -> Response:
        right = answer(request)
        return right._replace(body=right.body[: len(right.body) // 2] if body is None else body)

    return spoil


def cut() -> Fault:
    """Break the connection in the middle of the right answer."""

    def break_off(request: Request, answer: Answer) -> Response:
        right = answer(request)
        return right._replace(cut_at=len(right.body) // 2)

    return break_off


def expired(body: Any = None) -> Fault:
    """Refuse the token of this request with 401, as if it had just run out."""
    return lambda _request, _answer: reply(
        body or {"error": {"message": "expired"}},
        HTTP_UNAUTHORIZED,
        WWW_Authenticate='Bearer error="invalid_token"',
    )


def paged(items: Sequence[Any], token: str, size: int) -> tuple[Sequence[Any], str]:
    """Return a page of `items` and the token of the next one; an empty token: first, or no more."""
    start = int(token or 0)
    end = start + size
    return items[start:end], str(end) if end < len(items) else ""


class Tokens:
    """Bearer tokens: issued, good for so many uses, and refused afterwards.

    Parameters
    ----------
    uses
        Requests that a token is good for; None: any number.
    """

    def __init__(self, uses: int | None = None) -> None:
        self.uses = uses
        self.issued = 0
        self._left: dict[str, int | None] = {}
        self._lock = threading.Lock()

    def issue(self) -> str:
        """Return a new token; the ones before stay good for what is left of them."""
        with self._lock:
            self.issued += 1
            token = f"double-{self.issued}-{secrets.token_hex(8)}"
            self._left[token] = self.uses
            return token

    def revoke(self) -> None:
        """Refuse all tokens issued so far."""
        with self._lock:
            self._left.clear()

    def good(self, token: str) -> bool:
        """Say whether `token` is good, and use it once."""
        with self._lock:
            left = self._left.get(token, 0)
            if left == 0:
                return False
            self._left[token] = None if left is None else left - 1
            return True


class ScriptedServer:
    """The server; a context manager, or `close` it.

    Parameters
    ----------
    tls
        Whether it speaks TLS, with a certificate of its own making (`certificate.path` is
        what clients have to trust); libraries that send tokens insist on it.

    Attributes
    ----------
    url
        Where it answers: ``http://127.0.0.1:port`` or, with TLS, ``https://localhost:port``.
    requests
        Every request it got, in the order they came.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self._routes: list[tuple[str, re.Pattern[str], Answer]] = []
        self._faults: list[tuple[re.Pattern[str], deque[Fault | None]]] = []
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self})
        )
        self._server.daemon_threads = True
        self.certificate = Certificate() if tls else None
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate.path, self.certificate.key_path)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self.url = f"https://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def route(self, method: str, path: str, answer: Answer) -> None:
        """Answer requests whose whole path matches the regular expression `path`.

        The route added last wins where several match.
        """
        self._routes.insert(0, (method, re.compile(path), answer))

    def script(self, path: str, *faults: Fault | None) -> None:
        """Line up what happens to the next requests whose whole path matches `path`."""
        self._faults.append((re.compile(path), deque(faults)))

    def left(self) -> int:
        """Return how many faults have not happened yet."""
        return sum(len(line) for _, line in self._faults)

    def asked(self, path: str) -> list[Request]:
        """Return the requests whose whole path matches the regular expression `path`."""
        return [request for request in self.requests if re.fullmatch(path, request.path)]

    def answer(self, request: Request) -> Response:
        """Return the answer to a request, or what was lined up instead of it."""
        with self.lock:
            self.requests.append(request)
            fault = next(
                (
                    line.popleft()
                    for path, line in self._faults
                    if line and path.fullmatch(request.path)
                ),
                None,
            )
        return self._right(request) if fault is None else fault(request, self._right)

    def _right(self, request: Request) -> Response:
        for method, path, answer in self._routes:
            if method == request.method and path.fullmatch(request.path):
                return answer(request)
        return reply({"error": f"no route for {request.method} {request.path}"}, 404)

    def close(self) -> None:
        """Stop answering and take the certificate away."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.certificate is not None:
            self.certificate.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    owner: ClassVar[ScriptedServer]
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds until a silent connection is closed
    # Head and body in one piece: in two, each answer takes 40 ms until the head is acknowledged.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client went away, which is its right
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def _serve(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): text for name, text in self.headers.items()},
            self.rfile.read(length),
        )
        self._send(self.owner.answer(request))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, text in response.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[: response.cut_at])
        if response.cut_at is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on the terminal."""
