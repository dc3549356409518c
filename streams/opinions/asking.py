"""Ask services about alerts: each at its own pace, within its quota, with patience.

At least once: where a process dies between the answer and writing it down, the question is
asked again. A refusal (401, 402, 403: the key; 429: the quota) pauses the service for as long
as it says, else longer from time to time; what it was asked stays in line and counts no
attempt too many. Faults of one question (5xx, time-outs, answers that are none) are tried
again `ATTEMPTS` times, later each time. No key is ever logged or stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from sentinel import log, postgres
from sentinel.errors import SentinelError, SettingsError
from sentinel.settings import Settings
from sentinel.subscribers.egress import Egress
from streams.deliveries.book import Book
from streams.deliveries.http import Http, Reply
from streams.opinions import config, store
from streams.opinions.follow_up import follow_up
from streams.opinions.services.base import UNKNOWN, Opinion, Service
from streams.opinions.store import SQL, Turn
from streams.opinions.values import Asked, one

#: Of an answer, so much is read: a file's report at VirusTotal takes some 100 KB.
MOST_BYTES: Final = 4 << 20
ATTEMPTS: Final = 5
#: Seconds until a question is asked again, doubled each time; and a service that refuses.
AGAIN_S, REFUSED_S, KEY_S = 30.0, 60.0, 900.0
LONGEST_S: Final = 86_400.0
POLL_S: Final = 1.0
#: Seconds until a service is asked again after a fault that nobody foresaw.
FAULT_S: Final = 30.0
REFUSALS: Final = frozenset({401, 402, 403, 429})
NOT_FOUND, TOO_MANY = 404, 429
_log = log.get("streams.opinions")


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Asking:
    """Looks at new alerts and asks, until it is cancelled; `close` it.

    Parameters
    ----------
    settings
        `opinions` names the file, `deliver_allow` what may be reached though it is not public.
    pool
        In the role of workers, for all tenants; `once` needs none.
    book
        Who is told of answers; None: nobody.
    """

    def __init__(
        self,
        settings: Settings,
        pool: Any = None,
        book: Book | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._options = config.load(Path(settings.opinions))
        known = config.found()
        self._services: dict[str, Service] = {
            name: known[name]() for name in self._options.services
        }
        self._http = Http(Egress(settings.deliver_allow), MOST_BYTES)
        self._pool, self._book, self._now = pool, book, now

    async def run(self) -> None:
        """Look and ask for ever; a fault is logged, and holds up nobody else."""
        work = [self._ever(self.look), *(self._ever(self.step, each) for each in self._services)]
        await asyncio.gather(*work)

    async def close(self) -> None:
        """Disconnect; what was under way is asked again later."""
        await self._http.close()

    async def _ever(self, step: Callable[..., Any], *given: str) -> None:
        while True:
            try:
                async for attempt in postgres.retrying():
                    with attempt:
                        wait = await step(*given)
            except Exception:  # noqa: BLE001 - one service must not stop the others
                _log.exception("opinions wait", action="opinions_failed", service=" ".join(given))
                wait = FAULT_S
            await asyncio.sleep(wait)

    async def once(self, value: str) -> dict[str, Opinion | str]:
        """Ask every service about a value now; return its answer, or why there is none.

        Raises
        ------
        SettingsError
            It is nothing that is ever sent: see `streams.opinions.values`.
        """
        asked = one(value, self._options.never)
        if asked is None:
            raise SettingsError(
                "expected a public address, a hash or a domain name that is not your own, found "
                f"{value!r:.100}: nobody is asked about it"
            )
        found: dict[str, Opinion | str] = {}
        for name, service in self._services.items():
            if asked.kind not in service.kinds:
                found[name] = f"does not know a {asked.kind}"
                continue
            try:
                found[name] = self._read(name, asked, await self._request(name, asked))
            except (ValueError, SentinelError) as error:
                found[name] = str(error)
        return found

    async def look(self) -> float:
        """Write down what to ask of new alerts, and whom to tell; return the seconds until more."""
        await self._pool.execute(SQL["begin"])
        looked = await store.look(self._pool, self._options, self._services, self._now())
        if self._book is not None:
            async with self._pool.acquire() as connection:
                known = await self._book.read(connection)
            await follow_up(self._pool, known, self._services, self._now())
        return 0.0 if looked == store.ALERTS else POLL_S

    async def step(self, name: str) -> float:
        """Ask a service one question, if one is due; return the seconds until the next."""
        service, options = self._services[name], self._options.services[name]
        gap = timedelta(minutes=1) / (options.per_minute or service.per_minute)
        per_day = options.per_day or service.per_day
        turn = await store.turn(self._pool, name, gap, per_day, self._now())
        if turn.asked is None:
            return min(max(turn.wait.total_seconds(), POLL_S), 60.0)
        await self._take(name, turn, turn.asked, await self._request(name, turn.asked))
        return 0.0

    async def _request(self, name: str, asked: Asked) -> Reply:
        service, options = self._services[name], self._options.services[name]
        request = service.request(*asked, options.key)
        return await self._http.request(
            "GET",
            (options.url or service.url) + request.path,
            params=request.params,
            headers=request.headers,
            timeout_s=options.timeout_s,
        )

    async def _take(self, name: str, turn: Turn, asked: Asked, reply: Reply) -> None:
        """Write down what came of a question."""
        now = self._now()
        if reply.status in REFUSALS:
            wait = _pause_s(reply, turn.failures)
            reason = f"{self._services[name].title} answered {reply.status}"
            _log.warning("a service refuses", action="opinions_paused", service=name, wait_s=wait,
                         status=reply.status)  # fmt: skip
            until = now + timedelta(seconds=wait)
            await store.pause(self._pool, name, until, reason)
            await store.fail(self._pool, name, asked, reason, until, now, counts=False)
            return
        try:
            opinion = self._read(name, asked, reply)
        except (ValueError, SentinelError) as error:
            late = timedelta(seconds=AGAIN_S * 2 ** min(turn.attempt, 12))
            again = now + late if turn.attempt < ATTEMPTS else None
            await store.fail(self._pool, name, asked, str(error), again, now)
            return
        keep = timedelta(hours=self._options.keep_h)
        await store.answer(self._pool, name, asked, opinion, now, keep)

    def _read(self, name: str, asked: Asked, reply: Reply) -> Opinion:
        """Return what a reply says; raise ValueError where it says nothing."""
        if reply.status == NOT_FOUND:
            return UNKNOWN
        if not reply.ok:
            # Where a redirect leads is not said: it may repeat Shodan's key.
            raise ValueError(f"status {reply.status}" if reply.status else reply.error)
        return self._services[name].read(*asked, orjson.loads(reply.body))


def _pause_s(reply: Reply, failures: int) -> float:
    """Return for how long to leave a service alone, in seconds.

    >>> _pause_s(Reply(429, retry_after_s=7.0), 0), _pause_s(Reply(429), 2)
    (7.0, 240.0)
    """
    if reply.retry_after_s is not None:
        return min(max(reply.retry_after_s, 1.0), LONGEST_S)
    first = REFUSED_S if reply.status == TOO_MANY else KEY_S
    return float(min(first * 2 ** min(failures, 10), LONGEST_S))
