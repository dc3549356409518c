"""Asking a JSON API over HTTP: tokens, answers, and what a refusal means for the runner."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from connectors._reading.base import DeniedError, SourceError

if TYPE_CHECKING:
    import httpx

MAX_ANSWER: Final = 64 << 20
"""Bytes of an answer that are read; more is refused, so that memory stays bounded."""
TIMEOUT_S: Final = 60.0
_UNAUTHORIZED, _FORBIDDEN, _THROTTLED, _ERRORS = 401, 403, 429, 400


class Answer(NamedTuple):
    """The body of an answer and its headers."""

    body: bytes
    headers: Mapping[str, str]

    def as_type(self, decoder: msgspec.json.Decoder[Any], what: str) -> Any:
        """Decode the body; SourceError where it is not what the API promises."""
        try:
            return decoder.decode(self.body)
        except (ValueError, RecursionError) as error:
            raise SourceError(
                f"{what}: expected JSON as its reference says, found {len(self.body)} bytes that "
                f"do not fit: {error!s:.120}; it is asked again"
            ) from error


class Api:
    """A client of one API.

    Parameters
    ----------
    token
        Returns a bearer token; called with True where the last one was refused.
    needs
        What the caller has to be granted, for people.
    verify
        As of httpx: a path of certificates, or True.
    scheme
        Word in front of the token.
    headers
        What else each request says.
    """

    def __init__(
        self,
        token: Callable[[bool], str] | None,
        needs: str,
        *,
        verify: str = "",
        scheme: str = "Bearer",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        import ssl

        import httpx

        trust = ssl.create_default_context(cafile=verify or None)
        self._client = httpx.Client(timeout=TIMEOUT_S, verify=trust, follow_redirects=False)
        self._token = token
        self._scheme = scheme
        self._headers = {"Accept": "application/json", **headers}
        self._needs = needs

    def get(self, url: str, params: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET; raises as `send`."""
        return self.send("GET", url, params)

    def send(
        self, method: str, url: str, params: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Return the answer to a request; a refused token is fetched anew, once.

        Raises
        ------
        DeniedError
            401 with a fresh token, or 403.
        SourceError
            Any other error, with `retry_after_s` where the API asked for it.
        """
        for again in (False, True):
            status, answer = self._once(method, url, params, body, again)
            if status < _ERRORS:
                return answer
            if status != _UNAUTHORIZED or self._token is None:
                break
        raise refused(f"{method} {url.partition('?')[0]}", status, answer, self._needs)

    def _once(
        self, method: str, url: str, params: Mapping[str, str] | None, body: bytes, again: bool
    ) -> tuple[int, Answer]:
        import httpx

        headers = dict(self._headers)
        if self._token is not None:
            headers["Authorization"] = f"{self._scheme} {self._token(again)}"
        if body:
            headers["Content-Type"] = "application/json"
        given = dict(params) if params else None  # an empty table would drop those in the address
        try:
            with self._client.stream(
                method, url, headers=headers, content=body, params=given
            ) as got:
                return got.status_code, Answer(_body(got), got.headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(
                f"{method} {url.partition('?')[0]}: expected an answer, found "
                f"{type(error).__name__} {error!s:.120}; check the address and the network"
            ) from error

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def _body(answer: httpx.Response) -> bytes:
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > MAX_ANSWER:
            raise SourceError(f"expected an answer of at most {MAX_ANSWER} bytes, found more")
        parts.append(part)
    return b"".join(parts)


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``: a number, or a date; None where it is neither.

    >>> retry_after("2.5"), retry_after("soon")
    (2.5, None)
    """
    try:
        return max(0.0, float(value or ""))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value or "").timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a limit is lifted: Okta's and GitHub's time of it."""
    moment = headers.get("x-ratelimit-reset", headers.get("x-rate-limit-reset", ""))
    return max(0.0, float(moment) - time.time()) if moment.isdigit() else None


def refused(what: str, status: int, answer: Answer, needs: str) -> SourceError:
    """Return what to raise for an answer that is an error."""
    said = answer.body[:300].decode(errors="replace")
    wait = retry_after(answer.headers.get("retry-after"))
    # GitHub says 403 where others say 429, and then when to come again, or that none are left.
    spent = wait is not None or answer.headers.get("x-ratelimit-remaining") == "0"
    if status == _FORBIDDEN and spent:
        status = _THROTTLED
    if status == _THROTTLED and wait is None:
        wait = _until_reset(answer.headers)
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return DeniedError(f"{what}: refused with {status}: {said}; grant {needs}", wait)
    if status == _THROTTLED:
        return SourceError(f"{what}: throttled with {status}: {said}", wait)
    return SourceError(f"{what}: expected 200, found {status}: {said}", wait)
