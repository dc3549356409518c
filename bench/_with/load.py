"""Users of the API: each asks, waits for the answer, and asks again, at most every ``every_s``.

``python -m bench._with.load FILE`` in a process of its own, so that its CPU time is not that
of what it measures; FILE holds a `Plan` as JSON and gets a `Result`. The client is no library
but a protocol on asyncio that understands what our server sends (``Content-Length``, kept-alive
connections), since a library would take more time than the server.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.measure import percentile


class _Connection(asyncio.Protocol):
    """One kept-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the future is its status once the whole answer is here."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        end = held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(held[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if len(held) >= end + 4 + length and self._answer is not None:
            held.clear()
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Run the users for the seconds of the plan and return what they saw."""
    url = urlsplit(plan["url"])
    took: dict[str, list[float]] = {name: [] for name in plan["mix"]}
    errors = 0
    loop = asyncio.get_running_loop()
    warm, end = loop.time() + plan["warm_s"], loop.time() + plan["warm_s"] + plan["seconds"]
    head = f"Host: {url.netloc}\r\nAuthorization: Bearer {plan['token']}\r\n\r\n"
    names, every = list(plan["mix"]), plan.get("every_s", 0)
    weights = [plan["mix"][name]["weight"] for name in names]

    async def user(seed: int) -> None:
        nonlocal errors
        chance = random.Random(seed)
        _, connection = await loop.create_connection(_Connection, url.hostname, url.port)
        await asyncio.sleep(chance.random() * every)
        while (begun := loop.time()) < end:
            (name,) = chance.choices(names, weights)
            path = chance.choice(plan["mix"][name]["paths"])
            status = await connection.ask(f"GET {path} HTTP/1.1\r\n{head}".encode())
            if begun >= warm:
                took[name].append(loop.time() - begun)
                errors += status != 200
            if every:
                await asyncio.sleep(begun + every - loop.time())
        connection.transport.close()

    await asyncio.gather(*(user(number) for number in range(plan["users"])))
    every = sorted(second for seconds in took.values() for second in seconds)
    return {
        "requests_per_s": round(len(every) / plan["seconds"]),
        "p50_ms": _ms(every, 50),
        "p95_ms": _ms(every, 95),
        "p99_ms": _ms(every, 99),
        "errors": errors,
        "p95_of": {name: _ms(seconds, 95) for name, seconds in took.items() if seconds},
    }


def _ms(seconds: list[float], percent: int) -> float:
    return round(1000 * percentile(seconds, percent), 1) if seconds else 0.0


if __name__ == "__main__":
    given = Path(sys.argv[1])
    result = asyncio.run(run(json.loads(given.read_text())))
    result["cpu_s"] = round(time.process_time(), 1)
    given.with_suffix(".result").write_text(json.dumps(result))
