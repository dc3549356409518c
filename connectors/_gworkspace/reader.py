"""The Reports API of Google Workspace, application by application, by time.

A span of time is asked for with ``startTime`` and ``endTime``, a thousand activities a page, and
pages are followed by ``nextPageToken``. Activities show up late, of some applications hours
after they happened ("Data retention and lag times"), so each span looks back `look_back_s`.

Google gives them to an administrator: a service account needs domain-wide delegation of the
scope, and the address of an administrator to act as.

Source: Google Workspace Admin SDK, "Reports API: activities.list"; "OAuth 2.0 for server to
server applications".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import msgspec
from pydantic import Field

from connectors._json.times import moment, rfc3339
from connectors._reading.base import Check, DeniedError, ReaderSettings, SourceError
from connectors._reading.polling.api import Api
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

if TYPE_CHECKING:
    from google.oauth2.service_account import Credentials

SCOPE: Final = "https://www.googleapis.com/auth/admin.reports.audit.readonly"
NEEDS: Final = (
    f"domain-wide delegation of the scope {SCOPE} to the service account (Admin console: Security, "
    "API controls), and name as `subject` an administrator with the privilege Reports"
)
PAGE: Final = 1000
#: What most people want to see; the API knows more applications.
APPLICATIONS: Final = [
    *("admin", "login", "user_accounts", "token", "groups", "groups_enterprise"),
    *("drive", "saml", "mobile", "rules", "context_aware_access"),
]


class _Id(msgspec.Struct):
    time: str = ""
    uniqueQualifier: str = ""  # noqa: N815 - the API's spelling


class _Activity(msgspec.Struct):
    id: _Id


class _Answer(msgspec.Struct):
    items: list[msgspec.Raw] = []
    nextPageToken: str = ""  # noqa: N815


_answer: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Answer)
_activity: Final = msgspec.json.Decoder(_Activity)


class ReportsSettings(WindowSettings):
    """Which applications of which domain, and who asks."""

    poll_s: float = Field(300.0, gt=0, description="Seconds between two looks for something new.")
    key_file: str = Field(description="Path of the key of a service account.")
    subject: str = Field(description="Address of the administrator to act as.")
    applications: list[str] = Field(APPLICATIONS, min_length=1, description="Applications to read.")
    look_back_s: float = Field(
        14_400.0, ge=0, description="Seconds after their time within which events may show up."
    )
    endpoint: str = Field("https://admin.googleapis.com", description="Address of the API.")
    ca: str = Field("", description="Path of certificates to trust instead of the system's.")


class ReportsReader(WindowReader):
    """Activities, which Google keeps for 180 days; ids are ``gworkspace:<app>/<time>/<id>``."""

    Settings: ClassVar[type[ReaderSettings]] = ReportsSettings
    settings: ReportsSettings
    oldest_s: ClassVar[float] = 180 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._credentials: Credentials | None = None
        self._api = Api(self._token, NEEDS, verify=settings.ca)
        self._list = f"{settings.endpoint.rstrip('/')}/admin/reports/v1/activity/users/all"

    def _token(self, fresh: bool) -> str:
        """Return an access token; raise DeniedError where Google gives none."""
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials
        from requests import Session

        try:
            if self._credentials is None:
                self._credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                    self.settings.key_file, scopes=[SCOPE], subject=self.settings.subject
                )
            if fresh or not self._credentials.valid:
                with Session() as session:
                    self._credentials.refresh(Request(session))
        except TransportError as error:
            raise SourceError(f"expected a token of Google, found: {error}") from error
        except (GoogleAuthError, OSError, ValueError) as error:
            raise DeniedError(
                f"expected a token of Google, found: {error}; grant {NEEDS}"
            ) from error
        return str(self._credentials.token)

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield the activities of every application from `start` to `end`, page by page.

        Raises
        ------
        DeniedError, SourceError
            As `connectors._reading.polling.api.Api.send`; a page token that comes again.
        """
        for application in self.settings.applications:
            yield from self._pages(application, start, end, PAGE)

    def _pages(
        self, application: str, start: datetime, end: datetime, size: int
    ) -> Iterator[Iterable[Event]]:
        url = f"{self._list}/applications/{quote(application, safe='')}"
        asked = {"startTime": rfc3339(start), "endTime": rfc3339(end), "maxResults": str(size)}
        seen: set[str] = set()
        while True:
            found = self._api.get(url, asked).as_type(_answer, f"activities of {application}")
            yield [_event(application, bytes(raw)) for raw in found.items]
            token = found.nextPageToken
            if not token:
                return
            if token in seen:
                raise SourceError(f"{application}: expected another page, found the same token")
            seen.add(token)
            asked["pageToken"] = token

    def check(self) -> Iterator[Check]:
        """Read one activity of the last day, of each application."""
        end = datetime.fromtimestamp(self.clock(), UTC)
        for application in self.settings.applications:
            what = f"activities of {application}"
            try:
                found = next(self._pages(application, end - timedelta(days=1), end, 1))
            except SourceError as error:
                yield Check(what, ok=False, detail=str(error))
                if isinstance(error, DeniedError):
                    return  # the others are refused alike
            else:
                said = "the newest day has some" if list(found) else "none in a day"
                yield Check(what, ok=True, detail=said)

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()


def _event(application: str, raw: bytes) -> Event:
    """Return an activity; what has no id is known by its bytes."""
    try:
        found = _activity.decode(raw).id
    except msgspec.MsgspecError:
        found = _Id()
    name = f"{found.time}/{found.uniqueQualifier}"
    if not found.uniqueQualifier:
        name = hashlib.sha256(raw).hexdigest()
    return Event(f"gworkspace:{application}/{name}", (moment(found.time or None) or 0) / 1000, raw)
