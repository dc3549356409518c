"""Time, passed in: the machine's, or one that tests move."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock in whole µs that never goes back."""

    def now(self) -> int:
        """Return the time, µs since any fixed moment."""
        ...

    def sleep(self, us: int) -> None:
        """Let `us` µs pass."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> int:
        """Return the time, µs."""
        return time.monotonic_ns() // 1000

    def sleep(self, us: int) -> None:
        """Wait."""
        time.sleep(us / 1e6)


class ManualClock:
    """A clock that stands still unless told to go on.

    >>> clock = ManualClock()
    >>> clock.sleep(1500)
    >>> clock.now()
    1500
    """

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        """Return the time, µs."""
        return self._now

    def sleep(self, us: int) -> None:
        """Go on at once."""
        self._now += us


class PacedClock:
    """The machine's clock for a process that must not wait: time that passes is owed.

    A device is busy while it is programmed; what it does next happens after that, but whoever
    calls goes on at once.

    >>> clock = PacedClock()
    >>> before = clock.now()
    >>> clock.sleep(10_000_000)
    >>> clock.now() >= before + 10_000_000
    True
    """

    def __init__(self) -> None:
        self._free = 0

    def now(self) -> int:
        """Return the time, µs, or that at which the device is free again, if later."""
        return max(time.monotonic_ns() // 1000, self._free)

    def sleep(self, us: int) -> None:
        """Be busy for so long."""
        self._free = self.now() + us
