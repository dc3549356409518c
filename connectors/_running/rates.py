"""How much usually arrives of a source at this hour, and when far less does.

What is expected of an hour is the lowest seventh of what the same hour of the last 14 days
brought, once a week is known: quieter days, such as the two of a weekend, are among what is usual.
A source is silent when a window that usually brings at least `ENOUGH` events has brought less
than a tenth of that; the window is as short as that allows, from 15 minutes to 6 hours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Key = tuple[str, str]
HOUR_S: Final = 3600
DAYS: Final = 14
#: Days of the same hour that have to be known, and the quantile of them that is expected.
LEAST_DAYS: Final = 7
QUANTILE: Final = 1 / 7
#: Minutes; the first in which enough is expected is judged.
WINDOWS: Final = (15, 30, 60, 120, 240, 360)
ENOUGH: Final = 20.0
#: Parts of what is expected below which a source is silent, and from which it speaks again.
SILENT, SPEAKS = 0.1, 0.5
#: Seconds of an hour that have to be watched for it to be known.
WATCHED_S: Final = 3000
#: Pairs of tenant and source; more are not watched.
MOST: Final = 150


class Change(NamedTuple):
    """A source fell silent, or speaks again."""

    kind: str
    tenant: str
    source: str
    expected: float
    found: int
    minutes: int


class _Source:
    """One source of one tenant."""

    def __init__(self) -> None:
        self.hours: dict[int, int] = {}
        self.recent: deque[tuple[float, int]] = deque()
        self.silent = False
        self.since = 0


class Rates:
    """Learns and judges; give it the counts every few minutes."""

    def __init__(self) -> None:
        self._sources: dict[Key, _Source] = {}
        self._totals: dict[Key, int] = {}
        #: Seconds watched of each hour since the epoch.
        self._watched: dict[int, float] = {}
        self._last = 0.0
        self._started = 0.0

    def add(self, now: float, totals: Mapping[Key, int]) -> list[Change]:
        """Take the events counted so far of each tenant and source; return what changed.

        Parameters
        ----------
        now
            Seconds since the epoch, UTC.
        totals
            Since the beginning; one that became smaller began anew.
        """
        if not self._last or not 0 < now - self._last < HOUR_S:
            self._started = now  # what came while no one watched belongs to no hour
            self._totals = dict(totals)
        hour = int(now // HOUR_S)
        self._watched[hour] = self._watched.get(hour, 0.0) + (
            now - self._last if self._started < now else 0.0
        )
        self._last = now
        for key, total in totals.items():
            self._count(key, total, now, hour)
        self._forget(hour)
        found = (self._judge(key, source, now) for key, source in self._sources.items())
        return [change for change in found if change is not None]

    def _count(self, key: Key, total: int, now: float, hour: int) -> None:
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= MOST:
                return
            source = self._sources[key] = _Source()
            source.since = hour
        before = self._totals.get(key, 0)
        new = total - before if total >= before else total
        self._totals[key] = total
        if new:
            source.hours[hour] = source.hours.get(hour, 0) + new
        source.recent.append((now, new))
        while source.recent and source.recent[0][0] < now - WINDOWS[-1] * 60:
            source.recent.popleft()

    def _forget(self, hour: int) -> None:
        """Drop hours that are too old."""
        oldest = hour - 24 * DAYS - 24
        self._watched = {each: n for each, n in self._watched.items() if each >= oldest}
        for source in self._sources.values():
            if source.hours and next(iter(source.hours)) < oldest:
                source.hours = {each: n for each, n in source.hours.items() if each >= oldest}

    def _usual(self, source: _Source, hour: int) -> float | None:
        """Return what an hour usually brings; None where that is not known yet."""
        same = [hour - 24 * day for day in range(1, DAYS + 1)]
        known = sorted(
            source.hours.get(each, 0)
            for each in same
            if each >= source.since and self._watched.get(each, 0) >= WATCHED_S
        )
        return float(known[int(QUANTILE * len(known))]) if len(known) >= LEAST_DAYS else None

    def _judge(self, key: Key, source: _Source, now: float) -> Change | None:
        """Return whether a source fell silent or speaks again."""
        for minutes in WINDOWS:
            start = now - 60 * minutes
            expected = self._expected(source, start, now)
            if expected is None or start < self._started:
                return None
            if expected < ENOUGH:
                continue
            found = sum(count for at, count in source.recent if at > start)
            kind = ""
            if not source.silent and found < SILENT * expected:
                kind, source.silent = "silence", True
            elif source.silent and found >= SPEAKS * expected:
                kind, source.silent = "resumed", False
            return Change(kind, *key, round(expected, 1), found, minutes) if kind else None
        return None

    def _expected(self, source: _Source, start: float, end: float) -> float | None:
        """Return what is usual between two times; None where an hour is not known."""
        expected = 0.0
        for hour in range(int(start // HOUR_S), int(end // HOUR_S) + 1):
            usual = self._usual(source, hour)
            if usual is None:
                return None
            part = min(end, (hour + 1) * HOUR_S) - max(start, hour * HOUR_S)
            expected += usual * part / HOUR_S
        return expected

    def snapshot(self) -> dict[str, Any]:
        """Return what was learnt, as JSON; the counts of the last hours are not in it."""
        return {
            "watched": {str(hour): int(seconds) for hour, seconds in self._watched.items()},
            "sources": [
                [*key, source.since, source.silent, {str(h): n for h, n in source.hours.items()}]
                for key, source in self._sources.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `snapshot` returned."""
        self._watched = {int(hour): float(n) for hour, n in state.get("watched", {}).items()}
        for tenant, name, since, silent, hours in state.get("sources", ()):
            source = self._sources[tenant, name] = _Source()
            source.since, source.silent = since, silent
            source.hours = {int(hour): count for hour, count in hours.items()}
