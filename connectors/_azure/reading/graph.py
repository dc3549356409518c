"""Microsoft Graph: sign-ins, directory audits and risk detections, by time.

Pages are followed by ``@odata.nextLink``, which must lead to the same host: the token goes
nowhere else. Sign-ins other than interactive ones are in Graph's beta alone: name them in
`event_types`.

Source: Microsoft Graph, "List signIns", "List directoryAudits", "List riskDetections",
"Throttling guidance".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field

from connectors._azure.reading.credential import AzureSettings, Credential
from connectors._json.times import moment, rfc3339
from connectors._reading.base import Check, ReaderSettings, SourceError
from connectors._reading.polling.api import Api
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

NEEDS: Final = (
    "the application permissions AuditLog.Read.All, Directory.Read.All and, for riskDetections, "
    "IdentityRiskEvent.Read.All, with an administrator's consent"
)
PAGE: Final = 999
_PLACES: Final = {
    "signIns": ("auditLogs/signIns", "createdDateTime"),
    "directoryAudits": ("auditLogs/directoryAudits", "activityDateTime"),
    "riskDetections": ("identityProtection/riskDetections", "detectedDateTime"),
}


class _Item(msgspec.Struct):
    """What is looked at of an event."""

    id: str = ""
    createdDateTime: str = ""  # noqa: N815 - Graph's spelling
    activityDateTime: str = ""  # noqa: N815
    detectedDateTime: str = ""  # noqa: N815


class _Answer(msgspec.Struct):
    value: list[msgspec.Raw]
    next: str = msgspec.field(default="", name="@odata.nextLink")


_answer: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Answer)
_item: Final = msgspec.json.Decoder(_Item)


class GraphSettings(AzureSettings, WindowSettings):
    """What to read of which directory."""

    resources: list[Literal["signIns", "directoryAudits", "riskDetections"]] = Field(
        [], description="What to read; none: directoryAudits of azure_audit, signIns of the rest."
    )
    event_types: list[str] = Field(
        [],
        description="signInEventTypes to read (nonInteractiveUser, servicePrincipal, "
        "managedIdentity); none: interactive sign-ins.",
    )
    endpoint: str = Field("https://graph.microsoft.com", description="Address of Graph.")


class GraphReader(WindowReader):
    """Events of Entra ID, as Microsoft Graph has them for thirty days."""

    Settings: ClassVar[type[ReaderSettings]] = GraphSettings
    settings: GraphSettings
    oldest_s: ClassVar[float] = 30 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._credential = credential = Credential(settings)
        scope = f"{settings.endpoint}/.default"
        self._api = Api(
            lambda fresh: credential.token(scope, fresh=fresh), NEEDS, verify=settings.ca
        )
        audit = type(connector).__module__.endswith("azure_audit")
        self._resources = settings.resources or ["directoryAudits" if audit else "signIns"]

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield the events of every resource, page by page."""
        for resource in self._resources:
            yield from self._pages(resource, start, end)

    def _pages(self, resource: str, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        place, field = _PLACES[resource]
        kinds = self.settings.event_types if resource == "signIns" else []
        condition = f"{field} ge {rfc3339(start)} and {field} lt {rfc3339(end)}"
        if kinds:
            any_of = " or ".join(f"t eq '{kind}'" for kind in kinds)
            condition += f" and signInEventTypes/any(t: {any_of})"
        url = f"{self.settings.endpoint}/{'beta' if kinds else 'v1.0'}/{place}"
        params: dict[str, str] | None = {"$filter": condition, "$top": str(PAGE)}
        followed: set[str] = set()
        while url:
            answer = self._api.get(url, params).as_type(_answer, f"GET {place}")
            yield [self._event(resource, field, bytes(raw)) for raw in answer.value]
            url, params = self._next(answer.next, followed), None

    def _next(self, url: str, followed: set[str]) -> str:
        """Return where the next page is; SourceError where that is somewhere else, or again."""
        if not url:
            return ""
        own, other = urlsplit(self.settings.endpoint), urlsplit(url)
        if (own.scheme, own.netloc) != (other.scheme, other.netloc) or url in followed:
            raise SourceError(f"expected another page at {own.netloc}, found {url[:200]}")
        followed.add(url)
        return url

    @staticmethod
    def _event(resource: str, field: str, raw: bytes) -> Event:
        try:
            item = _item.decode(raw)
            when = moment(getattr(item, field))
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{resource}: expected an event, found {error!s:.120}") from error
        return Event(f"graph:{resource}/{item.id}", (when or 0) / 1000, raw)

    def check(self) -> Iterator[Check]:
        """Ask for one event of each resource."""
        for resource in self._resources:
            place, _ = _PLACES[resource]
            url = f"{self.settings.endpoint}/v1.0/{place}"
            try:
                self._api.get(url, {"$top": "1"}).as_type(_answer, f"GET {place}")
            except SourceError as error:
                yield Check(f"read {resource}", ok=False, detail=str(error))
            else:
                yield Check(f"read {resource}", ok=True, detail=f"{place} answers")

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()
        self._credential.close()
