"""Tables of Azure Monitor Logs (Log Analytics): rows of a table, by time.

Rows are read in the order of ``TimeGenerated`` and the id column, a page at a time, by query;
columns of the type dynamic become objects again, and each row is one JSON object with the
columns that hold something. A result that the service cut short is used as far as it goes,
and asked for again.

Source: Microsoft, "Azure Monitor Query client library for Python", "Azure Monitor Logs tables
reference", "Standard columns".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from pydantic import Field

from connectors._azure.reading.credential import AzureSettings, Credential
from connectors._azure.reading.failure import failure, status_of
from connectors._json.times import rfc3339
from connectors._reading.base import Check, ReaderSettings, SourceError
from connectors._reading.polling.windows import Event, WindowReader, WindowSettings
from connectors.base import Connector

if TYPE_CHECKING:
    from azure.monitor.query import LogsQueryClient, LogsTable

PAGE_ROWS: Final = 2000
"""Rows of a query; the service gives at most 500,000 rows or 64 MB."""
NEEDS: Final = "the role Log Analytics Reader on the workspace"
_UNAUTHORIZED: Final = 401
_TIME, _ID = "sentinel_time", "sentinel_id"
_TABLES: Final = {
    "azure_activity": "AzureActivity",
    "azure_audit": "AuditLogs",
    "azure_resource": "AzureDiagnostics",
    "azure_signin": "SigninLogs",
    "m365": "OfficeActivity",
}


class MonitorSettings(AzureSettings, WindowSettings):
    """Which tables of which workspace."""

    workspace_id: str = Field(description="Id of the Log Analytics workspace.")
    tables: list[str] = Field(
        [], description="Tables (SigninLogs, …); none: the one that the source is named after."
    )
    where: str = Field("", description="KQL condition for the rows, added with `where`.")
    id_column: str = Field("_ItemId", description="Column that names a row.")
    endpoint: str = Field("https://api.loganalytics.io", description="Address of the query API.")
    look_back_s: float = Field(
        3600.0, ge=0, description="Seconds that rows may be ingested late (minutes, as a rule)."
    )


class MonitorReader(WindowReader):
    """Rows of tables of a Log Analytics workspace."""

    Settings: ClassVar[type[ReaderSettings]] = MonitorSettings
    settings: MonitorSettings
    oldest_s: ClassVar[float] = 90 * 86_400.0

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._credential = Credential(settings)
        self._client: LogsQueryClient | None = None
        source = type(connector).__module__.rpartition(".")[2]
        self._tables = settings.tables or [_TABLES.get(source, "AzureDiagnostics")]

    def pages(self, start: datetime, end: datetime) -> Iterator[Iterable[Event]]:
        """Yield the rows of every table, `PAGE_ROWS` at a time."""
        for table in self._tables:
            after: tuple[str, str] | None = None
            while True:
                rows, cut_short = self._ask(table, start, end, after)
                full = len(rows) >= PAGE_ROWS
                after = (rows[-1].get(_TIME, ""), rows[-1].get(_ID, "")) if full else None
                yield [self._event(table, row) for row in rows]
                if cut_short:
                    raise SourceError(f"{table}: the result was cut short: {cut_short}")
                if not full:
                    break

    def _query(self, table: str, after: tuple[str, str] | None) -> str:
        """Return the KQL for one page; the span of time goes beside it."""
        chosen = self.settings
        parts = [table]
        if chosen.where:
            parts.append(f"where {chosen.where}")
        parts.append(
            f"extend {_TIME} = format_datetime(TimeGenerated, 'yyyy-MM-ddTHH:mm:ss.fffffff'), "
            f"{_ID} = coalesce(tostring({chosen.id_column}), hash_sha256(tostring(pack_all())))"
        )
        if after is not None:
            when, last = after
            quoted = msgspec.json.encode(last).decode()
            parts.append(
                f"where TimeGenerated > datetime({when}) or "
                f"(TimeGenerated == datetime({when}) and strcmp({_ID}, {quoted}) > 0)"
            )
        parts += [f"sort by TimeGenerated asc, {_ID} asc", f"take {PAGE_ROWS}"]
        return "\n| ".join(parts)

    def _ask(
        self, table: str, start: datetime, end: datetime, after: tuple[str, str] | None
    ) -> tuple[list[dict[str, Any]], str]:
        """Return the rows of a page, and what the service says where it cut them short."""
        from azure.core.exceptions import AzureError
        from azure.monitor.query import LogsQueryPartialResult

        query = self._query(table, after)
        for fresh in (False, True):
            try:
                result = self._connected(fresh).query_workspace(
                    self.settings.workspace_id, query, timespan=(start, end)
                )
                break
            except AzureError as error:
                # A token that was refused is fetched anew, once.
                if fresh or status_of(error) != _UNAUTHORIZED:
                    raise failure(error, f"query {table}", NEEDS) from error
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                problem = f"query {table}: expected tables, found an answer that does not fit"
                raise SourceError(f"{problem}: {error!s:.120}; it is asked again") from error
        if isinstance(result, LogsQueryPartialResult):
            said = str(result.partial_error)[:200] or "no reason"
            return _rows(result.partial_data), said
        return _rows(result.tables), ""

    def _connected(self, fresh: bool) -> LogsQueryClient:
        from azure.monitor.query import LogsQueryClient

        if fresh:
            self.close()
        if self._client is None:
            self._client = LogsQueryClient(
                self._credential.get(),
                endpoint=self.settings.endpoint,
                **self._credential.options,
            )
        return self._client

    def _event(self, table: str, row: dict[str, Any]) -> Event:
        """Return the event of a row; a row without an id is named after its content."""
        when, name = row.pop(_TIME, ""), row.pop(_ID, "")
        value = msgspec.json.encode(row)
        name = name or hashlib.sha256(value).hexdigest()[:32]
        return Event(f"azure:{table}/{name}", _seconds(when), value)

    def check(self) -> Iterator[Check]:
        """Ask each table for a row of the last hour."""
        end = datetime.fromtimestamp(self.clock(), UTC)
        start = datetime.fromtimestamp(self.clock() - 3600, UTC)
        for table in self._tables:
            what = f"query {table} in workspace {self.settings.workspace_id}"
            try:
                rows, _ = self._ask(table, start, end, None)
            except SourceError as error:
                yield Check(what, ok=False, detail=str(error))
            else:
                yield Check(what, ok=True, detail=f"{len(rows)} rows in the last hour")

    def close(self) -> None:
        """Let go of connections, and of tokens."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._credential.close()


def _rows(tables: list[LogsTable]) -> list[dict[str, Any]]:
    """Return the rows of a result as objects, without the columns that hold nothing."""
    found = []
    for table in tables:
        kinds = list(zip(table.columns, table.columns_types, strict=True))
        for row in table.rows:
            values = {
                name: _value(value, kind) for (name, kind), value in zip(kinds, row, strict=True)
            }
            found.append({name: value for name, value in values.items() if value not in (None, "")})
    return found


def _value(value: Any, kind: str) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value, "auto")
    if kind == "dynamic" and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except (ValueError, RecursionError):
            return value
    return value


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SourceError(f"expected a time in {_TIME}, found {text!r:.60}") from error
