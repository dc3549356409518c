"""The Office 365 Management Activity API: content blobs of the unified audit log.

Subscriptions are started where they are not; what is available is listed by the time it became
so (`look_back_s` covers what is listed late), a day at most at once, and each blob is fetched
once. The API keeps content for seven days: what is gone by then becomes a dead letter.

Source: Microsoft, "Office 365 Management Activity API reference".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import Field

from connectors._azure.reading.credential import AzureSettings, Credential
from connectors._json.times import moment
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
from connectors._reading.fault import fault
from connectors._reading.paging import Pile
from connectors._reading.polling.api import Api
from connectors._reading.polling.windows import Event, Windows, WindowSettings
from connectors.base import Connector

NEEDS: Final = (
    "the application permission ActivityFeed.Read of the Office 365 Management APIs, with an "
    "administrator's consent, and turn auditing on"
)
#: The API keeps content for seven days; a minute less, because the clocks differ.
OLDEST_S: Final = 7 * 86_400 - 60.0
_EXPIRED: Final = ("AF20051", "AF20030")
"""Content that expired, and a start that is too long ago."""


class _Blob(msgspec.Struct):
    contentUri: str  # noqa: N815 - the API's spelling
    contentId: str  # noqa: N815
    contentCreated: str = ""  # noqa: N815


class _Subscription(msgspec.Struct):
    contentType: str  # noqa: N815
    status: str = ""


_blobs: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(list[_Blob])
_subscriptions: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(list[_Subscription])
_records: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(list[msgspec.Raw])


class ActivitySettings(AzureSettings, WindowSettings):
    """Which content of which tenant."""

    content_types: list[str] = Field(
        [
            "Audit.AzureActiveDirectory",
            "Audit.Exchange",
            "Audit.SharePoint",
            "Audit.General",
            "DLP.All",
        ],
        min_length=1,
        description="Content types to subscribe to.",
    )
    endpoint: str = Field("https://manage.office.com", description="Address of the API.")
    window_s: float = Field(
        21_600.0, ge=10, le=86_400, description="Span asked for at once, in seconds: a day at most."
    )
    look_back_s: float = Field(
        3600.0, ge=0, description="Seconds that content may be listed after it was made."
    )


class ActivityReader(Reader):
    """Records of the unified audit log; ids are ``m365:<content id>#<index>``."""

    Settings: ClassVar[type[ReaderSettings]] = ActivitySettings
    settings: ActivitySettings

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        #: Returns the time, seconds since the epoch.
        self.clock = time.time
        self._credential = credential = Credential(settings)
        scope = f"{settings.endpoint}/.default"
        self._api = Api(
            lambda fresh: credential.token(scope, fresh=fresh), NEEDS, verify=settings.ca
        )
        self._feed = f"{settings.endpoint}/api/v1.0/{settings.tenant_id}/activity/feed"
        self._started = False

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield the records of content that was not read before.

        Raises
        ------
        DeniedError, SourceError
            As `connectors._reading.polling.api.Api.send`.
        """
        self._start()
        now = self.clock()
        since = self.settings.since.timestamp() if self.settings.since else 0.0
        windows = Windows(position, max(since, now - OLDEST_S), now, self.settings)
        pile = Pile()
        while (span := windows.span()) is not None and not self.stopping.is_set():
            start = max(span[0], span[1] - 86_400, now - OLDEST_S)
            for kind in self.settings.content_types:
                for blob in self._content(kind, start, span[1]):
                    yield from self._blob(blob, windows, pile)
                    if self.stopping.is_set():
                        return
            windows.finish()
            yield pile.page(windows.position(), windows.lag_s)

    def _start(self) -> None:
        """Start what is not subscribed to."""
        if self._started:
            return
        for kind in set(self.settings.content_types) - self._subscribed():
            self._api.send("POST", f"{self._feed}/subscriptions/start", {"contentType": kind})
        self._started = True

    def _subscribed(self) -> set[str]:
        answer = self._api.get(f"{self._feed}/subscriptions/list")
        found = answer.as_type(_subscriptions, "list subscriptions")
        return {one.contentType for one in found if one.status == "enabled"}

    def _content(self, kind: str, start: float, end: float) -> Iterator[_Blob]:
        """Yield the content blobs of a span, page by page."""
        url = f"{self._feed}/subscriptions/content"
        params: dict[str, str] | None = {
            "contentType": kind,
            "startTime": _text(start),
            "endTime": _text(end),
        }
        followed = {url}
        while url:
            answer = self._api.get(url, params)
            yield from answer.as_type(_blobs, f"list content of {kind}")
            url, params = answer.headers.get("nextpageuri", ""), None
            if url:
                self._ours(url)
                if url in followed:
                    raise SourceError(f"{kind}: expected another page, found the same: {url[:200]}")
                followed.add(url)

    def _ours(self, url: str) -> None:
        """Refuse an address of another host: the token goes nowhere else."""
        own, other = urlsplit(self.settings.endpoint), urlsplit(url)
        if (own.scheme, own.netloc) != (other.scheme, other.netloc):
            raise SourceError(f"expected an address at {own.netloc}, found {url[:200]}")

    def _blob(self, blob: _Blob, windows: Windows, pile: Pile) -> Iterator[Page]:
        """Yield the records of a blob that was not read before."""
        created = (moment(blob.contentCreated) or 0) / 1000
        if not windows.is_new(Event(blob.contentId, created, b"")):
            pile.skip("seen_before")
            return
        for record in self._fetch(blob):
            pile.add(record)
        # All of a blob goes in one page, for its id is remembered as a whole.
        if pile.is_full:
            yield pile.page(windows.position(), windows.lag_s)

    def _fetch(self, blob: _Blob) -> list[Record]:
        """Return the records of a blob; a dead letter where it is no longer there."""
        self._ours(blob.contentUri)
        name = f"m365:{blob.contentId}"
        try:
            answer = self._api.get(blob.contentUri)
        except SourceError as error:
            if any(code in str(error) for code in _EXPIRED):
                return [fault("expired", f"{error}; begin within seven days", name)]
            raise
        rows = answer.as_type(_records, f"content {blob.contentId}")
        return [Record(bytes(raw), f"{name}#{index}") for index, raw in enumerate(rows)]

    def check(self) -> Iterator[Check]:
        """List the subscriptions, and an hour of content of each type."""
        try:
            known = self._subscribed()
        except SourceError as error:
            yield Check("list subscriptions", ok=False, detail=str(error))
            return
        yield Check("list subscriptions", ok=True, detail=", ".join(sorted(known)) or "none yet")
        now = self.clock()
        for kind in sorted(known.intersection(self.settings.content_types)):
            try:
                found = sum(1 for _ in self._content(kind, now - 3600, now))
            except SourceError as error:
                yield Check(f"list content of {kind}", ok=False, detail=str(error))
            else:
                yield Check(f"list content of {kind}", ok=True, detail=f"{found} in an hour")

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        """Yield the content that became available between `since` and `until`."""
        start, end = since.timestamp(), until.timestamp()
        while start < end:
            stop = min(end, start + 86_400)
            for kind in self.settings.content_types:
                for blob in self._content(kind, start, stop):
                    when = datetime.fromtimestamp((moment(blob.contentCreated) or 0) / 1000, UTC)
                    yield Listed(f"m365:{blob.contentId}", when)
            start = stop

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()
        self._credential.close()


def _text(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S")
