"""Doubles of Microsoft's login, Azure Monitor Logs, Microsoft Graph and blob storage.

Sources: Microsoft, "OAuth 2.0 client credentials flow", "Azure Monitor Log Analytics API",
"List signIns" and "Paging Microsoft Graph data", "List Blobs" and "Get Blob".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from sentinel.testing.server import Request, Response, ScriptedServer, Tokens, paged, reply

SECRET: Final = "a-secret-of-the-double"  # noqa: S105 - nobody else takes it
_TIME: Final = re.compile(r"(\w+) (ge|lt) (\S+)")
_AFTER: Final = re.compile(r'TimeGenerated > datetime\(([^)]+)\).*strcmp\(\w+, "([^"]*)"\) > 0')
_TAKE: Final = re.compile(r"take (\d+)")
_EXPIRES_S: Final = 3599


def denied(message: str, status: int = 401) -> Response:
    """Return the error that Microsoft's APIs answer with."""
    return reply({"error": {"code": "InvalidAuthenticationToken", "message": message}}, status)


class AzureLogin:
    """Where tokens come from: ``<url>/<tenant>`` is the authority.

    Attributes
    ----------
    tokens
        Every token it gave; `revoke` them to make them expire.
    """

    def __init__(self, server: ScriptedServer, tokens: Tokens | None = None) -> None:
        self._server = server
        self.tokens = tokens or Tokens()
        server.route("GET", r".*/v2\.0/\.well-known/openid-configuration", self._configuration)
        server.route("POST", r".*/oauth2/v2\.0/token", self._token)

    def _configuration(self, request: Request) -> Response:
        tenant = f"{self._server.url}/{request.path.split('/')[1]}"
        return reply(
            {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            }
        )

    def _token(self, request: Request) -> Response:
        if request.form().get("client_secret") != SECRET:
            problem = "AADSTS7000215: Invalid client secret provided."
            return reply({"error": "invalid_client", "error_description": problem}, 401)
        token = self.tokens.issue()
        return reply({"token_type": "Bearer", "expires_in": _EXPIRES_S, "access_token": token})


class MonitorDouble:
    """Azure Monitor Logs: answers the queries of `connectors._azure.reading.monitor`.

    Parameters
    ----------
    tables
        Rows by table; each has ``TimeGenerated`` (ISO 8601) and ``_ItemId``.

    Attributes
    ----------
    partial
        How many queries yet are answered with half of their rows and an error beside them.
    """

    def __init__(
        self, server: ScriptedServer, tokens: Tokens, tables: Mapping[str, Sequence[dict[str, Any]]]
    ) -> None:
        self._tokens, self._tables = tokens, tables
        self.partial = 0
        server.route("POST", r"/v1/workspaces/[^/]+/query", self._query)

    def _query(self, request: Request) -> Response:
        if not self._tokens.good(request.bearer()):
            return denied("The token is invalid or expired.")
        asked = request.json()
        rows = self._rows(asked["query"], *asked["timespan"].split("/"))
        answer: dict[str, Any] = {}
        if self.partial:
            self.partial -= 1
            rows = rows[: len(rows) // 2]
            answer["error"] = {"code": "PartialError", "message": "The query took too long."}
        return reply({"tables": [_table(rows)], **answer})

    def _rows(self, query: str, start: str, end: str) -> list[dict[str, Any]]:
        """Return the rows that a query of the reader selects."""
        first, last = _moment(start), _moment(end)
        name = query.split("\n", 1)[0].strip()
        found = [
            {**row, "sentinel_time": _ticks(row["TimeGenerated"]), "sentinel_id": row["_ItemId"]}
            for row in self._tables[name]
            if first <= _moment(row["TimeGenerated"]) < last
        ]
        found.sort(key=lambda row: (row["sentinel_time"], row["sentinel_id"]))
        if after := _AFTER.search(query.replace("\n", " ")):
            found = [r for r in found if (r["sentinel_time"], r["sentinel_id"]) > after.groups()]
        take = _TAKE.search(query)
        return found[: int(take[1])] if take else found


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {"TimeGenerated": "datetime"}
    dynamic = {n for row in rows for n, value in row.items() if isinstance(value, dict | list)}
    return {
        "name": "PrimaryResult",
        "columns": [
            {"name": n, "type": "dynamic" if n in dynamic else kinds.get(n, "string")}
            for n in names
        ],
        "rows": [[_cell(row.get(n)) for n in names] for row in rows],
    }


def _cell(value: Any) -> Any:
    return reply(value).body.decode() if isinstance(value, dict | list) else value


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _ticks(text: str) -> str:
    """Return a time with seven digits, as KQL's ``format_datetime`` does."""
    return _moment(text).strftime("%Y-%m-%dT%H:%M:%S.%f0")


class GraphDouble:
    """Microsoft Graph: filters by time, pages by ``@odata.nextLink``.

    Parameters
    ----------
    resources
        Events by path below the version (``auditLogs/signIns``).
    size
        Events of a page.

    Attributes
    ----------
    reverse
        Whether the newest come first.
    """

    def __init__(
        self,
        server: ScriptedServer,
        tokens: Tokens,
        resources: Mapping[str, Sequence[dict[str, Any]]],
        size: int = 3,
    ) -> None:
        self._server, self._tokens, self._size = server, tokens, size
        self._resources = resources
        self.reverse = False
        server.route("GET", r"/(v1\.0|beta)/.*", self._list)

    def _list(self, request: Request) -> Response:
        if not self._tokens.good(request.bearer()):
            return denied("Lifetime validation failed, the token is expired.")
        place = request.path.split("/", 2)[2]
        if place not in self._resources:
            return denied("Insufficient privileges to complete the operation.", 403)
        events = [e for e in self._resources[place] if _within(e, request.param("$filter"))]
        if self.reverse:
            events.reverse()
        items, token = paged(events, request.param("$skiptoken"), self._size)
        answer: dict[str, Any] = {"value": list(items)}
        if token:
            given = quote(request.param("$filter"))
            answer["@odata.nextLink"] = (
                f"{self._server.url}{request.path}?$filter={given}&$skiptoken={token}"
            )
        return reply(answer)


def _within(event: Mapping[str, Any], condition: str) -> bool:
    for field, operator, text in _TIME.findall(condition):
        when, bound = _moment(event[field]), _moment(text)
        if (operator == "ge" and when < bound) or (operator == "lt" and when >= bound):
            return False
    return True


class StorageDouble:
    """Blob storage: lists a container, and gives ranges of its blobs.

    Attributes
    ----------
    blobs
        Content and time of the last change by name; tests let them grow.
    """

    def __init__(self, server: ScriptedServer, container: str, tokens: Tokens) -> None:
        self._container, self._tokens = container, tokens
        self.blobs: dict[str, tuple[bytes, datetime]] = {}
        server.route("GET", f"/{container}", self._list)
        server.route("GET", f"/{container}/.+", self._get)

    def _refused(self, request: Request) -> Response | None:
        if self._tokens.good(request.bearer()):
            return None
        return _xml_error(401, "InvalidAuthenticationInfo")

    def _list(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        prefix = request.param("prefix")
        names = [name for name in sorted(self.blobs) if name.startswith(prefix)]
        size = int(request.param("maxresults") or 2)
        chosen, marker = paged(names, request.param("marker"), size)
        rows = "".join(self._row(name) for name in chosen)
        body = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults '
            f'ContainerName="{self._container}"><Blobs>{rows}</Blobs>'
            f"<NextMarker>{marker}</NextMarker></EnumerationResults>"
        )
        return Response(200, body.encode(), {"Content-Type": "application/xml"})

    def _row(self, name: str) -> str:
        data, changed = self.blobs[name]
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties>"
            f"<Last-Modified>{format_datetime(changed, usegmt=True)}</Last-Modified>"
            f"<Etag>0x1</Etag><Content-Length>{len(data)}</Content-Length>"
            f"<BlobType>BlockBlob</BlobType></Properties></Blob>"
        )

    def _get(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        name = unquote(request.path).split("/", 2)[2]
        if name not in self.blobs:
            return _xml_error(404, "BlobNotFound")
        data, changed = self.blobs[name]
        asked = request.headers.get("x-ms-range", f"bytes=0-{len(data)}").partition("=")[2]
        start, _, end = asked.partition("-")
        part = data[int(start) : int(end or len(data)) + 1]
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}",
            "Last-Modified": format_datetime(changed, usegmt=True),
            "ETag": '"0x1"',
            "x-ms-blob-type": "BlockBlob",
        }
        return Response(206, part, headers)


def _xml_error(status: int, code: str) -> Response:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Response(
        status, body.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code}
    )
