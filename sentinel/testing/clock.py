"""A clock that tests move."""

from __future__ import annotations


class Clock:
    """A clock that moves only when told to; call it for the seconds since the epoch."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in seconds since the epoch, UTC."""
        return self.now

    def ms(self) -> int:
        """Return the time, in milliseconds since the epoch, UTC."""
        return int(self.now * 1000)

    def move(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds
