"""List incidents: alerts that share who, from where or on what, within a day."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options

COLUMNS = ("last seen", "severity", "title", "alerts", "entities", "tactics", "status", "id")
#: Names of a list that a table shows.
NAMED = 3


def command(
    since: options.Since = None,
    until: options.Until = None,
    min_severity: options.MinSeverity = None,
    min_alerts: Annotated[int, typer.Option(min=1, help="Only those of so many alerts.")] = 1,
    entity: options.Entity = None,
    status: options.Status = None,
    tenant: options.OnlyTenant = None,
    limit: options.Limit = None,
    json: JsonOption = False,
) -> None:
    """Show incidents, the one with the latest alert first; as JSON lines all of them."""
    params = {
        **listing.span(since, until),
        "min_severity": options.severity(min_severity),
        "min_alerts": min_alerts,
        "entity": entity,
        "status": status,
        "tenant": tenant,
    }
    shape = listing.Shape(
        "Incidents", COLUMNS, _cells, "they come of alerts: `sentinel alerts` lists those"
    )
    listing.show("/v1/incidents", params, shape, limit, json, numbered)


def numbered(row: dict[str, Any]) -> dict[str, Any]:
    """Return an incident as scripts get it: with OCSF's number of its severity, too."""
    return row | {"severity_id": options.SEVERITIES.index(row["severity"])}


def _cells(row: dict[str, Any]) -> list[Any]:
    return [
        *(listing.when(row["last_seen"])[:16], row["severity"], row["title"], row["alerts"]),
        *(some(row["entities"]), some(row["tactics"]), row["status"], row["id"]),
    ]


def some(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
