"""Reading an API by spans of time, so that nothing is missed that arrives late, and nothing twice.

APIs of audit logs answer "what happened from … to …", and show some events minutes after they
happened. What was younger than `look_back_s` when it was read may not have been all there was:
the next span begins there again, and the ids of what was read since are remembered. What was
older is not asked for twice. A span counts as read only when all its pages were: in what order
the pages and the events in them come does not matter, and after a crash in the middle the span
is asked for anew, without what was already handed on.

Delivery: an event that shows up within `look_back_s` of its time is read, once. The ids kept are
bounded (`MOST`); beyond that what is read again comes again, under the same id. What shows up
later still is not read: ``sentinel reconcile`` finds it.
"""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from base64 import b85encode
from collections.abc import Callable, Iterable, Iterator, Sized
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from connectors._reading.base import (
    Check,
    DeniedError,
    Listed,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.paging import Pile
from connectors.base import Connector

MOST: Final = 20_000
"""Ids remembered at most: 20,000 take 600 kB of the position."""
_BUSY: Final = MOST // 8
"""Events of a span from which on the next one is made shorter."""
_SHORTEST_S: Final = 10.0
TRIES: Final = 8
"""How often at most a span that is listed is asked for."""
_PAUSE_S: Final = (1.0, 120.0)
"""Seconds between two of these, at least and at most."""


class WindowSettings(ReaderSettings):
    """Settings of readers that ask by spans of time."""

    look_back_s: float = Field(
        900.0, ge=0, description="Seconds after their time within which events may still show up."
    )
    window_s: float = Field(
        3600.0, ge=_SHORTEST_S, description="Longest span of time asked for at once, in seconds."
    )


class Event(NamedTuple):
    """One event of an answer.

    Attributes
    ----------
    id
        Its name at the source, the same whenever it is read.
    time
        The time by which the source was asked, seconds since the epoch, UTC.
    value
        Its bytes.
    """

    id: str
    time: float
    value: bytes


class Windows:
    """Which span comes next, and what of it was read before.

    Parameters
    ----------
    position
        What `position` returned, or None.
    since, now
        Where to begin without a position, and where to end; seconds since the epoch.
    """

    def __init__(
        self, position: Position | None, since: float, now: float, settings: WindowSettings
    ) -> None:
        known = position or {}
        self._done = float(known.get("done", since))
        #: Up to here there was nothing more to come when it was read.
        self._sure = float(known.get("sure", self._done))
        self._step = min(float(known.get("step", settings.window_s)), settings.window_s)
        self._ids: dict[str, float] = dict(known.get("ids", {}))
        self._settings = settings
        self._now = now
        self._end = self._done
        self._count = 0

    def span(self) -> tuple[float, float] | None:
        """Return the span to ask for, from and to; None where there is no more for now."""
        if self._done >= self._now:
            return None
        self._end = min(self._done + self._step, self._now)
        self._count = 0
        return min(self._sure, self._done), self._end

    def is_new(self, event: Event) -> bool:
        """Say whether an event was not read before, and remember that it now was."""
        digest = hashlib.blake2b(event.id.encode(errors="surrogatepass"), digest_size=9).digest()
        name = b85encode(digest).decode()
        if name in self._ids:
            return False
        self._count += 1
        self._ids[name] = round(event.time)
        if len(self._ids) > MOST:
            del self._ids[next(iter(self._ids))]
        return True

    def finish(self) -> None:
        """Count the span as read; forget ids that no later span can bring again."""
        self._done = self._end
        sure = min(self._done, self._now - self._settings.look_back_s)
        self._sure = max(self._sure, sure)
        floor = self._sure - 1  # times are remembered in whole seconds
        self._ids = {name: when for name, when in self._ids.items() if when >= floor}
        if self._count > _BUSY:
            self._step = max(_SHORTEST_S, self._step / 2)
        elif self._count < _BUSY // 4:
            self._step = min(self._settings.window_s, self._step * 2)

    def position(self) -> Position:
        """Return where to go on."""
        return {
            "done": self._done,
            "sure": self._sure,
            "step": self._step,
            "ids": dict(self._ids),
        }

    @property
    def lag_s(self) -> float:
        """Seconds up to now that were not read."""
        return max(0.0, self._now - self._done)


class WindowReader(Reader):
    """Reads by spans of time; a subclass answers one span, page by page.

    Attributes
    ----------
    oldest_s
        How far back to begin without `since`: how long the source keeps events, in seconds.
    """

    Settings: ClassVar[type[ReaderSettings]] = WindowSettings
    lists_events: ClassVar[bool] = True
    oldest_s: ClassVar[float] = 30 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        #: Returns the time, seconds since the epoch.
        self.clock = time.time

    @abstractmethod
    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield the events from `start` to before `end`, in pages; raises as `read` does."""

    def newest_day(self, what: str, ask: Callable[[datetime, datetime], Iterator[Sized]]) -> Check:
        """Return whether the last day can be asked for, of which `ask` yields pages.

        Parameters
        ----------
        what
            What is asked, for whoever reads the check.
        ask
            Is called with where the day begins and ends; only its first page is read.
        """
        end = datetime.fromtimestamp(self.clock(), UTC)
        try:
            found = next(ask(end - timedelta(days=1), end))
        except SourceError as error:
            return Check(what, ok=False, detail=str(error))
        said = "the newest day has events" if len(found) else "no event in a day"
        return Check(what, ok=True, detail=said)

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield what is new up to now; see the module for what is guaranteed."""
        now = self.clock()
        since = self.settings.since
        begin = since.timestamp() if since else now - self.oldest_s
        windows, pile = Windows(position, begin, now, self.settings), Pile()
        while (span := windows.span()) is not None and not self.stopping.is_set():
            for events in self.pages(*(datetime.fromtimestamp(when, UTC) for when in span)):
                yield from self._page(windows, pile, events)
                if self.stopping.is_set():
                    return
            windows.finish()
            yield pile.page(windows.position(), windows.lag_s)

    @staticmethod
    def _page(windows: Windows, pile: Pile, events: Iterable[Event]) -> Iterator[Page]:
        """Yield what is new of one page of the source, in pages of ours."""
        for event in events:
            if not windows.is_new(event):
                pile.skip("seen_before")
            elif pile.add(Record(event.value, event.id)):
                yield pile.page(windows.position(), windows.lag_s)
        if pile.records:
            yield pile.page(windows.position(), windows.lag_s)

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the events between two times, in spans of `window_s`; times are whole seconds.

        Raises
        ------
        DeniedError, SourceError
            As `read`; what trying again may mend is tried `TRIES` times a span.
        """
        begin = int(max(since.timestamp(), self.clock() - self.oldest_s))
        stop, step = int(until.timestamp()), int(self.settings.window_s)
        for start in range(begin, stop, step):
            yield from self._listed(start, min(start + step, stop))

    def _listed(self, start: int, end: int) -> list[Listed]:
        """Return the events of a span; those at its end belong to the next one."""
        asked = [datetime.fromtimestamp(when, UTC) for when in (start, end)]
        for left in reversed(range(TRIES)):
            try:
                return [
                    Listed(event.id, datetime.fromtimestamp(int(event.time or start), UTC), 1)
                    for events in self.pages(*asked)
                    for event in events
                    if start <= (event.time or start) < end  # 0: it does not say
                ]
            except DeniedError:
                raise
            except SourceError as error:
                pause = min(max(error.retry_after_s or 0.0, _PAUSE_S[0]), _PAUSE_S[1])
                if not left or self.stopping.wait(pause):
                    raise
        raise AssertionError("the last try returns or raises")
