"""API keys for programs: make, list and revoke them; change the key that signs tokens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options

app = typer.Typer(no_args_is_help=True, help=__doc__)
COLUMNS = ("id", "tenant", "name", "permissions", "state", "last used")


@app.command("list")
def list_keys(
    tenant: options.OnlyTenant = None,
    json: JsonOption = False,
) -> None:
    """List API keys, without their secrets, which are stored nowhere."""
    with _client.connect() as client:
        rows = list(_client.pages(client, "/v1/keys", {"tenant": tenant}, None))
    if json:
        _common.print_json(*rows)
        return
    _common.print_table("API keys", COLUMNS, map(_cells, rows), "`sentinel keys add` makes one")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What it is for, such as 'vector on web-1'.")],
    permission: Annotated[
        list[str] | None,
        typer.Option(help="What it may do; repeat it. Default: events:write, send events in."),
    ] = None,
    tenant: options.Owner = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it ends.")] = None,
    json: JsonOption = False,
) -> None:
    """Make an API key bound to a tenant; prints it, this once."""
    body: dict[str, Any] = {"name": name, "tenant": tenant, "expires_days": days}
    if permission:
        body["permissions"] = permission
    with _client.connect() as client:
        key = _client.checked(client.post("/v1/keys", json=body)).json()
    if json:
        _common.print_json(key)
        return
    _common.note(f"{key['id']} of {key['tenant']} may {', '.join(key['permissions'])}:")
    typer.echo(key["key"])


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="Of the key.")]) -> None:
    """Revoke an API key."""
    with _client.connect() as client:
        _client.checked(client.delete(f"/v1/keys/{key_id}"))
    _common.note(f"revoked {key_id}")


@app.command()
def rotate(
    algorithm: Annotated[str, typer.Option(help="EdDSA or RS256.")] = "EdDSA",
) -> None:
    """Sign access tokens with a new key from now on; sessions go on."""
    with _client.connect() as client:
        body = {"algorithm": algorithm}
        made = _client.checked(client.post("/v1/auth/signing-keys", json=body)).json()
    _common.note(f"access tokens are signed with key {made['kid']}")


def _cells(key: dict[str, Any]) -> tuple[Any, ...]:
    state = f"ends {key['expires_at']}" if key["expires_at"] else "active"
    state = "revoked" if key["revoked_at"] else state
    permissions = ", ".join(key["permissions"])
    return (key["id"], key["tenant"], key["name"], permissions, state, key["last_used_at"])
