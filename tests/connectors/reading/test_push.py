"""Ways in that are sent to: HTTP answers when the broker has it, sockets take what is written."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from connectors._reading import http
from connectors._reading.base import Record, SourceError
from connectors._reading.http import HttpReader, HttpSettings
from connectors._reading.unix import UnixReader, UnixSettings
from connectors.auditd import Auditd
from connectors.generic import Generic

TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Pushed:
    """A reader at work on a thread, as the runner has it; `hold` keeps the broker busy."""

    def __init__(self, **more: Any) -> None:
        chosen = HttpSettings(port=0, token=SecretStr(TOKEN), poll_s=30, **more)
        self.reader = HttpReader(chosen, Generic())
        self.records: list[Record] = []
        self.hold = threading.Event()
        self.hold.set()
        self.fails = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.reader._listen()
        self._thread.start()

    def _work(self) -> None:
        while not self.reader.stopping.is_set():
            pages = self.reader.read(None)
            for page in pages:
                self.hold.wait()
                if self.fails:
                    pages.close()  # type: ignore[attr-defined]
                    break
                self.records += page.records

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.reader.port}/"
        with httpx.Client(trust_env=False, timeout=120) as client:
            return client.post(url, content=body, headers={**BEARER, **headers})

    def stop(self) -> None:
        self.hold.set()
        self.reader.stopping.set()
        self._thread.join(120)
        self.reader.close()


@pytest.fixture
def pushed() -> Iterator[Pushed]:
    made = Pushed(max_bytes=10_000, max_unpacked=100_000)
    yield made
    made.stop()


def test_a_push_is_answered_once_it_was_delivered(pushed: Pushed) -> None:
    pushed.hold.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(pushed.post, b'{"a":1}\n{"a":2}\n')
        with pytest.raises(TimeoutError):
            answer.result(0.3)
        pushed.hold.set()
        assert answer.result(120).json() == {"accepted": 2}
    assert [record.value for record in pushed.records] == [b'{"a":1}', b'{"a":2}']


def test_what_was_not_delivered_is_to_be_sent_again(pushed: Pushed) -> None:
    pushed.fails = True
    answer = pushed.post(b"{}")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    pushed.fails = False
    assert pushed.post(b"{}").status_code == 200


def test_gzip_and_keys_that_name_the_records(pushed: Pushed) -> None:
    body = gzip.compress(b'{"a":1}\n', mtime=0) + gzip.compress(b'{"a":2}\n')
    named = {"Content-Encoding": "gzip", "Idempotency-Key": "batch-7"}
    for _ in range(2):
        assert pushed.post(body, **named).status_code == 200
    assert [record.id for record in pushed.records] == ["http:batch-7#0", "http:batch-7#1"] * 2


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Authorization": "Bearer wrong"}, 401),
        (b"{}", {"Authorization": ""}, 401),
        (b"{}", {"Authorization": "Basic %%%"}, 401),
        (b"x" * 10_001, {}, 413),
        (gzip.compress(b"x" * 100_001, mtime=0), {"Content-Encoding": "gzip"}, 413),
        (gzip.compress(b"x" * 100, mtime=0)[:-4], {"Content-Encoding": "gzip"}, 400),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_what_is_refused(pushed: Pushed, body: bytes, headers: dict[str, str], status: int) -> None:
    assert pushed.post(body, **headers).status_code == status
    assert pushed.records == []


def test_basic_authentication_for_those_that_know_no_other(pushed: Pushed) -> None:
    url = f"http://127.0.0.1:{pushed.reader.port}/"
    with httpx.Client(trust_env=False) as client:
        assert client.post(url, content=b"{}", auth=("any", TOKEN)).status_code == 200


def test_too_much_at_once_is_refused(pushed: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HELD", 100)
    pushed.hold.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(pushed.post, b"x" * 90)
        server = pushed.reader._server
        assert server is not None
        while not server._held:
            assert not first.done()
            time.sleep(0.01)
        assert pushed.post(b"y" * 90).status_code == 429
        pushed.hold.set()
        assert first.result(120).status_code == 200


def test_a_port_that_is_taken(pushed: Pushed) -> None:
    chosen = HttpSettings(port=pushed.reader.port, token=SecretStr(TOKEN))
    (check,) = HttpReader(chosen, Generic()).check()
    assert not check.ok
    with pytest.raises(SourceError, match="expected to listen"):
        next(HttpReader(chosen, Generic()).read(None))


# --- unix sockets


def unix(path: Path, **more: Any) -> UnixReader:
    return UnixReader(UnixSettings(path=path, poll_s=0.3, **more), Auditd())


def take(reader: UnixReader) -> list[bytes]:
    return [record.value for page in reader.read(None) for record in page.records]


def test_connects_to_what_audisp_listens_on(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "audispd_events"))
    server.listen()
    reader = unix(tmp_path / "audispd_events")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(take, reader)
        writer, _ = server.accept()
        writer.sendall(b"type=A msg=1\ntype=B m")
        writer.sendall(b"sg=2\n")
        assert found.result(120) == [b"type=A msg=1", b"type=B msg=2"]
        found = pool.submit(take, reader)
        writer.sendall(b"last")
        writer.close()
        with pytest.raises(SourceError, match="closed it"):
            found.result(120)
    server.close()
    reader.close()


@pytest.mark.parametrize("kind", ["stream", "dgram"])
def test_listens_where_others_write(tmp_path: Path, kind: str) -> None:
    reader = unix(tmp_path / "log.sock", mode="listen", kind=kind)
    reader._open()
    assert (tmp_path / "log.sock").stat().st_mode & 0o777 == 0o600
    writer = socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM
    )
    writer.connect(str(tmp_path / "log.sock"))
    for text in (b"<13>one\n", b"<13>two\n"):
        writer.send(text)
    writer.close()
    assert [value.strip() for value in take(reader)] == [b"<13>one", b"<13>two"]
    reader.close()
    assert not (tmp_path / "log.sock").exists()


def test_no_socket_and_a_socket_that_a_killed_run_left(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a socket"):
        take(unix(tmp_path / "none"))
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))
    left.close()
    (check,) = unix(tmp_path / "left").check()
    assert not check.ok
    reader = unix(tmp_path / "left", mode="listen")
    assert take(reader) == []
    reader.close()
