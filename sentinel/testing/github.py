"""A double of GitHub's audit log API.

Source: GitHub documentation, "REST API endpoints for organization audit logs", "Rate limits for
the REST API", "Using pagination in the REST API".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sentinel.testing.server import Fault, Request, Response, ScriptedServer, paged, reply


def limited(seconds: float) -> Fault:
    """Refuse as beyond the primary rate limit, which GitHub does with 403."""
    return lambda _request, _answer: reply(
        {"message": "API rate limit exceeded for user ID 1."},
        403,
        X_RateLimit_Remaining="0",
        X_RateLimit_Reset=str(int(time.time() + seconds)),
    )


class GitHubDouble:
    """The audit log of one organization; events of others are not found.

    Parameters
    ----------
    size
        Events a page, whatever was asked for.

    Attributes
    ----------
    events
        What there is; tests add to it. `git` events are given with ``include=all`` or ``git``.
    token
        The one token that is good; any other finds nothing, as GitHub does it.
    """

    def __init__(self, server: ScriptedServer, events: Sequence[dict[str, Any]], size: int) -> None:
        self._server, self._size = server, size
        self.events = list(events)
        self.token = secrets.token_hex(8)
        server.route("GET", "/orgs/example/audit-log", self._list)

    def _list(self, request: Request) -> Response:
        if not request.bearer():
            return reply({"message": "Requires authentication"}, 401)
        if request.bearer() != self.token:
            return reply({"message": "Not Found"}, 404)
        start, end = request.param("phrase").removeprefix("created:").split("..")
        low, high = (datetime.fromisoformat(text).timestamp() * 1000 for text in (start, end))
        kinds = {"web": (False,), "git": (True,), "all": (False, True)}[request.param("include")]
        found = [
            event
            for event in self.events
            if low <= event["@timestamp"] < high + 1000
            and event["action"].startswith("git.") in kinds
        ]
        if request.param("order") == "asc":
            found.sort(key=lambda event: int(event["@timestamp"]))
        size = min(self._size, int(request.param("per_page", "30")))
        items, after = paged(found, request.param("after"), size)
        names = ("phrase", "include", "order", "per_page")
        asked = "&".join(f"{name}={request.param(name)}" for name in names)
        address = f"{self._server.url}{request.path}?{asked}"
        return reply(
            list(items), 200, Link=f'<{address}&after={after}>; rel="next"' if after else ""
        )
