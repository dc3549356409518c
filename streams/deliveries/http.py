"""Requests to subscribers: checked addresses, no redirects, no proxy, bounded in time and size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import httpcore
import httpx

from sentinel.subscribers.egress import Egress, RefusedError

#: Of an answer, this much is read and kept unless told otherwise.
MOST_BYTES: Final = 65_536
CONNECT_S: Final = 10.0
USER_AGENT: Final = "Sentinel-Deliver/1"
HTTP_OK: Final = range(200, 300)


class Reply(NamedTuple):
    """What came back; `status` is None where nothing did, and `error` says why."""

    status: int | None
    body: bytes = b""
    error: str = ""
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status in HTTP_OK if self.status is not None else False

    @property
    def text(self) -> str:
        """The beginning of the body, for the log of deliveries."""
        return self.body[:1024].decode("utf-8", "replace").replace("\0", "")


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to the address that was checked; TLS still expects the name."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        place = await self._egress.place(host, port)
        return await self._inner.connect_tcp(
            place.address, port, timeout, local_address, socket_options
        )

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport on a pool that connects through `_Checked`."""

    def __init__(self, egress: Egress, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=256,
            max_keepalive_connections=32,
            keepalive_expiry=15.0,
            network_backend=_Checked(egress),
        )


class Http:
    """One client for all subscriptions, reading `most_bytes` of an answer; close it after use."""

    def __init__(self, egress: Egress, most_bytes: int = MOST_BYTES) -> None:
        self._egress, self._most_bytes = egress, most_bytes
        self._client: httpx.AsyncClient | None = None

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            context = ssl.create_default_context()
            self._client = httpx.AsyncClient(
                transport=_Transport(self._egress, context),
                headers={"User-Agent": USER_AGENT},
                follow_redirects=False,
                trust_env=False,
            )
        return self._client

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] = {},
        timeout_s: float = 15.0,
        auth: tuple[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request; whatever goes wrong is in the reply, nothing is raised for it."""
        client = self._open()
        try:
            await self._plain(url)
            async with asyncio.timeout(timeout_s):
                request = client.build_request(
                    method,
                    url,
                    content=content or None,
                    headers=dict(headers),
                    params=params,
                    timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
                )
                response = await client.send(request, stream=True, auth=auth)
                try:
                    return await _reply(response, self._most_bytes)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Reply(None, error=f"no whole answer within {timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, RefusedError, OSError, ValueError) as error:
            return Reply(None, error=str(error) or type(error).__name__)

    async def _plain(self, url: str) -> None:
        """Refuse what is not encrypted, unless the operator allows its address."""
        parts = httpx.URL(url)
        if parts.scheme == "https":
            return
        place = await self._egress.place(parts.host, parts.port or 80)
        if not place.allowed:
            raise RefusedError(f"expected https, found {parts.scheme}://{parts.host}")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


async def _reply(response: httpx.Response, most_bytes: int) -> Reply:
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) >= most_bytes:
            break
    error = ""
    if response.status_code not in HTTP_OK:
        error = f"expected 2xx, found {response.status_code}"
        if response.is_redirect:
            error += f" to {response.headers.get('location', '')[:200]}: redirects are not followed"
    after = _seconds(response.headers.get("retry-after", ""))
    return Reply(response.status_code, bytes(body[:most_bytes]), error, after)


def _seconds(value: str) -> float | None:
    """Read ``Retry-After`` (RFC 9110, 10.2.3): seconds, or a date.

    >>> _seconds("120"), _seconds("soon")
    (120.0, None)
    """
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
