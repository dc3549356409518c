"""When a message is due: at once, with the next digest, or when quiet hours end."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sentinel.subscribers.model import Digest, Options, Quiet, rank

_PERIODS: Final = {"15m": 15, "1h": 60, "4h": 240}


class Due(NamedTuple):
    """When to send, and whether the message is held back until then."""

    at: datetime
    held: bool


def due(options: Options, now: datetime, severity: str) -> Due:
    """Return when an alert of `severity` that comes at `now` (aware) is due."""
    if options.urgent is not None and rank(severity) >= rank(options.urgent):
        return Due(now, held=False)
    at = now
    if options.digest is not None:
        at = _next_digest(options.digest, at)
    if options.quiet is not None:
        at = _after(options.quiet, at)
    if at > now:
        return Due(at, held=True)
    if options.batch_size > 1:
        at = now + timedelta(seconds=options.batch_wait_s)
    return Due(at, held=False)


def _next_digest(digest: Digest, now: datetime) -> datetime:
    """Return the first digest after `now`."""
    here = now.astimezone(ZoneInfo(digest.timezone))
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    if digest.every == "1d":
        at = datetime.combine(here.date(), time.fromisoformat(digest.at), here.tzinfo)
        return at if at > here else _tomorrow(at)
    period = timedelta(minutes=_PERIODS[digest.every])
    passed = here.replace(tzinfo=None) - midnight.replace(tzinfo=None)
    naive = midnight.replace(tzinfo=None) + (passed // period + 1) * period
    found = naive.replace(tzinfo=here.tzinfo)
    # Where the clocks go back an hour comes twice, and what was found may lie before now.
    return found if found.timestamp() > now.timestamp() else now + period


def _tomorrow(at: datetime) -> datetime:
    return datetime.combine(at.date() + timedelta(days=1), at.timetz())


def _after(quiet: Quiet, now: datetime) -> datetime:
    """Return the end of the quiet hours that `now` lies in, else `now`."""
    here = now.astimezone(ZoneInfo(quiet.timezone))
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    for back in (1, 0):  # those that began yesterday, those of today
        day = here.date() - timedelta(days=back)
        if day.isoweekday() not in quiet.weekdays:
            continue
        first = datetime.combine(day, start, here.tzinfo)
        over = day + timedelta(days=end <= start)
        last = datetime.combine(over, end, here.tzinfo)
        if first.timestamp() <= now.timestamp() < last.timestamp():
            return last
    return now
