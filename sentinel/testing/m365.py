"""A double of the Office 365 Management Activity API.

Source: Microsoft, "Office 365 Management Activity API reference".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sentinel.testing.server import Request, Response, ScriptedServer, Tokens, paged, reply

_PAGE: Final = 2


class Content(NamedTuple):
    """A content blob: its id, type, when it became available, and its records."""

    id: str
    kind: str
    created: datetime
    records: Sequence[dict[str, Any]]


def refused(status: int, code: str, message: str) -> Response:
    """Return the error that the API answers with."""
    return reply({"error": {"code": code, "message": message}}, status)


class ActivityDouble:
    """The API of one tenant.

    Attributes
    ----------
    content
        What there is; tests add to it.
    subscribed
        Content types that were started.
    expired
        Ids of content that is listed, but gone.
    """

    def __init__(self, server: ScriptedServer, tokens: Tokens, tenant: str) -> None:
        self._server, self._tokens = server, tokens
        self._feed = f"/api/v1.0/{tenant}/activity/feed"
        self.content: list[Content] = []
        self.subscribed: set[str] = set()
        self.expired: set[str] = set()
        server.route("POST", f"{self._feed}/subscriptions/start", self._start)
        server.route("GET", f"{self._feed}/subscriptions/list", self._subscriptions)
        server.route("GET", f"{self._feed}/subscriptions/content", self._list)
        server.route("GET", f"{self._feed}/audit/.+", self._fetch)

    def _expired_token(self, request: Request) -> Response | None:
        if self._tokens.good(request.bearer()):
            return None
        return refused(401, "AF10001", "The permission set sent in the request was invalid.")

    def _start(self, request: Request) -> Response:
        if wrong := self._expired_token(request):
            return wrong
        kind = request.param("contentType")
        self.subscribed.add(kind)
        return reply({"contentType": kind, "status": "enabled", "webhook": None})

    def _subscriptions(self, request: Request) -> Response:
        if wrong := self._expired_token(request):
            return wrong
        return reply([{"contentType": k, "status": "enabled"} for k in sorted(self.subscribed)])

    def _list(self, request: Request) -> Response:
        if wrong := self._expired_token(request):
            return wrong
        kind = request.param("contentType")
        if kind not in self.subscribed:
            return refused(400, "AF20022", "No subscription found for the specified content type")
        start, end = (_moment(request.param(name)) for name in ("startTime", "endTime"))
        if (end - start).total_seconds() > 86_400:
            return refused(400, "AF20030", "Start time and end time must be within 24 hours")
        found = [one for one in self.content if one.kind == kind and start <= one.created < end]
        items, token = paged(found, request.param("nextPage"), _PAGE)
        headers = {}
        if token:
            headers["NextPageUri"] = (
                f"{self._server.url}{request.path}?contentType={kind}&startTime="
                f"{request.param('startTime')}&endTime={request.param('endTime')}&nextPage={token}"
            )
        return reply([self._row(one) for one in items], 200, **headers)

    def _row(self, one: Content) -> dict[str, str]:
        return {
            "contentUri": f"{self._server.url}{self._feed}/audit/{one.id}",
            "contentId": one.id,
            "contentType": one.kind,
            "contentCreated": one.created.isoformat(),
        }

    def _fetch(self, request: Request) -> Response:
        if wrong := self._expired_token(request):
            return wrong
        uid = request.path.rpartition("/")[2]
        found = next((one for one in self.content if one.id == uid), None)
        if found is None or uid in self.expired:
            return refused(400, "AF20051", f"Content requested with the key {uid} has expired.")
        return reply(list(found.records))


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
