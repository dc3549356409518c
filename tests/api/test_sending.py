"""What is written in one turn of the event loop is sent at once, in order, and never lost."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx

from api.sending.joined import MOST_HELD, Joined


class Line(asyncio.Transport):
    """Remembers what was handed to it, in which pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[bytes]] = []
        self.closed = False

    def writelines(self, list_of_data: Any) -> None:
        self.sent.append(list(list_of_data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def joined() -> tuple[Line, asyncio.Transport]:
    line = Line()
    return line, cast(asyncio.Transport, Joined(line))


async def test_head_and_body_go_together() -> None:
    line, transport = joined()
    for piece in (b"head", b"", b"body"):
        transport.write(piece)
    assert line.sent == []
    await asyncio.sleep(0)
    assert line.sent == [[b"head", b"body"]]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert line.sent == [[b"head", b"body"], [b"next"]]


async def test_no_more_is_held_back_than_flow_control_may_miss() -> None:
    line, transport = joined()
    large = bytes(MOST_HELD)
    transport.write(b"head")
    transport.write(large)
    assert line.sent == [[b"head", large]]
    await asyncio.sleep(0)
    assert len(line.sent) == 1


async def test_what_was_written_before_the_end_is_sent() -> None:
    line, transport = joined()
    transport.write(b"last")
    transport.close()
    assert (line.sent, transport.is_closing()) == ([[b"last"]], True)
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert line.sent == [[b"last"]]


async def test_answers_of_any_size_arrive_over_one_connection(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for encoding in ("gzip", "identity"):
            answer = await client.get("/openapi.json", headers={"Accept-Encoding": encoding})
            assert answer.json()["info"]["title"] == "Sentinel"
            assert answer.headers["vary"] == "Accept-Encoding"
            assert answer.headers.get("content-encoding", "identity") == encoding
            assert (await client.get("/health")).status_code == 200
        assert (await client.head("/health")).content == b""
