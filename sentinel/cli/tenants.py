"""Tenants: quotas, retention, and switching one off."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help=__doc__)
COLUMNS = ("tenant", "title", "state", "events/s", "requests/min", "days", "alert days")
QUOTAS = ("events_per_second", "requests_per_minute", "retention_days", "alert_retention_days")
Name = Annotated[str, typer.Argument(help="Name of the tenant.")]
Title = Annotated[str | None, typer.Option(help="What people call it.")]
Events = Annotated[
    int | None, typer.Option(min=0, help="Events a second sent to the API; 0: no quota.")
]
Requests = Annotated[int | None, typer.Option(min=0, help="Requests a minute; 0: no quota.")]
Days = Annotated[int | None, typer.Option(min=0, help="Days events are kept; 0: as for all.")]
AlertDays = Annotated[int | None, typer.Option(min=0, help="Days alerts are kept; 0: for ever.")]


@app.command("list")
def list_tenants(json: JsonOption = False) -> None:
    """List the tenants that have quotas, retention or a title of their own."""
    with _client.connect() as client:
        rows = list(_client.pages(client, "/v1/tenants", {}, None))
    if json:
        _common.print_json(*rows)
        return
    none = "events may name any; `sentinel tenants add` gives one quotas of its own"
    _common.print_table("Tenants", COLUMNS, map(_cells, rows), none)


@app.command()
def add(
    name: Name,
    title: Title = None,
    events_per_second: Events = None,
    requests_per_minute: Requests = None,
    retention_days: Days = None,
    alert_retention_days: AlertDays = None,
) -> None:
    """Add a tenant. Events may name one without this; it then has no quota of its own."""
    quotas = (events_per_second, requests_per_minute, retention_days, alert_retention_days)
    body = {"tenant": name, "title": title or "", **_given(quotas)}
    with _client.connect() as client:
        _client.checked(client.post("/v1/tenants", json=body))
    _common.note(f"added {name}")


@app.command("set")
def change(
    name: Name,
    title: Title = None,
    events_per_second: Events = None,
    requests_per_minute: Requests = None,
    retention_days: Days = None,
    alert_retention_days: AlertDays = None,
) -> None:
    """Change a tenant; what is not given stays as it is."""
    quotas = (events_per_second, requests_per_minute, retention_days, alert_retention_days)
    given = _given(quotas) | ({} if title is None else {"title": title})
    if not given:
        raise SettingsError("expected something to change, such as --events-per-second 1000")
    _put(name, given)


@app.command()
def disable(name: Name) -> None:
    """Switch a tenant off: all its credentials and events are refused."""
    _put(name, {"disabled": True})


@app.command()
def enable(name: Name) -> None:
    """Switch a tenant on again."""
    _put(name, {"disabled": False})


def _given(quotas: tuple[int | None, ...]) -> dict[str, Any]:
    """Return the quotas that were given; 0 takes one off."""
    named = zip(QUOTAS, quotas, strict=True)
    return {name: value or None for name, value in named if value is not None}


def _put(name: str, changes: dict[str, Any]) -> None:
    with _client.connect() as client:
        found = _client.get(client, f"/v1/tenants/{name}", {})
        kept = {field: found[field] for field in (*QUOTAS, "title", "disabled")}
        _client.checked(client.put(f"/v1/tenants/{name}", json=kept | changes))
    _common.note(f"changed {name}")


def _cells(tenant: dict[str, Any]) -> tuple[Any, ...]:
    state = "disabled" if tenant["disabled"] else "active"
    return (tenant["tenant"], tenant["title"], state, *(tenant[name] for name in QUOTAS))
