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
from sentinel.errors import SentinelError, SettingsError

app = typer.Typer(no_args_is_help=True, help=__doc__)
COLUMNS = ("tenant", "name", "role", "state", "second factor", "last sign-in")
Name = Annotated[str, typer.Argument(help="Name of the user.")]
Tenant = Annotated[str, typer.Option(help="Tenant of the user; '*' is all of them.")]
OfWhom = Annotated[
    str | None, typer.Option("--tenant", help="Of which tenant, where several have that name.")
]
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
    name: Name, role: Role = "viewer", tenant: options.Owner = None, json: JsonOption = False
) -> None:
    """Add a user; prints a one-time secret to choose a password with, good for three days."""
    with _client.connect() as client:
        body = {"name": name, "role": role, "tenant": tenant}
        user = _client.checked(client.post("/v1/users", json=body)).json()
    _secret(user, json)


@app.command()
def role(name: Name, role: Role, tenant: OfWhom = None) -> None:
    """Give a user another role."""
    _change(name, tenant, {"role": role})


@app.command()
def disable(name: Name, tenant: OfWhom = None) -> None:
    """Switch a user off; ends all sessions."""
    _change(name, tenant, {"disabled": True})


@app.command()
def enable(name: Name, tenant: OfWhom = None) -> None:
    """Switch a user on again."""
    _change(name, tenant, {"disabled": False})


@app.command()
def reset(name: Name, tenant: OfWhom = None, json: JsonOption = False) -> None:
    """Take password and second factor off a user; prints a new one-time secret."""
    with _client.connect() as client:
        path = f"/v1/users/{_find(client, name, tenant)['id']}/reset"
        user = _client.checked(client.post(path)).json()
    _secret(user, json)


@app.command()
def unlock(name: Name, tenant: OfWhom = None) -> None:
    """Let a user sign in again who is locked after wrong guesses."""
    with _client.connect() as client:
        user = _find(client, name, tenant)
        _client.checked(client.post(f"/v1/users/{user['id']}/unlock"))
    _common.note(f"{user['name']} of {user['tenant']} may try again")


@app.command()
def remove(name: Name, tenant: OfWhom = None) -> None:
    """Remove a user. What it did stays in the audit log."""
    with _client.connect() as client:
        user = _find(client, name, tenant)
        _client.checked(client.delete(f"/v1/users/{user['id']}"))
    _common.note(f"removed {user['name']} of {user['tenant']}")


@app.command()
def password(name: Name, tenant: Tenant = "default", stdin: Stdin = False) -> None:
    """Choose a password, with the one-time secret or the password so far.

    With --stdin: the secret or password so far, the new one, and the code of the second
    factor where it is on, a line each.
    """
    if stdin:
        before, new, code = _typed(2)
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
        known, code, _ = _typed(1)
    else:
        known = typer.prompt("Password", hide_input=True, err=True)
        code = typer.prompt("Code of the second factor (empty if off)", default="", err=True)
    body = {"tenant": tenant, "user": name, "password": known, "code": code}
    with _client.connect() as client:
        tokens = _client.checked(client.post("/v1/auth/login", json=body))
    _common.print_json(orjson.loads(tokens.content))


def _typed(least: int) -> list[str]:
    """Return three lines of stdin, of which `least` are needed and others may be empty."""
    lines = sys.stdin.read().splitlines()
    if len(lines) < least:
        raise SettingsError(
            f"--stdin: expected {least} lines or more, found {len(lines)}; --help says which"
        )
    return [*lines, "", ""][:3]


def _find(client: httpx.Client, name: str, tenant: str | None) -> dict[str, Any]:
    asked = {"name": name.lower(), "tenant": tenant}
    found = list(_client.pages(client, "/v1/users", asked, None))
    if len(found) == 1:
        return found[0]
    whose = f" of {tenant}" if tenant else ""
    if not found:
        raise SentinelError(f"there is no user {name}{whose}; `sentinel users list` has them all")
    tenants = ", ".join(each["tenant"] for each in found)
    raise SentinelError(
        f"expected one user {name}, found one of each of {tenants}; say which with --tenant"
    )


def _change(name: str, tenant: str | None, body: dict[str, Any]) -> None:
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
