"""GitHub's audit log over its REST API, of an organization or an enterprise, by time.

A span of time is asked for with ``created:from..to``, a hundred events a page, oldest first, and
pages are followed by the cursor in their ``Link``. Git events come with ``include: all``, and
GitHub keeps them for seven days, all others for 180.

Beyond its limits GitHub answers 403 or 429 with when to go on, which the runner waits for. To
a token that lacks the right it answers 404, as if there were no such organization.

Source: GitHub documentation, "REST API endpoints for organization audit logs", "… enterprise
audit logs", "Rate limits for the REST API".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self

import msgspec
from pydantic import Field, SecretStr, model_validator

from connectors._json.times import moment, rfc3339
from connectors._reading.base import Check, DeniedError, ReaderSettings, SourceError
from connectors._reading.polling.api import Answer, Api
from connectors._reading.polling.links import pages
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

NEEDS: Final = (
    "the scope read:audit_log (a classic token of an owner), or the permission Administration: "
    "read of the organization (fine-grained token, GitHub App); the plan must be Enterprise Cloud"
)
PAGE: Final = 100
_NOT_FOUND: Final = "found 404"


class _Item(msgspec.Struct):
    """What is looked at of an event."""

    id: str = msgspec.field(default="", name="_document_id")
    timestamp: Any = msgspec.field(default=None, name="@timestamp")
    created_at: Any = None


_item: Final = msgspec.json.Decoder(_Item)


class GitHubSettings(WindowSettings):
    """Whose audit log, and the token."""

    organization: str = Field("", description="Organization to read.")
    enterprise: str = Field("", description="Enterprise to read, in place of an organization.")
    poll_s: float = Field(60.0, gt=0, description="Seconds between two looks for something new.")
    token: SecretStr = Field(description="Personal access token, or token of a GitHub App.")
    include: Literal["web", "git", "all"] = Field(
        "all", description="web: what people and the API do; git: clones and pushes; all: both."
    )
    url: str = Field(
        "https://api.github.com",
        description="Address of the API; of GitHub Enterprise Server: https://host/api/v3.",
    )
    ca: str = Field("", description="Path of certificates to trust instead of the system's.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.organization) == bool(self.enterprise):
            raise ValueError("expected either organization or enterprise, found both or neither")
        return self


class GitHubReader(WindowReader):
    """Events of the audit log; ids are ``github:<_document_id>``."""

    Settings: ClassVar[type[ReaderSettings]] = GitHubSettings
    settings: GitHubSettings
    oldest_s: ClassVar[float] = 180 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        token = settings.token.get_secret_value()
        headers = {
            "Accept": "application/vnd.github+json",
            "User-Agent": "sentinel",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._api = Api(lambda _fresh: token, NEEDS, verify=settings.ca, headers=headers)
        whose = (
            f"enterprises/{settings.enterprise}"
            if settings.enterprise
            else f"orgs/{settings.organization}"
        )
        self._log = f"{settings.url.rstrip('/')}/{whose}/audit-log"

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield the events from `start` to `end`, page by page.

        Raises
        ------
        DeniedError, SourceError
            As `connectors._reading.polling.api.Api.send` and `…links.pages`.
        """
        for items in pages(self._get, self._log, self._asked(start, end)):
            yield [_event(raw) for raw in items]

    def _asked(self, start: datetime, end: datetime, size: int = PAGE) -> dict[str, str]:
        return {
            "phrase": f"created:{rfc3339(start, 'seconds')}..{rfc3339(end, 'seconds')}",
            "include": self.settings.include,
            "order": "asc",
            "per_page": str(size),
        }

    def _get(self, url: str, params: Any) -> Answer:
        try:
            return self._api.get(url, params)
        except DeniedError:
            raise
        except SourceError as error:
            if _NOT_FOUND not in str(error):
                raise
            raise DeniedError(
                f"{error}; no such log, or not for this token: grant {NEEDS}"
            ) from error

    def check(self) -> Iterator[Check]:
        """Read one event of the last day."""
        yield self.newest_day(
            f"GET {self._log}",
            lambda start, end: pages(self._get, self._log, self._asked(start, end, 1)),
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
    name = item.id or hashlib.sha256(raw).hexdigest()
    when = moment(item.timestamp) or moment(item.created_at) or 0
    return Event(f"github:{name}", when / 1000, raw)
