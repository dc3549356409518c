"""List alerts, newest first, or follow them as they fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption

COLUMNS = ("time", "severity", "title", "entity", "techniques", "count", "id")
#: Rows of a table for a person, unless told otherwise; JSON has them all.
SCREEN = 50

Words = Annotated[list[str] | None, typer.Option("--severity", help="Any of these; repeat it.")]


def command(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    from_start: Annotated[
        bool, typer.Option("--all", help="With --follow: begin with all there are.")
    ] = False,
    query: _client.QueryOption = None,
    since: Annotated[
        str | None, typer.Option(help="Time, or a span back from now such as 12h.")
    ] = None,
    until: _common.UntilFilter = None,
    severity: Words = None,
    min_severity: Annotated[str | None, typer.Option(help="This or worse.")] = None,
    rule: Annotated[str | None, typer.Option(help="Id of the rule or model.")] = None,
    entity: Annotated[str | None, typer.Option(help="Who did it, in full.")] = None,
    source: Annotated[str | None, typer.Option(help="Such as cloudtrail.")] = None,
    technique: Annotated[str | None, typer.Option(help="ATT&CK id, and below.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Such as new, in_progress or resolved.")
    ] = None,
    tenant: _common.TenantFilter = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most alerts; default: all, 50 on a screen.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show alerts, newest first; as JSON lines, all of them unless limited."""
    params = {
        "query": query,
        "since": _client.moment(since),
        "until": _client.moment(until),
        "severity": severity,
        "min_severity": min_severity,
        "rule": rule,
        "entity": entity,
        "source": source,
        "technique": technique,
        "status": status,
        "tenant": tenant,
    }
    with _client.connect() as client:
        if follow:
            _follow(client, params, 0 if from_start else None, limit, json)
        elif json:
            for alert in _client.pages(client, "/v1/alerts", params, limit):
                _common.print_json(alert)
        else:
            _table(client, params, limit or SCREEN)


def _table(client: httpx.Client, params: Mapping[str, Any], limit: int) -> None:
    alerts = list(_client.pages(client, "/v1/alerts", params, limit + 1))
    _common.print_table("Alerts", COLUMNS, map(row, alerts[:limit]))
    if len(alerts) > limit:
        _common.note(f"There are more than {limit}: use --limit, --json or a filter.")


def _follow(
    client: httpx.Client,
    params: Mapping[str, Any],
    after: int | None,
    limit: int | None,
    json: bool,
) -> None:
    """Print alerts as they come, `limit` of them if given."""
    for number, change in enumerate(_client.follow(client, params, after), 1):
        if json:
            _common.print_json(change.alert)
        else:
            _common.console.print(line(change), soft_wrap=True)
        if number == limit:
            return


def line(change: _client.Change) -> Text:
    """Return one line for a person; an amendment is dim, with the count so far."""
    alert = change.alert
    colour = _common.SEVERITY_COLOURS.get(alert["severity"], "")
    found = Text(f"{alert['time'][:19].replace('T', ' ')}  ")
    found.append(f"{alert['severity']:<13}", colour)
    found.append(f"{alert['title']}  ", "bold")
    found.append(f"{alert['entity']}  {' '.join(alert['techniques'])}")
    if alert["count"] > 1:
        found.append(f"  x{alert['count']}")
    found.append(f"  {alert['id']}", "dim")
    if change.kind == "amendment":
        found.stylize("dim")
    return found


def row(alert: Mapping[str, Any]) -> list[Any]:
    """Return the cells of an alert in a table."""
    shown = dict(alert) | {
        "time": alert["time"][:19].replace("T", " "),
        "techniques": " ".join(alert["techniques"]),
    }
    return [shown[name] for name in COLUMNS]
