"""Rate limits and quotas, counted in windows of a minute by the library ``limits``.

Each process counts on its own and forgets with its end: with several API processes behind
one address, divide the limits by their number. What must hold over all of them, the lock-out
after wrong guesses, is in the database (`api.identity.login`).
"""

from __future__ import annotations

import math
import time
from typing import Final, NamedTuple

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.errors import Problem
from sentinel.settings import Settings

#: Attempts to sign in a minute from one address.
SIGN_INS: Final = 20


class Quota(NamedTuple):
    """What a tenant may do; None is no limit of its own."""

    disabled: bool = False
    events_per_second: int | None = None
    requests_per_minute: int | None = None


NO_QUOTA: Final = Quota()


class Rates:
    """The counts of this process.

    Parameters
    ----------
    settings
        ``api_address_per_min``, ``api_user_per_min``, ``api_tenant_per_min``; 0 is no limit.
    """

    def __init__(self, settings: Settings) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
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
