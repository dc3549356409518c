"""List recent events in OCSF, newest first."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options

COLUMNS = ("time", "source", "entity", "operation", "service", "src_ip", "uid")


def command(
    query: options.Query = None,
    since: options.Since = None,
    until: options.Until = None,
    uid: Annotated[str | None, typer.Option(help="The event with this id.")] = None,
    source: options.OnlySource = None,
    entity: options.Entity = None,
    operation: Annotated[str | None, typer.Option(help="What was done, in full.")] = None,
    service: Annotated[str | None, typer.Option(help="Whose operation it was.")] = None,
    src_ip: Annotated[str | None, typer.Option(help="Address it came from.")] = None,
    min_severity: options.MinSeverity = None,
    tenant: options.OnlyTenant = None,
    limit: options.Limit = None,
    json: JsonOption = False,
) -> None:
    """Show events, newest first by event time; as JSON lines, all of them unless limited."""
    params: dict[str, Any] = {
        "query": query,
        **listing.span(since, until),
        "uid": uid,
        "source": source,
        "entity": entity,
        "operation": operation,
        "service": service,
        "src_ip": src_ip,
        "min_severity": options.severity(min_severity),
        "tenant": tenant,
    }
    none = "`sentinel push PATH --source NAME` sends logs; or take filters off"
    shape = listing.Shape("Events", COLUMNS, lambda row: [row[name] for name in COLUMNS], none)
    listing.show("/v1/events", params, shape, limit, json)
