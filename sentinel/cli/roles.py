"""Roles: list them and their permissions; make, change and remove a tenant's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options

app = typer.Typer(no_args_is_help=True, help=__doc__)
PATH = "/v1/roles"
Name = Annotated[str, typer.Argument(help="Name of the role, such as night-shift.")]


@app.command("list")
def list_roles(
    tenant: options.OnlyTenant = None,
    json: JsonOption = False,
) -> None:
    """List roles: the three that every tenant has, and tenants' own."""
    with _client.connect() as client:
        rows = _client.get(client, PATH, {"tenant": tenant})["items"]
    if json:
        _common.print_json(*rows)
        return
    _common.print_table("Roles", ("name", "tenant", "permissions"), map(_cells, rows))


@app.command()
def permissions(json: JsonOption = False) -> None:
    """List what can be permitted, and what it is for."""
    with _client.connect() as client:
        found: dict[str, str] = _client.get(client, PATH, {})["permissions"]
    if json:
        _common.print_json(found)
        return
    _common.print_table("Permissions", ("permission", "is for"), found.items())


@app.command("set")
def change(
    name: Name,
    permission: Annotated[
        list[str],
        typer.Option(help="What it may do; repeat it. See `sentinel roles permissions`."),
    ],
    tenant: options.Owner = None,
    json: JsonOption = False,
) -> None:
    """Make a role, or change what it may do: for all users who have it, within seconds."""
    with _client.connect() as client:
        answer = client.put(f"{PATH}/{name}", params=_of(tenant), json={"permissions": permission})
        role = _client.checked(answer).json()
    if json:
        _common.print_json(role)
        return
    _common.note(f"{role['name']} of {role['tenant']} may {', '.join(role['permissions'])}")


@app.command()
def remove(name: Name, tenant: options.Owner = None) -> None:
    """Remove a role that no user has any more."""
    with _client.connect() as client:
        _client.checked(client.delete(f"{PATH}/{name}", params=_of(tenant)))
    _common.note(f"removed {name}")


def _of(tenant: str | None) -> dict[str, str]:
    return {"tenant": tenant} if tenant else {}


def _cells(role: dict[str, Any]) -> tuple[Any, ...]:
    return (role["name"], role["tenant"] or "all", ", ".join(role["permissions"]))
