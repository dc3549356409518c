"""What readers of AWS's APIs share: time in windows, each read page by page.

An API that answers "what happened from A to B" is asked for windows of time, oldest first, up
to `settle_s` before now, since what happened may show only after that. The position is the
window and the API's own token for its next page; should the token have expired, the window is
read again from its beginning, and its records have the same ids.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from connectors._aws.account import AwsSettings, client, identity, refusals, tried
from connectors._reading.base import (
    Check,
    Listed,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)

_MAX_SPAN_MS: Final = 24 * 3600 * 1000


class WindowSettings(AwsSettings):
    """How time is cut."""

    window_s: int = Field(
        900, ge=1, le=86_400, description="Seconds of a window; doubled while there is nothing."
    )
    settle_s: int = Field(
        300, ge=0, le=86_400, description="Seconds after which nothing new shows for a time."
    )


class TokenError(Exception):
    """The token for the next page is no longer good."""


class _Part(NamedTuple):
    """A page of a window, of times in ms since the epoch; no token: the last of it."""

    start: int
    end: int
    records: Sequence[Record]
    token: str


class Windows(Reader):
    """Reads windows of time.

    Attributes
    ----------
    service
        What boto3 calls the API.
    right
        The IAM action that `ask` needs.
    kept
        How far back the source remembers; None: for ever.
    pause_s
        Least seconds between two requests.
    """

    Settings: ClassVar[type[ReaderSettings]] = WindowSettings
    settings: WindowSettings
    lists_events: ClassVar[bool] = True
    service: ClassVar[str]
    right: ClassVar[str]
    kept: ClassVar[timedelta | None] = None
    pause_s: ClassVar[float] = 0.0

    @cached_property
    def client(self) -> Any:
        """The client of the API."""
        return client(self.settings, self.service)

    @abstractmethod
    def ask(self, start: int, end: int, token: str) -> tuple[Sequence[Record], str]:
        """Return records from `start` to before `end` (ms since the epoch) and the next token.

        Raises
        ------
        TokenError
            `token` has expired.
        """

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield windows page by page until `settle_s` before now.

        Raises
        ------
        DeniedError, SourceError
            See `connectors._aws.account.refusals`.
        """
        now = _ms(datetime.now(UTC)) - self.settings.settle_s * 1000
        place = position or {}
        start, token = int(place.get("from", self._first(now))), str(place.get("token", ""))
        for part in self._parts(start, now, token, int(place.get("to", 0))):
            start, end, records, token = part
            at = {"from": start, "to": end, "token": token} if token else {"from": end}
            yield Page(records, at, max(0.0, time.time() - end / 1000))
            if self.stopping.is_set():
                return

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the events of a span, window by window; the time is that of the window.

        Raises
        ------
        DeniedError, SourceError
            As `read`.
        """
        start = _ms(since)
        if self.kept is not None:
            start = max(start, _ms(datetime.now(UTC) - self.kept))
        for part in self._parts(start // 1000 * 1000, _ms(until)):
            yield from (Listed(record.id, moment(part.start), 1) for record in part.records)

    def _parts(self, start: int, stop: int, token: str = "", end: int = 0) -> Iterator[_Part]:
        """Yield what there is from `start` to before `stop`, ms since the epoch, by windows.

        With a `token`, the first window ends at `end` and is gone on with.
        """
        span = self.settings.window_s * 1000
        end = end if token else 0
        while start < stop:
            end = end or min(start + span, stop)
            count = 0
            while True:
                records, token = self._asked(start, end, token)
                count += len(records)
                yield _Part(start, end, records, token)
                if not token:
                    break
            # What did not fill a page may as well be asked for in one.
            span = min(2 * span, _MAX_SPAN_MS) if not count else self.settings.window_s * 1000
            start, end = end, 0

    def check(self) -> Iterator[Check]:
        """Ask for the last minutes."""
        yield identity(self.settings)

        def attempt() -> str:
            now = _ms(datetime.now(UTC))
            return f"{len(self._asked(now - 600_000, now, '')[0])} records in ten minutes"

        yield tried(self.right, attempt)

    def close(self) -> None:
        """Close the connections."""
        if "client" in self.__dict__:
            self.client.close()

    def resource(self) -> str:
        """Return what the right is needed on."""
        return "*"

    def _first(self, now: int) -> int:
        """Return where to begin."""
        since = self.settings.since
        oldest = _ms(datetime.now(UTC) - self.kept) if self.kept is not None else 0
        if since is not None:
            return max(oldest, _ms(since if since.tzinfo else since.replace(tzinfo=UTC)))
        return oldest or now - _MAX_SPAN_MS

    def _asked(self, start: int, end: int, token: str) -> tuple[Sequence[Record], str]:
        if self.pause_s:
            time.sleep(self.pause_s)
        with refusals(self.right, self.resource()):
            try:
                found = self.ask(start, end, token)
            except TokenError:
                if not token:
                    raise SourceError(f"{self.right}: AWS gave a token it refuses") from None
                found = self.ask(start, end, "")
        return found


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def moment(at: int) -> datetime:
    """Return milliseconds since the epoch as boto3 takes them."""
    return datetime.fromtimestamp(at / 1000, UTC)
