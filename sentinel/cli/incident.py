"""Show one incident: what it is about, and its alerts in the order in which they happened."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from sentinel import postgres
from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli.incidents import read
from sentinel.errors import SettingsError

COLUMNS = ("time", "severity", "title", "entity", "techniques", "count", "status", "id")
LISTS = ("entities", "tactics", "techniques", "sources")
_LIKE = "SELECT id FROM incidents WHERE id::text LIKE $1 || '%' LIMIT 2"
#: A merged incident leads to the one that has its alerts; a chain of merges has an end.
_ONE = """
WITH RECURSIVE chain AS (
  SELECT tenant, id, merged_into, 0 AS step FROM incidents WHERE id = $1
  UNION ALL
  SELECT i.tenant, i.id, i.merged_into, step + 1 FROM chain AS c
  JOIN incidents AS i ON i.tenant = c.tenant AND i.id = c.merged_into WHERE step < 1000
)
SELECT i.id::text, i.seq, i.revision, i.tenant, i.title, i.severity, i.score, i.tactics,
  i.techniques, i.entities, i.sources, i.alerts, i.status, i.first_seen, i.last_seen
FROM chain AS c JOIN incidents AS i ON i.tenant = c.tenant AND i.id = c.id
ORDER BY c.step DESC LIMIT 1
"""
_ALERTS = """
SELECT a.id::text, a.kind, a.rule_id, a.title, a.source, a.severity, a.score, a.techniques,
  a.entity, a.status, a.count, a.first_seen, a.last_seen, a.explanation ->> 'what' AS what
FROM incident_alerts AS m JOIN alerts AS a ON a.tenant = m.tenant AND a.id = m.alert_id
WHERE m.incident_id = $1
ORDER BY a.first_seen, a.id
"""


def command(
    incident_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="As `sentinel incidents` shows it; its beginning will do."
        ),
    ],
    tenant: Annotated[str | None, typer.Option(help="Look at one tenant only.")] = None,
    json: JsonOption = False,
) -> None:
    """Show an incident with all its alerts; one that was merged leads to where they are now."""
    whose = tenant or postgres.ALL_TENANTS
    rows = read(whose, _ONE, _whole(whose, incident_id))
    if not rows:
        raise SettingsError(
            f"expected an incident, found none with the id {incident_id}; `sentinel incidents` "
            "has them"
        )
    incident = dict(rows[0])
    alerts = [dict(row) for row in read(whose, _ALERTS, UUID(incident["id"]))]
    if json:
        _common.print_json(incident | {"members": alerts})
    else:
        _show(incident, alerts)


def _whole(whose: str, given: str) -> UUID:
    """Return the whole id of an incident of which the first characters are given."""
    with suppress(ValueError):
        return UUID(given)  # found by the index; a beginning is looked for in every row
    _client.check_beginning(given, "an incident", "`sentinel incidents`")
    found = read(whose, _LIKE, given.lower())
    if len(found) != 1:
        many = "several" if found else "none"
        raise SettingsError(f"expected one incident whose id begins with {given}, found {many}")
    whole: UUID = found[0]["id"]
    return whole


def _show(incident: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    console = _common.console
    console.print(f"[bold]{escape(incident['title'])}[/]  {incident['id']}", soft_wrap=True)
    first, last = incident["first_seen"], incident["last_seen"]
    console.print(
        f"{incident['severity']}, {incident['alerts']} alert(s) from {first:%Y-%m-%d %H:%M:%S} "
        f"to {last:%Y-%m-%d %H:%M:%S} UTC, {incident['status']}"
    )
    for name in LISTS:
        if incident[name]:
            console.print(f"  {name:<11} {escape(', '.join(incident[name]))}", soft_wrap=True)
    _common.print_table("Alerts", COLUMNS, map(_cells, alerts))


def _cells(alert: dict[str, Any]) -> list[Any]:
    shown = alert | {
        "time": f"{alert['first_seen']:%Y-%m-%d %H:%M:%S}",
        "techniques": " ".join(alert["techniques"]),
    }
    return [shown[name] for name in COLUMNS]
