"""List recent events in OCSF, newest first."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption

COLUMNS = ("time", "source", "entity", "operation", "service", "src_ip", "uid")
#: Rows of a table for a person, unless told otherwise; JSON has them all.
SCREEN = 50


def command(
    query: _client.QueryOption = None,
    since: Annotated[
        str | None, typer.Option(help="Time, or a span back from now such as 12h.")
    ] = None,
    until: _common.UntilFilter = None,
    uid: Annotated[str | None, typer.Option(help="The event with this id.")] = None,
    source: Annotated[str | None, typer.Option(help="Such as cloudtrail.")] = None,
    entity: Annotated[str | None, typer.Option(help="Who did it, in full.")] = None,
    operation: Annotated[str | None, typer.Option(help="What was done, in full.")] = None,
    service: Annotated[str | None, typer.Option(help="Whose operation it was.")] = None,
    src_ip: Annotated[str | None, typer.Option(help="Address it came from.")] = None,
    min_severity: Annotated[str | None, typer.Option(help="This or worse.")] = None,
    tenant: _common.TenantFilter = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most events; default: all, 50 on a screen.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show events, newest first by event time; as JSON lines, all of them unless limited."""
    params: dict[str, Any] = {
        "query": query,
        "since": _client.moment(since),
        "until": _client.moment(until),
        "uid": uid,
        "source": source,
        "entity": entity,
        "operation": operation,
        "service": service,
        "src_ip": src_ip,
        "min_severity": min_severity,
        "tenant": tenant,
    }
    with _client.connect() as client:
        if json:
            for event in _client.pages(client, "/v1/events", params, limit):
                _common.print_json(event)
            return
        most = limit or SCREEN
        events = list(_client.pages(client, "/v1/events", params, most + 1))
    rows = [[event[name] for name in COLUMNS] for event in events[:most]]
    _common.print_table("Events", COLUMNS, rows)
    if len(events) > most:
        _common.note(f"There are more than {most}: use --limit, --json or a filter.")
