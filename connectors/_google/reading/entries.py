"""Cloud Logging: entries of projects, folders or organisations, by time.

The client of google-cloud-logging does the asking, over JSON, so that entries are handed on as
the API answers them: its own entry objects would lose nanoseconds and the time of receipt.

Source: Google Cloud, "Method: entries.list", "Logging query language".
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
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

if TYPE_CHECKING:
    from google.cloud.logging import Client

NEEDS: Final = (
    "roles/logging.viewer, and for data access logs roles/logging.privateLogViewer, on the resource"
)
PAGE: Final = 1000
_LOGS: Final = {
    "gcp_audit": 'logName:"cloudaudit.googleapis.com"',
    "gcp_vpc_flow": '(logName:"compute.googleapis.com%2Fvpc_flows" OR '
    'logName:"networkmanagement.googleapis.com%2Fvpc_flows" OR '
    'logName:"compute.googleapis.com%2Ffirewall")',
}


class EntriesSettings(GoogleSettings, WindowSettings):
    """Whose entries, and which."""

    resources: list[str] = Field(
        min_length=1, description="projects/…, folders/… or organizations/… to read."
    )
    filter: str = Field(
        "", description="Query of Cloud Logging; none: the logs that belong to the source."
    )


class EntriesReader(WindowReader):
    """Entries of Cloud Logging, as its API lists them for thirty days."""

    Settings: ClassVar[type[ReaderSettings]] = EntriesSettings
    settings: EntriesSettings
    oldest_s: ClassVar[float] = 30 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        source = type(connector).__module__.rpartition(".")[2]
        self._filter = settings.filter or _LOGS.get(source, "")
        self._client: Client | None = None

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield entries page by page."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        what = f"entries:list of {', '.join(self.settings.resources)}"
        try:
            for page in self._asked(start, end):
                yield [_event(entry) for entry in page]
        except (GoogleAPICallError, GoogleAuthError) as error:
            raise failure(error, what, NEEDS) from error
        except (RequestException, ValueError, TypeError, KeyError, AttributeError) as error:
            problem = f"{what}: expected a page of entries, found {type(error).__name__}"
            raise SourceError(f"{problem} {error!s:.120}; it is asked again") from error

    def _asked(self, start: datetime, end: datetime, size: int = PAGE) -> Iterator[Any]:
        """Return the pages that the client gives."""
        from google.api_core.page_iterator import HTTPIterator

        client = self._connected()
        parts = [self._filter] if self._filter else []
        parts += [f'timestamp >= "{rfc3339(start)}"', f'timestamp < "{rfc3339(end)}"']
        asked = HTTPIterator(  # type: ignore[no-untyped-call]
            client=client,
            api_request=client._connection.api_request,
            path="/entries:list",
            item_to_value=lambda _, entry: entry,
            items_key="entries",
            extra_params={
                "resourceNames": list(self.settings.resources),
                "filter": " AND ".join(parts),
                "orderBy": "timestamp asc",
                "pageSize": size,
            },
        )
        asked._HTTP_METHOD = "POST"  # as the client itself does: a query may be long
        return iter(asked.pages)

    def _connected(self) -> Client:
        if self._client is None:
            from google.cloud.logging import Client

            options = {"api_endpoint": self.settings.endpoint} if self.settings.endpoint else None
            self._client = Client(  # type: ignore[no-untyped-call]
                project=self.settings.resources[0].rpartition("/")[2],
                credentials=credentials(self.settings),
                client_options=options,
                _use_grpc=False,
            )
        return self._client

    def check(self) -> Iterator[Check]:
        """Ask for one entry of the last hour."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError

        now = self.clock()
        start, end = (datetime.fromtimestamp(when, UTC) for when in (now - 3600, now))
        what = f"entries:list of {', '.join(self.settings.resources)}"
        try:
            found = next(self._asked(start, end, size=1), ())
        except (GoogleAPICallError, GoogleAuthError) as error:
            yield Check(what, ok=False, detail=str(failure(error, what, NEEDS)))
        except SourceError as error:
            yield Check(what, ok=False, detail=str(error))
        else:
            some = "there are some" if list(found) else "there are none"
            yield Check(what, ok=True, detail=f"of the last hour {some}")

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]


def _event(entry: dict[str, Any]) -> Event:
    """Return the event of an entry: log, time and insertId name it."""
    when = str(entry.get("timestamp", ""))
    name = f"gcplog:{entry.get('logName', '')}/{when}/{entry.get('insertId', '')}"
    return Event(name, (moment(when) or 0) / 1000, msgspec.json.encode(entry))
