"""Rate limits and quotas over all processes, in windows of a minute, by the library ``limits``.

A request is counted and judged in memory. Each second what was counted since goes to one
table of PostgreSQL, and what the other processes counted of the same comes back (`settle`):
so a limit holds over all of them but for what they let through within that second. Without
the database each process goes on with what it knows. What must hold exactly, the lock-out
after wrong guesses, is in the database itself (`api.identity.login`).
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from api.deps import Database
from api.errors import Problem
from api.identity.sessions import SQL
from sentinel import log
from sentinel.settings import Settings

#: Seconds between two settlements of a process.
SETTLE_S: Final = 1.0
_log = log.get("api.rates")
#: Attempts to sign in a minute from one address.
SIGN_INS: Final = 20


class Quota(NamedTuple):
    """What a tenant may do; None is no limit of its own."""

    disabled: bool = False
    events_per_second: int | None = None
    requests_per_minute: int | None = None


NO_QUOTA: Final = Quota()


@dataclass(slots=True)
class _Window:
    """Until when it lasts (seconds since the epoch), what is settled, and what is not yet."""

    ends: float
    settled: int = 0
    own: int = 0


class Counts(Storage):
    """Counters of ``limits`` that know what other processes counted."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, _Window] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what may go wrong with counting: nothing."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount`; return the count of the window, which begins with its first."""
        now = time.time()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            window = self._windows[key] = _Window(now + expiry)
        window.own += amount
        return window.settled + window.own

    def get(self, key: str) -> int:
        """Return the count of the window."""
        window = self._windows.get(key)
        return 0 if window is None or window.ends <= time.time() else window.settled + window.own

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since the epoch."""
        window = self._windows.get(key)
        return time.time() if window is None else window.ends

    def check(self) -> bool:
        """Say that counting works."""
        return True

    def reset(self) -> int:
        """Forget all; return how many windows that were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one."""
        self._windows.pop(key, None)

    async def settle(self, everywhere: Database) -> None:
        """Tell what was counted here, learn what was elsewhere, forget what is over.

        Raises
        ------
        Problem
            503: the database cannot be reached; it is told with the next settlement.
        """
        now = time.time()
        self._windows = {key: each for key, each in self._windows.items() if each.ends > now}
        told = {key: (each, each.own) for key, each in self._windows.items() if each.own}
        if not told:
            return
        async with everywhere.writing() as connection:
            rows: Any = await connection.fetch(
                SQL["settle_counts"],
                sorted(told),  # one order, or two processes could wait for one another
                [told[key][0].ends for key in sorted(told)],
                [told[key][1] for key in sorted(told)],
                now,
            )
        for row in rows:
            window, own = told[row["key"]]
            window.ends, window.settled = row["ends"], row["count"]
            window.own -= own

    async def settle_for_ever(self, everywhere: Database) -> None:
        """Settle each `SETTLE_S`, whether or not the database is there."""
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                await self.settle(everywhere)
            except Problem as problem:
                _log.warning("rates of this process alone", action="rates", error=problem.detail)


class Rates:
    """What may be done how often.

    Parameters
    ----------
    settings
        ``api_address_per_min``, ``api_user_per_min``, ``api_tenant_per_min``; 0 is no limit.
    """

    def __init__(self, settings: Settings) -> None:
        self.counts = Counts()
        self._limiter = FixedWindowRateLimiter(self.counts)
        self._address = settings.api_address_per_min
        self._user = settings.api_user_per_min
        self._tenant = settings.api_tenant_per_min
        self.sign_ins = SIGN_INS

    def stranger(self, address: str) -> int:
        """Count a request without a valid credential; return the seconds to wait, 0 for none."""
        return self._hit("address", address, self._address)

    def exhausted(self, address: str) -> bool:
        """Say whether `address` has no request without a valid credential left."""
        most = self._address
        return most > 0 and not self._limiter.test(RateLimitItemPerMinute(most), "address", address)

    def request(self, tenant: str, subject: str, quota: Quota) -> int:
        """Count a request of a principal; return the seconds to wait, 0 for none."""
        waiting = self._hit("user", f"{tenant} {subject}", self._user)
        most = quota.requests_per_minute or self._tenant
        return waiting or self._hit("tenant", tenant, most)

    def sign_in(self, address: str) -> None:
        """Count an attempt to sign in; raise `Problem` (429) where there are too many."""
        if waiting := self._hit("sign-in", address, self.sign_ins):
            raise too_many(f"at most {self.sign_ins} attempts to sign in a minute", waiting)

    def events(self, tenant: str, quota: Quota, count: int) -> None:
        """Count events sent in; raise `Problem` (403, 413, 429) where `tenant` may not.

        The quota is one of events a second, kept over windows of a minute: a batch may be
        as large as a minute's worth.
        """
        if quota.disabled:
            raise Problem(403, f"expected a tenant in use, found {tenant}, which is switched off")
        if quota.events_per_second is None:
            return
        most = 60 * quota.events_per_second
        if count > most:
            raise Problem(
                413, f"body: expected at most {most} events, a minute's worth, found {count}"
            )
        if waiting := self._hit("events", tenant, most, count):
            per_second = quota.events_per_second
            raise too_many(f"at most {per_second} events a second of tenant {tenant}", waiting)

    def _hit(self, what: str, whose: str, most: int, cost: int = 1) -> int:
        if not most:
            return 0
        item: RateLimitItem = RateLimitItemPerMinute(most)
        if self._limiter.hit(item, what, whose, cost=cost):
            return 0
        ends = self._limiter.get_window_stats(item, what, whose).reset_time
        return max(1, math.ceil(ends - time.time()))


def too_many(expected: str, waiting: int) -> Problem:
    """Return the problem of one who asks too often (429)."""
    detail = f"expected {expected}, found more; try again in {waiting} s"
    return Problem(429, detail, {"Retry-After": str(waiting)})
