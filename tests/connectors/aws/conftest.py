"""AWS over real HTTP: moto's server, and in front of it a proxy that can be told to misbehave."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

#: What a fault returns: status, headers, body; a body may be an iterable of chunks.
Answer = tuple[int, dict[str, str], Any]
Fault = Callable[[str, str, bytes], Answer | None]
_HOP = {"connection", "transfer-encoding", "content-length", "server", "date", "keep-alive"}


class Proxy(ThreadingHTTPServer):
    """Forwards to moto, except where one of `faults` answers itself.

    Attributes
    ----------
    faults
        Asked in turn with method, path and body; the first that answers is the answer. Of
        an API whose requests all go to ``/``, the path is the operation.
    asked
        Every request: method and path.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.local = threading.local()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path
        if target := self.headers.get("X-Amz-Target"):
            path = f"/{target}"
        self.server.asked.append((self.command, path))
        for fault in self.server.faults:
            if (answer := fault(self.command, path, body)) is not None:
                break
        else:
            answer = self._forward(body)
        self._answer(*answer)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve  # noqa: N815

    def _forward(self, body: bytes) -> Answer:
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        for attempt in (0, 1):
            link = getattr(self.server.local, "link", None)
            if link is None or attempt:
                link = self.server.local.link = http.client.HTTPConnection(self.server.target)
            try:
                link.request(self.command, self.path, body, headers)
                got = link.getresponse()
                found = {k: v for k, v in got.getheaders() if k.lower() not in _HOP}
                if self.command == "HEAD":
                    found["Content-Length"] = got.headers.get("Content-Length", "0")
                return got.status, found, got.read()
            except (http.client.HTTPException, OSError):
                if attempt:
                    raise
        raise AssertionError

    def _answer(self, status: int, headers: dict[str, str], body: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if isinstance(body, bytes):
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            return
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in body:
            self.wfile.write(chunk)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Run moto's server; return its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give boto3 credentials that are none, and keep it from looking for others."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def aws(moto: str) -> Iterator[Proxy]:
    """Run a proxy in front of a moto that knows nothing yet."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(moto).netloc)) as link:
        link.request("POST", "/moto-api/reset")
        link.getresponse().read()
    proxy = Proxy(moto)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    thread.join()


class Cloud:
    """What a test puts into AWS."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return a client that goes straight to moto."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=f"http://{self.proxy.target}",
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, max_pool_connections=20),
            )
        return self._clients[service]

    def bucket(self, name: str = "logs") -> str:
        self.client("s3").create_bucket(Bucket=name)
        return name

    def put(self, key: str, body: bytes, bucket: str = "logs", **given: Any) -> None:
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=body, **given)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture
def cloud(aws: Proxy) -> Iterator[Cloud]:
    """Return a way to put things into AWS."""
    made = Cloud(aws)
    yield made
    made.close()


def _trail(count: int, name: str = "e", at: datetime | None = None) -> list[dict[str, Any]]:
    at = at or datetime.now(UTC) - timedelta(hours=1)
    return [
        {
            "eventVersion": "1.09",
            "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": "s3.amazonaws.com",
            "eventName": "GetObject",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "192.0.2.7",
            "userAgent": "aws-cli",
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ada"},
            "eventID": f"{name}-{number}",
        }
        for number in range(count)
    ]


@pytest.fixture
def trail() -> Callable[..., bytes]:
    """Return a function that writes a CloudTrail log file of some events."""
    return lambda *given, **more: json.dumps({"Records": _trail(*given, **more)}).encode()
