"""Talk to the API: pages, one object, and the stream of alerts, with the errors for people."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson

from sentinel import local
from sentinel.cli import _common
from sentinel.client import messages
from sentinel.errors import SentinelError, SettingsError, StackError
from sentinel.settings import resolve

PAGE = 1000
TIMEOUT_S = 60.0
#: The API sends a heartbeat every 15 s; after this long without one it is gone.
SILENCE_S = 45.0
RETRY_S = 2.0
#: Alerts among which the first characters of an id are looked for.
RECENT = 20_000
_WHOLE = "00000000-0000-0000-0000-000000000000"
_BEGINNING = re.compile(r"[0-9a-fA-F]{4}[0-9a-fA-F-]{0,32}\Z")
#: How the API says where to look instead.
_LISTED = re.compile(r"GET /v1/(\w+) lists")
_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: Longest query that an error shows with a mark below it, in characters.
WIDEST = 160
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Change(NamedTuple):
    """One event of the stream: ``alert`` for a new one, ``amendment`` for a changed one."""

    kind: str
    alert: dict[str, Any]


@contextmanager
def connect() -> Iterator[httpx.Client]:
    """Yield a client of the API: of the running stack's, or of the one at SENTINEL_API_URL.

    It asks with SENTINEL_API_TOKEN, a key such as `sentinel keys add` makes, and sees what that
    key may; or with the token in SENTINEL_HOME, which may see everything.

    Raises
    ------
    StackError
        The API is not running, or stops answering while the client is in use.
    SettingsError
        There is no token.
    """
    settings = _common.settings()
    found = local.find(settings, "api")
    token = resolve(settings.api_token.get_secret_value()) or _token(found.token_file)
    url = httpx.URL(found.api)
    headers = {"Authorization": f"Bearer {token}"}
    near = url.host in LOOPBACK  # no proxy leads there
    try:
        with httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=not near
        ) as client:
            yield client
    except httpx.TransportError as error:
        raise StackError(
            f"expected the API at {found.api}, found: {error or type(error).__name__}; "
            "is it up (`sentinel status`)?"
        ) from error


def _token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"expected an API key in SENTINEL_API_TOKEN, or the API's token in {path}, found: "
            f"{error.strerror}; `sentinel keys add` makes a key, SENTINEL_HOME says where the API "
            "runs"
        ) from error


def get(client: httpx.Client, path: str, params: Mapping[str, Any]) -> Any:
    """Return the JSON at `path`; parameters that are None or empty lists are left out."""
    given = {name: value for name, value in params.items() if value not in (None, [])}
    return orjson.loads(checked(client.get(path, params=given)).content)


def checked(response: httpx.Response) -> httpx.Response:
    """Return the response; raise `SentinelError` with the API's own words where it is an error."""
    if response.is_success:
        return response
    try:
        problem = orjson.loads(response.read())
        detail = problem["detail"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        detail = response.reason_phrase
    else:
        detail += _pointer(problem, response.request.url.params.get("query", ""))
    if response.status_code == httpx.codes.NOT_FOUND:
        detail = _LISTED.sub(_listing_command, detail)
        raise SentinelError(f"expected what is there and your key may see, found: {detail}")
    raise SentinelError(f"the API answered {response.status_code}: {detail}")


def _listing_command(path: re.Match[str]) -> str:
    """Return the command that lists what the API lists at a path."""
    shown = (
        path[1] if path[1] in {"alerts", "events", "incidents", "findings"} else f"{path[1]} list"
    )
    return f"`sentinel {shown}` lists"


def _pointer(problem: Mapping[str, Any], query: str) -> str:
    """Return the query with a mark below the place that an error names."""
    columns = [error["column"] for error in problem.get("errors", ()) if "column" in error]
    if not columns or not 0 < len(query) <= WIDEST or not query.isprintable():
        return ""
    return f"\n  {query}\n  {' ' * (columns[0] - 1)}^"


def check_beginning(given: str, what: str, shows: str) -> None:
    """Raise SettingsError where `given` is neither the id of `what` nor enough of its beginning."""
    if not _BEGINNING.match(given):
        raise SettingsError(
            f"expected the id of {what}, or its first 4 characters or more, found {given!r}; "
            f"{shows} shows them"
        )


def alert_id(client: httpx.Client, given: str) -> str:
    """Return the whole id of an alert of which the first characters are given.

    Raises
    ------
    SettingsError
        It is no beginning of an id, or of none or several of the latest `RECENT` alerts.
    """
    check_beginning(given, "an alert", "`sentinel alerts`")
    if len(given) == len(_WHOLE):
        return given
    recent = pages(client, "/v1/alerts", {"fields": "id"}, RECENT)
    found = [each["id"] for each in recent if each["id"].startswith(given.lower())]
    if len(found) != 1:
        many = f"{len(found)} of them" if found else f"none among the latest {RECENT:,}"
        raise SettingsError(f"expected one alert whose id begins with {given}, found {many}")
    return str(found[0])


def pages(
    client: httpx.Client, path: str, params: Mapping[str, Any], limit: int | None
) -> Iterator[dict[str, Any]]:
    """Yield the items of all pages, at most `limit`."""
    cursor = None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = get(client, path, {**params, "limit": size, "cursor": cursor})
        yield from page["items"]
        left = None if left is None else left - len(page["items"])
        cursor = page["next"]
        if cursor is None:
            return


def follow(client: httpx.Client, params: Mapping[str, Any], after: int | None) -> Iterator[Change]:
    """Yield alerts as they are created and amended, for ever; connect again where it breaks.

    Parameters
    ----------
    after
        Revision to begin after (0: with the first alert), None: with what comes next.
    """
    given = {name: value for name, value in params.items() if value not in (None, [], "")}
    last = None if after is None else str(after)
    while True:
        headers = {} if last is None else {"Last-Event-ID": last}
        try:
            with client.stream(
                "GET", "/v1/alerts/stream", params=given, headers=headers, timeout=SILENCE_S
            ) as response:
                for fields in messages(checked(response)):
                    last = fields.get("id", last)
                    yield Change(fields.get("event", ""), orjson.loads(fields["data"]))
        except httpx.TransportError as error:
            _common.note(f"lost the API ({error or type(error).__name__}), trying again")
        time.sleep(RETRY_S)


def moment(value: str | None) -> str | None:
    """Return a time for the API: RFC 3339 as it is, or a span back from now (``90m``, ``7d``).

    >>> moment("2026-01-31T12:00:00Z")
    '2026-01-31T12:00:00+00:00'

    Raises
    ------
    SettingsError
        It is neither.
    """
    if value is None:
        return None
    if span := _SPAN.match(value):
        back = timedelta(**{_UNITS[span[2]]: int(span[1])})
        return (datetime.now(UTC) - back).isoformat()
    try:
        time_ = datetime.fromisoformat(value)
    except ValueError as error:
        raise SettingsError(
            f"expected a time such as 2026-01-31T12:00:00Z, or 90m, 12h, 7d; found {value!r}"
        ) from error
    return (time_ if time_.tzinfo else time_.astimezone()).isoformat()
