"""Which objects have been read: the position of a reader that lists a bucket.

A root (`connectors._aws.objects.layout.Root`) is read in two ways. Days are *walked*, oldest
first, in the order of their keys: the last key is all there is to remember. But objects do
not appear in the order of their keys (GuardDuty's are random, replication is late), so a day
stays *open* until it is `late` over, and is *swept* again and again until then: whatever was
written after the newest object known, less `late`, and is not among those seen, is new.

So an object is lost only if it appears more than `late` after its own time of writing, or
after the end of its day; ``sentinel reconcile`` finds those.

Seen are 8 bytes of a hash of each key, by the hour in which it was written: with 50,000 of
them, two keys have the same one once in 10^10 cases.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from connectors._reading.base import Position, SourceError
from sentinel import log

LOG = log.get(__name__)
MAX_SEEN: Final = 50_000
"""Keys remembered in all; with more, the oldest hours are forgotten, and `late` is less."""
_WIDTH: Final = 8
_HOUR: Final = 3600
UNDATED: Final = date.max


class Found(NamedTuple):
    """An object as it was listed: key, bytes, and when it was written (seconds, UTC)."""

    key: str
    size: int
    written: int
    storage: str = "STANDARD"


def _hash(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_WIDTH).digest()


@dataclass(slots=True)
class Mark:
    """What is known of an open day.

    Attributes
    ----------
    newest
        When the newest object that was read was written.
    floor
        What was written before it counts as read: those seen had to be forgotten.
    seen
        Hashes of keys by hour of writing.
    """

    newest: int = 0
    floor: int = 0
    seen: dict[int, set[bytes]] = field(default_factory=dict)

    def is_new(self, found: Found, late_s: int) -> bool:
        """Return whether an object has not been read."""
        if found.written <= max(self.newest - late_s, self.floor - 1):
            return False
        hour = self.seen.get(found.written // _HOUR)
        return hour is None or _hash(found.key) not in hour

    def add(self, found: Found, late_s: int) -> None:
        """Remember that an object was read."""
        self.seen.setdefault(found.written // _HOUR, set()).add(_hash(found.key))
        if found.written > self.newest:
            self.newest = found.written
            least = (self.newest - late_s) // _HOUR
            for hour in [hour for hour in self.seen if hour < least]:
                del self.seen[hour]

    def forget(self) -> int:
        """Forget the oldest hour, but never the newest; return how many keys that were."""
        if len(self.seen) < 2:
            return 0
        hour = min(self.seen)
        self.floor = (hour + 1) * _HOUR
        return len(self.seen.pop(hour))

    def dump(self) -> list[Any]:
        """Return JSON."""
        hours = {
            str(hour): b64encode(b"".join(sorted(keys))).decode()
            for hour, keys in self.seen.items()
        }
        return [self.newest, self.floor, hours]

    @classmethod
    def load(cls, stored: list[Any]) -> Mark:
        """Return what `dump` returned."""
        seen = {}
        for hour, packed in stored[2].items():
            keys = b64decode(packed)
            seen[int(hour)] = {keys[at : at + _WIDTH] for at in range(0, len(keys), _WIDTH)}
        return cls(int(stored[0]), int(stored[1]), seen)


@dataclass(slots=True)
class Walk:
    """How far one root is.

    Attributes
    ----------
    open
        The first day that was walked while it was open, and may have got more since.
    next
        The first day that was not walked to its end; `UNDATED` once that was done with a root
        without days.
    after
        Last key read of the day `next`.
    marks
        Of open days; ``""`` stands for all of a root without days.
    """

    open: date
    next: date
    after: str = ""
    marks: dict[str, Mark] = field(default_factory=dict)

    def dump(self) -> list[Any]:
        """Return JSON."""
        marks = {day: mark.dump() for day, mark in self.marks.items()}
        return [self.open.isoformat(), self.next.isoformat(), self.after, marks]

    @classmethod
    def load(cls, stored: list[Any]) -> Walk:
        """Return what `dump` returned."""
        marks = {day: Mark.load(mark) for day, mark in stored[3].items()}
        opened, following = map(date.fromisoformat, stored[:2])
        return cls(opened, following, stored[2], marks)

    def walked(self, found: Found, day: date | None, clock: Clock) -> None:
        """Note that an object was read in the order of its key."""
        if day is not None:
            self._reach(day, clock)
        self.after = found.key
        if day is None or clock.is_open(day) or self.open < self.next:
            self.swept(found, day, clock)

    def swept(self, found: Found, day: date | None, clock: Clock) -> None:
        """Note that an object was read although its key is not the next."""
        mark = self.marks.setdefault(day.isoformat() if day else "", Mark())
        mark.add(found, clock.late_s)

    def is_new(self, found: Found, day: date | None, clock: Clock) -> bool:
        """Return whether an object of a day that was walked has not been read."""
        mark = self.marks.get(day.isoformat() if day else "")
        return mark is None or mark.is_new(found, clock.late_s)

    def end_of_walk(self, day: date | None, clock: Clock) -> None:
        """Note that a day, or all of a root without days, was walked to its end."""
        self.after = ""
        self._reach(day + timedelta(days=1) if day else UNDATED, clock)

    def _reach(self, day: date, clock: Clock) -> None:
        """Note that all days before `day` were walked."""
        if day > self.next:
            settled, before = self.open >= self.next, self.next
            self.next = day
            if settled:  # no earlier day is open
                self.open = min(day, max(before, clock.horizon))

    def end_of_sweep(self, day: date, clock: Clock) -> None:
        """Note that a day was swept."""
        if self.open == day and not clock.is_open(day):
            self.open = day + timedelta(days=1)
            self.marks.pop(day.isoformat(), None)


class Clock(NamedTuple):
    """When a reading began, and how long a day stays open after its end."""

    now: datetime
    late_s: int

    @property
    def horizon(self) -> date:
        """The first day that is open."""
        return (self.now - timedelta(seconds=self.late_s)).date()

    def is_open(self, day: date) -> bool:
        """Return whether more may be written to a day."""
        return day >= self.horizon


class Progress:
    """The position of a reader: `Walk` by root, and how far it is in objects read in part.

    Parameters
    ----------
    position
        What `position` returned, or None.
    """

    def __init__(self, position: Position | None) -> None:
        stored = position or {}
        self.walks = {root: Walk.load(walk) for root, walk in stored.get("roots", {}).items()}
        #: Of objects that were read in part, how many of their records; by key.
        self.parts: dict[str, int] = dict(stored.get("parts", {}))
        self._warned = False

    def position(self) -> Position:
        """Return JSON.

        Raises
        ------
        SourceError
            More objects are written in an hour than can be remembered.
        """
        self._bound()
        found: Position = {"roots": {root: walk.dump() for root, walk in self.walks.items()}}
        return found | ({"parts": dict(self.parts)} if self.parts else {})

    def _bound(self) -> None:
        """Forget the oldest hours where there are more than `MAX_SEEN` keys."""
        marks = [mark for walk in self.walks.values() for mark in walk.marks.values()]
        count = sum(len(keys) for mark in marks for keys in mark.seen.values())
        while count > MAX_SEEN:
            oldest = min((mark for mark in marks if len(mark.seen) > 1), key=_first, default=None)
            if oldest is None:
                raise SourceError(
                    f"expected at most {MAX_SEEN} objects an hour, found {count}; split the "
                    "input by accounts or regions, or read by notification (s3-sqs)"
                )
            count -= oldest.forget()
            if not self._warned:
                self._warned = True
                LOG.warning(
                    "more objects than can be remembered: late ones are found for less long; "
                    "split the input, or read by notification (s3-sqs)",
                    action="s3_seen_full",
                    seen=MAX_SEEN,
                )


def _first(mark: Mark) -> int:
    return min(mark.seen)
