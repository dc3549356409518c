"""Suppressions, windows, budgets and tunings as data, and which of them holds for an alert."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from detectors.suppress.scope import Scope
from detectors.suppress.tuning import EVERYONE, Tunings

Kind = Literal["suppression", "maintenance", "budget", "tuning"]
_GLOB: Final = frozenset("*?[")


class Weekly(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """Hours of a week in which a maintenance window is open.

    Attributes
    ----------
    days
        On which it opens: 0 is Monday, 6 Sunday.
    start, to
        Times of day, ``02:00`` to ``04:30``; where `to` is not later, it ends the day after.
    zone
        IANA time zone of both.

    Examples
    --------
    >>> sunday = Weekly((6,), "23:00", "01:00")
    >>> [sunday.covers(ms) for ms in (1_767_567_600_000, 1_767_574_800_000)]
    [True, False]
    """

    days: tuple[int, ...]
    start: str
    to: str
    zone: str = "UTC"

    def covers(self, time: int) -> bool:
        """Return whether the window is open at `time`, ms since the epoch."""
        try:
            at = datetime.fromtimestamp(time / 1000, UTC).astimezone(ZoneInfo(self.zone))
        except (OverflowError, ValueError, OSError):
            return False  # a time that no calendar has
        minute, opens, ends = 60 * at.hour + at.minute, minutes(self.start), minutes(self.to)
        if opens < ends:
            return at.weekday() in self.days and opens <= minute < ends
        before = (at.weekday() - 1) % 7
        return (at.weekday() in self.days and minute >= opens) or (
            before in self.days and minute < ends
        )


def minutes(text: str) -> int:
    """Return a time of day in minutes.

    >>> minutes("02:30")
    150
    """
    hour, _, minute = text.partition(":")
    return 60 * int(hour) + int(minute)


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table ``suppressions``; times are ms since the epoch, UTC.

    Attributes
    ----------
    starts, expires
        From when on, and until when (exclusive): by arrival, or of a maintenance window by event
        time.
    removed
        When someone ended it before its time: what arrived by then stays as it was decided.
    disabled, staged, severity, threshold
        Of a tuning: what it sets, see `detectors.suppress.tuning`.
    learned
        It was made of dispositions: what a person says counts before it.
    """

    tenant: str
    id: str
    kind: Kind
    scope: Scope
    starts: int
    expires: int
    removed: int | None = None
    weekly: Weekly | None = None
    per_hour: int | None = None
    per_day: int | None = None
    disabled: bool | None = None
    staged: bool | None = None
    severity: int | None = None
    threshold: float | None = None
    learned: bool = False

    def live(self, arrived: int, times: Sequence[int]) -> bool:
        """Return whether it holds for events of these times of which the last came at `arrived`."""
        if self.removed is not None and arrived >= self.removed:
            return False
        if self.kind != "maintenance":
            return self.starts <= arrived < self.expires
        return all(
            self.starts <= time < self.expires and (self.weekly is None or self.weekly.covers(time))
            for time in times
        )


class Policy:
    """All of them, found quickly: most name the rules they are about.

    Parameters
    ----------
    rows
        In any order; of several that hold for an alert the one with the lowest id is named.
    """

    def __init__(self, rows: Iterable[Suppression] = ()) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: row.id))
        self._named: dict[tuple[str, str], list[Suppression]] = defaultdict(list)
        self._others: dict[str, list[Suppression]] = defaultdict(list)
        self._budgets: dict[str, list[Suppression]] = defaultdict(list)
        self.tunings = Tunings(row for row in self.rows if row.kind == "tuning")
        for row in self.rows:
            if row.kind == "tuning":
                continue
            if row.kind == "budget":
                self._budgets[row.tenant].append(row)
            elif row.scope.rules and not any(_GLOB & set(rule) for rule in row.scope.rules):
                for rule in row.scope.rules:
                    self._named[row.tenant, rule].append(row)
            else:
                self._others[row.tenant].append(row)

    def suppressed(self, alert: Mapping[str, Any], arrived: int, times: Sequence[int]) -> str:
        """Return the id of what suppresses an alert, "" where nothing does.

        Parameters
        ----------
        alert
            What of it a scope may ask for, see `Scope`, and its `tenant`.
        arrived
            When the last of the events that are new with it arrived, ms since the epoch.
        times
            When those happened.
        """
        found = [
            row.id
            for tenant in (alert["tenant"], EVERYONE)
            for rows in (
                self._named.get((tenant, alert.get("rule_id", "")), ()),
                self._others.get(tenant, ()),
            )
            for row in rows
            if row.live(arrived, times) and row.scope.holds(alert)
        ]
        return min(found, default="")

    def budgets(self, alert: Mapping[str, Any], arrived: int) -> list[Suppression]:
        """Return the budgets that an alert counts towards."""
        return [
            row
            for tenant in (alert["tenant"], EVERYONE)
            for row in self._budgets.get(tenant, ())
            if row.live(arrived, ()) and row.scope.holds(alert)
        ]
