"""The Python client: search, follow and work on alerts from a script.

>>> from sentinel.client import Sentinel
>>> with Sentinel("http://127.0.0.1:8090", token="…") as api:  # doctest: +SKIP
...     for alert in api.alerts("user:alice AND severity>=high AND time>now-24h"):
...         print(alert["time"], alert["title"])
...     api.change(alert["id"], status="triaged", assignee="user:ada")
...     for change in api.follow("severity:critical"):
...         print(change.kind, change.alert["title"])

Lists are read page by page as they are looped over. What the API refuses is an `ApiError` with
its words; a connection that breaks while following is made anew, and nothing is missed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

import httpx

from sentinel.errors import SentinelError

PAGE = 500
TIMEOUT_S = 60.0
#: The API sends a heartbeat every 15 s; after this long without one it is gone.
SILENCE_S = 45.0
RETRY_S = 2.0
Alert = dict[str, Any]


class ApiError(SentinelError):
    """The API refused a request.

    Attributes
    ----------
    status
        HTTP status.
    problem
        The problem details (RFC 9457).
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"the API answered {status}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem


class Change(NamedTuple):
    """One event of the stream: ``alert`` for a new one, ``amendment`` for a changed one."""

    kind: str
    id: str
    alert: Alert


class Sentinel:
    """A connection to the API of Sentinel; use it as a context manager, or `close` it.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:8090``.
    token
        An API key, an access token, or what the file ``api-token`` of SENTINEL_HOME holds.
    transport
        Of httpx, instead of the network.
    """

    def __init__(
        self, url: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def alerts(self, query: str = "", **filters: Any) -> Iterator[Alert]:
        """Yield the alerts that a search finds, newest first; `filters` as `GET /v1/alerts`."""
        return self._pages("/v1/alerts", {"query": query, **filters})

    def events(self, query: str = "", **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield the events that a search finds, newest first; `filters` as `GET /v1/events`."""
        return self._pages("/v1/events", {"query": query, **filters})

    def incidents(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield incidents, those with the latest events first."""
        return self._pages("/v1/incidents", filters)

    def findings(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield findings of scanners, worst first."""
        return self._pages("/v1/findings", filters)

    def entities(self, **filters: Any) -> list[dict[str, Any]]:
        """Return who has open alerts, highest risk first."""
        found: list[dict[str, Any]] = self.get("/v1/entities", **filters)["items"]
        return found

    def alert(self, alert_id: UUID | str) -> Alert:
        """Return one alert with the first page of its evidence."""
        found: Alert = self.get(f"/v1/alerts/{alert_id}")
        return found

    def timeline(self, alert_id: UUID | str) -> Iterator[dict[str, Any]]:
        """Yield what happened to an alert, oldest first."""
        return self._pages(f"/v1/alerts/{alert_id}/timeline", {})

    def change(self, alert_id: UUID | str, *, version: str = "", **change: Any) -> Alert:
        """Change an alert: `status`, `assignee`, `disposition` with `reason`, `comment`.

        Parameters
        ----------
        version
            ``ETag`` of the alert as it was looked at: where another person changed it
            since, nothing is changed (`ApiError` with status 412).
        """
        headers = {"If-Match": version} if version else {}
        answer = self._http.patch(f"/v1/alerts/{alert_id}", json=change, headers=headers)
        found: Alert = _checked(answer).json()
        return found

    def change_all(
        self, *, query: str | None = None, ids: Sequence[UUID | str] | None = None, **change: Any
    ) -> dict[str, Any]:
        """Change all alerts with these ids, or that a search finds; all or none."""
        given: dict[str, Any] = {"change": change}
        given |= {"query": query} if ids is None else {"ids": [str(each) for each in ids]}
        found: dict[str, Any] = _checked(self._http.post("/v1/alerts/bulk", json=given)).json()
        return found

    def export(self, what: str, path: Path | str, *, format_: str = "csv", **filters: Any) -> int:
        """Write all alerts or events that a search finds to a file; return its size in bytes."""
        size = 0
        given = {"format": format_, **filters}
        with (
            self._http.stream("GET", f"/v1/exports/{what}", params=given, timeout=600.0) as answer,
            Path(path).open("wb") as file,
        ):
            for chunk in _checked(answer).iter_bytes():
                size += file.write(chunk)
        return size

    def follow(
        self, query: str = "", *, after: str | None = None, **filters: Any
    ) -> Iterator[Change]:
        """Yield alerts as they are created and change, for ever; connect again where it breaks.

        Parameters
        ----------
        after
            `Change.id` to begin after (``"0"``: with the first alert); None: what comes next.
        """
        given = _given({"query": query, **filters})
        last = after
        while True:
            headers = {} if last is None else {"Last-Event-ID": last}
            try:
                with self._http.stream(
                    "GET", "/v1/alerts/stream", params=given, headers=headers, timeout=SILENCE_S
                ) as answer:
                    for fields in messages(_checked(answer)):
                        last = fields.get("id", last)
                        kind, data = fields.get("event", ""), json.loads(fields["data"])
                        yield Change(kind, last or "", data)
            except httpx.TransportError:
                pass  # tried again below, from where it was
            time.sleep(RETRY_S)

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of any path of the API."""
        return _checked(self._http.get(path, params=_given(params))).json()

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self.get(path, **{"limit": PAGE, **params, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, "", [])}


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        problem = json.loads(answer.read())
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": answer.reason_phrase}
    raise ApiError(answer.status_code, problem)


def messages(answer: httpx.Response) -> Iterator[dict[str, str]]:
    """Yield the fields of each event of a stream, as the HTML standard cuts them up."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if "data" in fields:
                yield fields
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name:  # a line that begins with a colon is a comment
            fields[name] = value.removeprefix(" ")
