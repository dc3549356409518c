"""A double of Okta's System Log API.

Source: Okta Developer, "System Log API", "Rate limits".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sentinel.testing.server import Fault, Request, Response, ScriptedServer, paged, reply


def limited(seconds: float) -> Fault:
    """Refuse as beyond a rate limit that is lifted in so many seconds."""
    body = {"errorCode": "E0000047", "errorSummary": "API call exceeded rate limit"}
    return lambda _request, _answer: reply(
        body,
        429,
        X_Rate_Limit_Limit="600",
        X_Rate_Limit_Remaining="0",
        X_Rate_Limit_Reset=str(int(time.time() + seconds)),
    )


class OktaDouble:
    """The log of one organisation.

    Parameters
    ----------
    size
        Events a page, whatever was asked for.

    Attributes
    ----------
    events
        What there is, in the order it is given; tests add to it and turn it round.
    token
        The one API token that is good.
    """

    def __init__(self, server: ScriptedServer, events: Sequence[dict[str, Any]], size: int) -> None:
        self._server, self._size = server, size
        self.events = list(events)
        self.token = secrets.token_hex(8)
        server.route("GET", "/api/v1/logs", self._list)

    def _list(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"SSWS {self.token}":
            return reply({"errorCode": "E0000011", "errorSummary": "Invalid token provided"}, 401)
        since, until = (datetime.fromisoformat(request.param(name)) for name in ("since", "until"))
        found = [e for e in self.events if since <= datetime.fromisoformat(e["published"]) < until]
        size = min(self._size, int(request.param("limit", "100")))
        items, after = paged(found, request.param("after"), size)
        asked = "&".join(f"{name}={request.param(name)}" for name in ("since", "until", "limit"))
        own = f'<{self._server.url}/api/v1/logs?{asked}>; rel="self"'
        more = f'<{self._server.url}/api/v1/logs?{asked}&after={after}>; rel="next"'
        return reply(list(items), 200, Link=f"{own}, {more}" if after else own)
