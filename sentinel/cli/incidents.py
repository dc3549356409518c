"""List incidents: alerts that share who, from where or on what, within a day."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from schemas.ocsf import SEVERITY_NAMES
from sentinel import local, postgres
from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

COLUMNS = ("last seen", "severity", "title", "alerts", "entities", "tactics", "status", "id")
#: Rows of a table for a person, unless told otherwise; JSON has them all.
SCREEN = 50
#: Names of a list that a table shows.
NAMED = 3
_QUERY = """
SELECT id::text, seq, revision, tenant, title, severity, severity_id, score, tactics, techniques,
  entities, sources, alerts, status, merged_into::text, first_seen, last_seen
FROM incidents
WHERE severity_id >= $1 AND alerts >= $2
  AND ($3::text IS NULL OR entities @> ARRAY[$3]) AND ($4::text IS NULL OR status = $4)
  AND ($5::timestamptz IS NULL OR last_seen >= $5::timestamptz)
ORDER BY last_seen DESC, id DESC
LIMIT $6
"""


def command(
    since: Annotated[
        str | None, typer.Option(help="Time, or a span back from now such as 12h.")
    ] = None,
    min_severity: Annotated[str, typer.Option(help="This or worse.")] = "informational",
    min_alerts: Annotated[int, typer.Option(min=1, help="Only those of so many alerts.")] = 1,
    entity: Annotated[str | None, typer.Option(help="Who did it, in full.")] = None,
    status: Annotated[str | None, typer.Option(help="Such as new.")] = None,
    tenant: _common.TenantFilter = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most incidents; default: all, 50 on a screen.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show incidents, the one with the latest alert first; as JSON lines all of them."""
    severities = {name.lower(): number for number, name in SEVERITY_NAMES.items()}
    if min_severity.lower() not in severities:
        raise SettingsError(
            f"expected --min-severity among {', '.join(severities)}, found {min_severity!r}"
        )
    from_ = _client.moment(since)
    most = limit or (None if json else SCREEN + 1)
    asked = (severities[min_severity.lower()], min_alerts, entity, status, from_, most)
    rows = [dict(row) for row in read(tenant or postgres.ALL_TENANTS, _QUERY, *asked)]
    if json:
        _common.print_json(*rows)
        return
    shown = rows if limit else rows[:SCREEN]
    _common.print_table("Incidents", COLUMNS, map(_cells, shown))
    if len(rows) > len(shown):
        _common.note(f"There are more than {SCREEN}: use --limit, --json or a filter.")


def read(tenant: str, query: str, *asked: Any) -> list[Any]:
    """Return the rows of a query over one tenant, or all."""

    async def run() -> list[Any]:
        settings = local.connect(_common.settings(), "postgres")
        pool = await postgres.open_pool(settings.postgres, postgres.API, tenant=tenant, size=1)
        try:
            rows: list[Any] = await pool.fetch(query, *asked)
        finally:
            await pool.close()
        return rows

    return asyncio.run(run())


def _cells(row: dict[str, Any]) -> list[Any]:
    return [
        f"{row['last_seen']:%Y-%m-%d %H:%M}",
        *(row["severity"], row["title"], row["alerts"]),
        *(some(row["entities"]), some(row["tactics"]), row["status"], row["id"]),
    ]


def some(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
