"""List what scanners found, by what became of it: new, recurring, reopened, resolved."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options
from sentinel.errors import SettingsError

COLUMNS = ("state", "severity", "last seen", "rule", "title", "target", "tool")
STATES = ("new", "recurring", "resolved", "reopened")


def command(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Any of these; repeat it. Default: all but resolved.",
            autocompletion=options.among(*STATES),
        ),
    ] = None,
    min_severity: options.MinSeverity = None,
    source: options.OnlySource = None,
    target: Annotated[str | None, typer.Option(help="What was scanned, in full.")] = None,
    scope: Annotated[
        str | None, typer.Option(help="Part of the target, in full; '': found by a whole scan.")
    ] = None,
    rule: options.Rule = None,
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="Also those that someone accepted.")
    ] = False,
    tenant: options.OnlyTenant = None,
    limit: options.Limit = None,
    json: JsonOption = False,
) -> None:
    """Show findings, worst first; as JSON lines with the OCSF event, all of them unless limited."""
    if unknown := sorted({*(state or ())} - {*STATES}):
        raise SettingsError(f"expected --state among {', '.join(STATES)}, found {unknown[0]!r}")
    params = {
        "state": state,
        "min_severity": options.severity(min_severity, "unknown", "fatal"),
        "source": source,
        "target": target,
        "scope": scope,
        "rule": rule,
        "accepted": suppressed,
        "tenant": tenant,
        "payload": json,
    }
    shape = listing.Shape(
        "Findings",
        COLUMNS,
        _cells,
        "send the report of a scanner: `sentinel push FILE --source trivy`",
    )
    listing.show("/v1/findings", params, shape, limit, json)


def _cells(row: dict[str, Any]) -> list[Any]:
    return [
        *(row["state"], row["severity"], listing.when(row["last_seen"])[:16], row["rule"]),
        *(row["title"], row["target"], row["tool"]),
    ]
