"""Saved searches: keep a search by a name, list those there are, run one, remove it."""

from __future__ import annotations

from operator import itemgetter
from typing import Annotated, Any

import httpx
import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options
from sentinel.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help=__doc__)
PATH = "/v1/searches"
COLUMNS = ("name", "of", "query", "owner", "shared", "id")
SHOWN = {
    "alerts": ("time", "severity", "title", "entity", "status", "id"),
    "events": ("time", "source", "operation", "entity", "src_ip", "uid"),
}
Name = Annotated[str, typer.Argument(help="Its name, or its id.")]


@app.command("list")
def list_searches(json: JsonOption = False) -> None:
    """List your own searches, and those that others of the tenant share."""
    with _client.connect() as client:
        rows = _client.get(client, PATH, {})["items"]
    if json:
        _common.print_json(*rows)
        return
    none = "`sentinel searches save` keeps one"
    _common.print_table("Saved searches", COLUMNS, map(_cells, rows), none)


@app.command()
def save(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    query: Annotated[str, typer.Argument(help="Such as 'title:key AND severity>=high'.")],
    events: Annotated[bool, typer.Option("--events", help="Of events; default: alerts.")] = False,
    shared: Annotated[bool, typer.Option("--shared", help="Others of the tenant see it.")] = False,
    json: JsonOption = False,
) -> None:
    """Keep a search, in the place of your own of that name."""
    body = {"name": name, "query": query, "shared": shared}
    body["subject"] = "events" if events else "alerts"
    with _client.connect() as client:
        kept = _client.checked(client.put(PATH, json=body)).json()
    if json:
        _common.print_json(kept)
        return
    _common.note(f"kept {kept['name']}; run it: sentinel searches run '{kept['name']}'")


@app.command()
def run(
    name: Name,
    limit: options.Limit = None,
    json: JsonOption = False,
) -> None:
    """Run a saved search, newest first; as JSON lines, all that it finds unless limited."""
    with _client.connect() as client:
        search = _find(client, name)
    of = search["subject"]
    shape = listing.Shape(
        search["name"], SHOWN[of], itemgetter(*SHOWN[of]), "the search finds nothing now"
    )
    listing.show(f"/v1/{of}", {"query": search["query"]}, shape, limit, json)


@app.command()
def remove(name: Name) -> None:
    """Remove one of your own searches."""
    with _client.connect() as client:
        search = _find(client, name)
        _client.checked(client.delete(f"{PATH}/{search['id']}"))
    _common.note(f"removed {search['name']}")


def _find(client: httpx.Client, name: str) -> dict[str, Any]:
    """Return the first search of that name or id; ids are told apart where names are not."""
    found: list[dict[str, Any]] = _client.get(client, PATH, {})["items"]
    for search in found:
        if name in (search["id"], search["name"]):
            return search
    raise SettingsError(
        f"expected the name of a saved search, found {name!r}; `sentinel searches list` shows them"
    )


def _cells(row: dict[str, Any]) -> list[str]:
    shared = "yes" if row["shared"] else ""
    return [row["name"], row["subject"], row["query"], row["owner"], shared, row["id"]]
