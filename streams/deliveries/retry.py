"""When to try again: the schedule of Standard Webhooks 1.0.0, with jitter, and ``Retry-After``."""

from __future__ import annotations

import random
from typing import Final

#: Seconds from one attempt to the next; the first is made at once. About 75 hours in all.
SCHEDULE: Final = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: Each wait is up to this much longer, so that many do not come back together.
JITTER: Final = 0.2
LONGEST_S: Final = 86_400.0


def wait_s(step: int, retry_after_s: float | None, chance: random.Random) -> float | None:
    """Return the seconds until the attempt number `step` (the first is 0), None: no more.

    What the receiver asks for makes it later, never sooner.

    >>> chance = random.Random(1)
    >>> wait_s(1, None, chance) >= 5, wait_s(1, 60.0, chance), wait_s(10, 1.0, chance)
    (True, 60.0, None)
    """
    if step >= len(SCHEDULE):
        return None
    own = SCHEDULE[step] * (1 + JITTER * chance.random())
    return max(own, min(retry_after_s or 0.0, LONGEST_S))
