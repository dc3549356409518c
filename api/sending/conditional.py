"""Less to send: gzip, and ``304 Not Modified`` for ``If-None-Match`` with the right ``ETag``.

The answer is made all the same, since only it says whether it differs; what is saved is
sending it and reading it. Answers of JSON have an ETag of their bytes (`api.paging`), those
of one alert one of its revision.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_IF_NONE = b"if-none-match"
#: Headers of a 304, as RFC 9110 section 15.4.5 names them, and those of security.
_DROPPED = frozenset({b"content-length", b"content-type", b"content-encoding"})


class Compressed(GZipMiddleware):
    """Middleware: gzip for who takes it; whoever does not is answered without a detour."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer, compressed where that is asked for."""
        if any(name == b"accept-encoding" and b"gzip" in value for name, value in _headers(scope)):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _headers(scope: Scope) -> Iterable[tuple[bytes, bytes]]:
    found: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
    return found


class Conditional:
    """Middleware: answers 304 where a client of ``GET`` names the ETag that it has.

    Parameters
    ----------
    app
        What it stands in front of.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer, or that there is no other."""
        known = None
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
            known = next((value for name, value in _headers(scope) if name == _IF_NONE), None)
        if known is None:
            await self._app(scope, receive, send)
            return
        tags = {tag.strip().removeprefix("W/") for tag in known.decode("latin-1").split(",")}
        unchanged = False

        async def send_on(message: Message) -> None:
            nonlocal unchanged
            if message["type"] == "http.response.start" and message["status"] == 200:
                tag = Headers(raw=message["headers"]).get("etag", "").removeprefix("W/")
                if tag and (tag in tags or "*" in tags):
                    unchanged = True
                    kept = [pair for pair in message["headers"] if pair[0].lower() not in _DROPPED]
                    message = {**message, "status": 304, "headers": kept}
            elif unchanged:
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, receive, send_on)
