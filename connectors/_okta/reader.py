"""Okta's System Log API, by time.

A span of time is asked for with ``since`` and ``until``, a thousand events a page, and pages
are followed by their ``Link``. Okta's limit is told by ``X-Rate-Limit-Reset``: the runner waits
until then. Events may show up late, so each span looks back (`WindowSettings.look_back_s`).

The token is an API token (Security, API, Tokens) of an administrator with read access to the
system log, or an OAuth access token with the scope ``okta.logs.read``.

Source: Okta Developer, "System Log API", "Rate limits".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import msgspec
from pydantic import Field, SecretStr

from connectors._json.times import moment, rfc3339
from connectors._reading.base import Check, ReaderSettings
from connectors._reading.polling.api import Api
from connectors._reading.polling.links import pages
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

NEEDS: Final = (
    "a token of an administrator who may read the system log (role Read-only Administrator), "
    "or the OAuth scope okta.logs.read"
)
PAGE: Final = 1000


class _Item(msgspec.Struct):
    """What is looked at of an event."""

    uuid: str = ""
    published: str = ""


_item: Final = msgspec.json.Decoder(_Item)


class OktaSettings(WindowSettings):
    """Which organisation, and the token."""

    url: str = Field(
        description="Address of the organisation: https://example.okta.com.", pattern=r"https?://.+"
    )
    token: SecretStr = Field(description="API token, or OAuth access token.")
    token_type: Literal["SSWS", "Bearer"] = Field(
        "SSWS", description="SSWS: an API token; Bearer: an OAuth access token."
    )
    filter: str = Field("", description="Filter of the System Log API; none: all events.")
    ca: str = Field("", description="Path of certificates to trust instead of the system's.")


class OktaReader(WindowReader):
    """Events of the system log, which Okta keeps for ninety days; ids are ``okta:<uuid>``."""

    Settings: ClassVar[type[ReaderSettings]] = OktaSettings
    settings: OktaSettings
    oldest_s: ClassVar[float] = 90 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        token = settings.token.get_secret_value()
        self._api = Api(lambda _fresh: token, NEEDS, verify=settings.ca, scheme=settings.token_type)
        self._logs = f"{settings.url.rstrip('/')}/api/v1/logs"

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield the events from `start` to before `end`, page by page.

        Raises
        ------
        DeniedError, SourceError
            As `connectors._reading.polling.api.Api.send` and `…links.pages`.
        """
        for items in pages(self._api.get, self._logs, self._asked(start, end)):
            yield [_event(raw) for raw in items]

    def _asked(self, start: datetime, end: datetime, size: int = PAGE) -> dict[str, str]:
        asked = {"since": rfc3339(start), "until": rfc3339(end), "limit": str(size)}
        asked["sortOrder"] = "ASCENDING"
        return asked | ({"filter": self.settings.filter} if self.settings.filter else {})

    def check(self) -> Iterator[Check]:
        """Read one event of the last day."""
        yield self.newest_day(
            f"GET {self._logs}",
            lambda start, end: pages(self._api.get, self._logs, self._asked(start, end, 1)),
        )

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()


def _event(raw: bytes) -> Event:
    """Return an event; what has no id is known by its bytes."""
    try:
        item = _item.decode(raw)
    except msgspec.MsgspecError:
        item = _Item()
    name = item.uuid or hashlib.sha256(raw).hexdigest()
    return Event(f"okta:{name}", (moment(item.published or None) or 0) / 1000, raw)
