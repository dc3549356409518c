"""List alerts, newest first, or follow them as they fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options

NONE = (
    "send logs (`sentinel push PATH --source NAME`), take filters off, or wait for more (--follow)"
)
COLUMNS = ("time", "severity", "title", "entity", "techniques", "count", "id")
Words = Annotated[
    list[str] | None,
    typer.Option(
        "--severity",
        help="Any of these; repeat it.",
        autocompletion=options.among(*options.SEVERITIES[1:]),
    ),
]


def command(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    from_start: Annotated[
        bool, typer.Option("--all", help="With --follow: begin with all there are.")
    ] = False,
    query: options.Query = None,
    since: options.Since = None,
    until: options.Until = None,
    severity: Words = None,
    min_severity: options.MinSeverity = None,
    rule: options.Rule = None,
    entity: options.Entity = None,
    source: options.OnlySource = None,
    technique: Annotated[str | None, typer.Option(help="ATT&CK id, and below.")] = None,
    status: options.Status = None,
    tenant: options.OnlyTenant = None,
    limit: options.Limit = None,
    json: JsonOption = False,
) -> None:
    """Show alerts, newest first; as JSON lines, all of them unless limited."""
    params = {
        "query": query,
        **listing.span(since, until),
        "severity": severity,
        "min_severity": options.severity(min_severity),
        "rule": rule,
        "entity": entity,
        "source": source,
        "technique": technique,
        "status": status,
        "tenant": tenant,
    }
    if not follow:
        shape = listing.Shape("Alerts", COLUMNS, row, NONE)
        listing.show("/v1/alerts", params, shape, limit, json)
        return
    with _client.connect() as client:
        _follow(client, params, 0 if from_start else None, limit, json)


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
