"""Users: add, list, change, reset, unlock and remove them; choose a password."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import httpx
import orjson
import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.errors import SentinelError

app = typer.Typer(no_args_is_help=True, help=__doc__)
COLUMNS = ("tenant", "name", "role", "state", "second factor", "last sign-in")
Name = Annotated[str, typer.Argument(help="Name of the user.")]
Tenant = Annotated[str, typer.Option(help="Tenant of the user; '*' is all of them.")]
Role = Annotated[str, typer.Option(help="viewer, analyst, admin, or one of the tenant's own.")]
Stdin = Annotated[
    bool, typer.Option("--stdin", help="Read secrets from stdin, a line each, without asking.")
]


@app.command("list")
def list_users(
    tenant: options.OnlyTenant = None,
    json: JsonOption = False,
) -> None:
    """List users."""
    with _client.connect() as client:
        rows = list(_client.pages(client, "/v1/users", {"tenant": tenant}, None))
    if json:
        _common.print_json(*rows)
        return
    _common.print_table("Users", COLUMNS, map(_cells, rows))


@app.command()
def add(
    name: Name, role: Role = "viewer", tenant: Tenant = "default", json: JsonOption = False
) -> None:
    """Add a user; prints a one-time secret to choose a password with, good for three days."""
    with _client.connect() as client:
        body = {"name": name, "role": role, "tenant": tenant}
        user = _client.checked(client.post("/v1/users", json=body)).json()
    _secret(user, json)


@app.command()
def role(name: Name, role: Role, tenant: Tenant = "default") -> None:
    """Give a user another role."""
    _change(name, tenant, {"role": role})


@app.command()
def disable(name: Name, tenant: Tenant = "default") -> None:
    """Switch a user off; ends all sessions."""
    _change(name, tenant, {"disabled": True})


@app.command()
def enable(name: Name, tenant: Tenant = "default") -> None:
    """Switch a user on again."""
    _change(name, tenant, {"disabled": False})


@app.command()
def reset(name: Name, tenant: Tenant = "default", json: JsonOption = False) -> None:
    """Take password and second factor off a user; prints a new one-time secret."""
    with _client.connect() as client:
        path = f"/v1/users/{_find(client, name, tenant)['id']}/reset"
        user = _client.checked(client.post(path)).json()
    _secret(user, json)


@app.command()
def unlock(name: Name, tenant: Tenant = "default") -> None:
    """Let a user sign in again who is locked after wrong guesses."""
    with _client.connect() as client:
        path = f"/v1/users/{_find(client, name, tenant)['id']}/unlock"
        _client.checked(client.post(path))
    _common.note(f"{name} may try again")


@app.command()
def remove(name: Name, tenant: Tenant = "default") -> None:
    """Remove a user. What it did stays in the audit log."""
    with _client.connect() as client:
        user = _find(client, name, tenant)
        _client.checked(client.delete(f"/v1/users/{user['id']}"))
    _common.note(f"removed {name}")


@app.command()
def password(name: Name, tenant: Tenant = "default", stdin: Stdin = False) -> None:
    """Choose a password, with the one-time secret or the password so far.

    With --stdin: the secret or password so far, the new one, and the code of the second
    factor where it is on, a line each.
    """
    if stdin:
        lines = [*sys.stdin.read().splitlines(), "", ""]
        before, new, code = lines[:3]
    else:
        before = typer.prompt("One-time secret, or password so far", hide_input=True)
        new = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
        code = typer.prompt("Code of the second factor (empty if off)", default="")
    body = {"tenant": tenant, "user": name, "password": before, "new_password": new, "code": code}
    with _client.connect() as client:
        _client.checked(client.post("/v1/auth/password", json=body))
    _common.note(f"{name} has a new password; sign in with POST /v1/auth/login")


@app.command()
def login(name: Name, tenant: Tenant = "default", stdin: Stdin = False) -> None:
    """Sign in; prints the tokens as JSON. With --stdin: password and code, a line each."""
    if stdin:
        lines = [*sys.stdin.read().splitlines(), "", ""]
        known, code = lines[:2]
    else:
        known = typer.prompt("Password", hide_input=True, err=True)
        code = typer.prompt("Code of the second factor (empty if off)", default="", err=True)
    body = {"tenant": tenant, "user": name, "password": known, "code": code}
    with _client.connect() as client:
        tokens = _client.checked(client.post("/v1/auth/login", json=body))
    _common.print_json(orjson.loads(tokens.content))


def _find(client: httpx.Client, name: str, tenant: str) -> dict[str, Any]:
    asked = {"name": name.lower(), "tenant": tenant}
    for user in _client.pages(client, "/v1/users", asked, 1):
        return user
    raise SentinelError(f"there is no user {name} of {tenant}; `sentinel users list` has them all")


def _change(name: str, tenant: str, body: dict[str, Any]) -> None:
    with _client.connect() as client:
        path = f"/v1/users/{_find(client, name, tenant)['id']}"
        user = _client.checked(client.patch(path, json=body)).json()
    state = "disabled" if user["disabled"] else "enabled"
    _common.note(f"{user['name']} of {user['tenant']}: {user['role']}, {state}")


def _secret(user: dict[str, Any], json: bool) -> None:
    if json:
        _common.print_json(user)
        return
    _common.note(f"{user['name']} of {user['tenant']}, {user['role']}; one-time secret:")
    typer.echo(user["secret"])
    _common.note(f"next: sentinel users password {user['name']} --tenant '{user['tenant']}'")


def _cells(user: dict[str, Any]) -> tuple[Any, ...]:
    state = "disabled" if user["disabled"] else {"chosen": "active"}.get(user["password"])
    state = state or ("single sign-on" if user["single_sign_on"] else "invited")
    factor = "on" if user["second_factor"] else "off"
    return (user["tenant"], user["name"], user["role"], state, factor, user["last_login"])
