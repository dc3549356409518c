"""List what scanners found, by what became of it: new, recurring, reopened, resolved."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer

from detectors.findings import STATES, Known, in_ocsf
from schemas.ocsf import SEVERITY_NAMES
from sentinel import local, postgres
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

COLUMNS = ("state", "severity", "last seen", "rule", "title", "target", "tool")
#: Rows of a table for a person, unless told otherwise; JSON has them all.
SCREEN = 50
_QUERY = """
SELECT uid::text, tenant, tool, target, scope, source, rule, title, severity_id, suppressed, state,
  scan::text, first_seen, last_seen, judged, ocsf::text
FROM findings
WHERE state = ANY ($1) AND severity_id >= $2 AND ($3::text IS NULL OR source = $3)
  AND ($4::text IS NULL OR target = $4) AND (suppressed = false OR $5)
  AND ($6::text IS NULL OR scope = $6)
ORDER BY severity_id DESC, last_seen DESC, tenant, tool, uid
LIMIT $7
"""


def command(
    state: Annotated[
        list[str] | None, typer.Option(help="Any of these; repeat it. Default: all but resolved.")
    ] = None,
    min_severity: Annotated[str, typer.Option(help="This or worse.")] = "unknown",
    source: Annotated[str | None, typer.Option(help="Such as trivy.")] = None,
    target: Annotated[str | None, typer.Option(help="What was scanned, in full.")] = None,
    scope: Annotated[
        str | None, typer.Option(help="Part of the target, in full; '': found by a whole scan.")
    ] = None,
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="Also those that someone accepted.")
    ] = False,
    tenant: _common.TenantFilter = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most findings; default: all, 50 on a screen.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show findings, worst first; as JSON lines with the OCSF event, all of them unless limited."""
    wanted = state or [each for each in STATES if each != "resolved"]
    if unknown := sorted({*wanted} - {*STATES}):
        raise SettingsError(f"expected --state among {', '.join(STATES)}, found {unknown[0]!r}")
    severities = {name.lower(): number for number, name in SEVERITY_NAMES.items()}
    if min_severity.lower() not in severities:
        raise SettingsError(
            f"expected --min-severity among {', '.join(severities)}, found {min_severity!r}"
        )
    most = limit or (None if json else SCREEN + 1)
    asked = (wanted, severities[min_severity.lower()], source, target, suppressed, scope, most)
    rows = asyncio.run(_read(tenant or postgres.ALL_TENANTS, asked))
    if json:
        for row in rows:
            _common.print_json(_object(row))
        return
    shown = rows if limit else rows[:SCREEN]
    _common.print_table("Findings", COLUMNS, map(_cells, shown))
    if len(rows) > len(shown):
        _common.note(f"There are more than {SCREEN}: use --limit, --json or a filter.")


async def _read(tenant: str, asked: tuple[Any, ...]) -> list[Any]:
    """Read findings of one tenant, or of all."""
    settings = local.connect(_common.settings(), "postgres")
    pool = await postgres.open_pool(settings.postgres, postgres.API, tenant=tenant, size=1)
    try:
        rows: list[Any] = await pool.fetch(_QUERY, *asked)
    finally:
        await pool.close()
    return rows


def _cells(row: Any) -> list[Any]:
    when = f"{row['last_seen']:%Y-%m-%d %H:%M}"
    severity = SEVERITY_NAMES[row["severity_id"]].lower()
    return [
        *(row["state"], severity, when, row["rule"], row["title"]),
        *(row["target"], row["tool"]),
    ]


def _object(row: Any) -> dict[str, Any]:
    """Return one finding as scripts get it."""
    first, last, judged = (_ms(row[name]) for name in ("first_seen", "last_seen", "judged"))
    known = Known(row["state"], row["scan"], first, last, judged)
    names = ("uid", "tenant", "source", "tool", "target", "scope", "rule", "title")
    return {name: row[name] for name in names} | {
        "severity": SEVERITY_NAMES[row["severity_id"]].lower(),
        "state": row["state"],
        "suppressed": row["suppressed"],
        "first_seen": row["first_seen"].isoformat(),
        "last_seen": row["last_seen"].isoformat(),
        "scan": row["scan"],
        "ocsf": in_ocsf(orjson.loads(row["ocsf"]), known),
    }


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
