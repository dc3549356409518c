"""Security Command Center: findings of an organisation, folder or project, by time of change.

Source: Google Cloud, "Method: organizations.sources.locations.findings.list" (v2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from pydantic import Field

from connectors._google.reading.credential import GoogleSettings, credentials, failure
from connectors._json.times import moment, rfc3339
from connectors._reading.base import Check, ReaderSettings, SourceError
from connectors._reading.polling.api import Api
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

NEEDS: Final = "roles/securitycenter.findingsViewer on the organisation, folder or project"
PAGE: Final = 1000


class _Finding(msgspec.Struct):
    name: str = ""
    eventTime: str = ""  # noqa: N815 - the API's spelling


class _Result(msgspec.Struct):
    finding: _Finding


class _Answer(msgspec.Struct):
    listFindingsResults: list[msgspec.Raw] = []  # noqa: N815
    nextPageToken: str = ""  # noqa: N815


_answer: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Answer)
_result: Final = msgspec.json.Decoder(_Result)


class FindingsSettings(GoogleSettings, WindowSettings):
    """Whose findings, and which."""

    parent: str = Field(
        pattern=r"^(organizations|folders|projects)/[^/]+$", description="Whose findings to read."
    )
    location: str = Field("global", description="Location of the findings.")
    filter: str = Field("", description="Filter of the API, besides the time.")
    endpoint: str = Field(
        "https://securitycenter.googleapis.com", description="Address of the API."
    )


class FindingsReader(WindowReader):
    """Findings, again at each change: the id is the name with the time of the change."""

    Settings: ClassVar[type[ReaderSettings]] = FindingsSettings
    settings: FindingsSettings
    oldest_s: ClassVar[float] = 365 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._api = Api(self._token, NEEDS)
        self._credentials: Credentials | None = None

    def _token(self, fresh: bool) -> str:
        """Return a bearer token, refreshed where it ran out or was refused."""
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        if self._credentials is None:
            self._credentials = credentials(self.settings)
        if fresh or not self._credentials.valid:
            try:
                self._credentials.refresh(Request())  # type: ignore[no-untyped-call]
            except GoogleAuthError as error:
                raise failure(error, "log on", NEEDS) from error
        return str(self._credentials.token)

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield findings page by page."""
        token, followed = "", set[str]()
        while True:
            answer = self._ask(start, end, token, PAGE)
            yield [_event(bytes(raw)) for raw in answer.listFindingsResults]
            token = answer.nextPageToken
            if not token:
                return
            if token in followed:
                raise SourceError(f"{self.settings.parent}: expected another page, found the same")
            followed.add(token)

    def _ask(self, start: datetime, end: datetime, token: str, size: int) -> Any:
        chosen = self.settings
        parts = [f"({chosen.filter})"] if chosen.filter else []
        parts += [f'event_time >= "{rfc3339(start)}"', f'event_time < "{rfc3339(end)}"']
        params = {
            "filter": " AND ".join(parts),
            "orderBy": "event_time",
            "pageSize": str(size),
        }
        if token:
            params["pageToken"] = token
        place = f"v2/{chosen.parent}/sources/-/locations/{chosen.location}/findings"
        return self._api.get(f"{chosen.endpoint}/{place}", params).as_type(_answer, f"GET {place}")

    def check(self) -> Iterator[Check]:
        """Ask for one finding."""
        what = f"list findings of {self.settings.parent}"
        now = datetime.fromtimestamp(self.clock(), UTC)
        try:
            found = self._ask(datetime.fromtimestamp(0, UTC), now, "", 1)
        except SourceError as error:
            yield Check(what, ok=False, detail=str(error))
        else:
            some = "there are some" if found.listFindingsResults else "there are none"
            yield Check(what, ok=True, detail=some)

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()


def _event(raw: bytes) -> Event:
    try:
        finding = _result.decode(raw).finding
    except (ValueError, RecursionError) as error:
        raise SourceError(f"expected a finding, found {error!s:.120}; it is asked again") from error
    when = moment(finding.eventTime)
    return Event(f"scc:{finding.name}@{when}", (when or 0) / 1000, raw)
