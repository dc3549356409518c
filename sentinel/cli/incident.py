"""Show one incident: what it is about, and its alerts in the order in which they happened."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.markup import escape

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options
from sentinel.cli.incidents import numbered
from sentinel.errors import SettingsError

PATH = "/v1/incidents"
COLUMNS = ("time", "severity", "title", "entity", "techniques", "count", "status", "id")
LISTS = ("entities", "tactics", "techniques", "sources")
#: A script gets of an alert.
MEMBER = (
    *("id", "kind", "rule_id", "title", "source", "severity", "score", "techniques", "entity"),
    *("status", "count", "first_seen", "last_seen", "what"),
)
#: A chain of merges has an end.
MERGES = 100


def command(
    incident_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="As `sentinel incidents` shows it; the start will do."),
    ],
    tenant: options.OnlyTenant = None,
    json: JsonOption = False,
) -> None:
    """Show an incident with all its alerts; one that was merged leads to where they are now."""
    with _client.connect() as client:
        incident = numbered(_found(client, _whole(client, incident_id, tenant), tenant))
        alerts = [*map(_member, incident.pop("members"))]
        while (cursor := incident.pop("next")) is not None:
            page = _client.get(client, f"{PATH}/{incident['id']}", {"cursor": cursor})
            alerts += map(_member, page["members"])
            incident["next"] = page["next"]
    if json:
        _common.print_json(incident | {"members": alerts})
    else:
        _show(incident, alerts)


def _found(client: httpx.Client, whole: str, tenant: str | None) -> dict[str, Any]:
    """Return an incident, or the one that has its alerts now, with the first page of them."""
    for _ in range(MERGES):
        found: dict[str, Any] = _client.get(client, f"{PATH}/{whole}", {})
        if tenant not in {None, found["tenant"]}:
            break
        if found["merged_into"] is None:
            return found
        whole = found["merged_into"]
    raise SettingsError(f"expected an incident {whole} of {tenant}; `sentinel incidents` has them")


def _whole(client: httpx.Client, given: str, tenant: str | None) -> str:
    """Return the whole id of an incident of which the first characters are given."""
    try:
        return str(UUID(given))
    except ValueError:
        _client.check_beginning(given, "an incident", "`sentinel incidents`")
    asked = {"id_begins": given, "merged": True, "tenant": tenant}
    found = list(_client.pages(client, PATH, asked, 2))
    if len(found) != 1:
        many = "several" if found else "none"
        raise SettingsError(
            f"expected one incident whose id begins with {given}, found {many}; "
            "`sentinel incidents` lists them"
        )
    return str(found[0]["id"])


def _member(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an alert of the incident as scripts get it."""
    what = (alert["explanation"] or {}).get("what")
    shown = alert | {"first_seen": alert["time"], "what": what}
    return {name: shown[name] for name in MEMBER}


def _show(incident: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    console = _common.console
    console.print(f"[bold]{escape(incident['title'])}[/]  {incident['id']}", soft_wrap=True)
    first, last = (listing.when(incident[name]) for name in ("first_seen", "last_seen"))
    console.print(
        f"{incident['severity']}, {incident['alerts']} alert(s) from {first} to {last} UTC, "
        f"{incident['status']}"
    )
    for name in LISTS:
        if incident[name]:
            console.print(f"  {name:<11} {escape(', '.join(incident[name]))}", soft_wrap=True)
    _common.print_table("Alerts", COLUMNS, map(_cells, alerts))


def _cells(alert: dict[str, Any]) -> list[Any]:
    shown = alert | {
        "time": listing.when(alert["first_seen"]),
        "techniques": " ".join(alert["techniques"]),
    }
    return [shown[name] for name in COLUMNS]
