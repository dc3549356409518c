"""Webhooks: tell a URL of alerts, signed; test it, see its deliveries, send them again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common, _subscribers
from sentinel.cli._common import JsonOption
from sentinel.cli._subscribers import Which

PATH = "/v1/webhooks"
app = _subscribers.group(PATH, "Webhooks", __doc__)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Argument(help="https://…")],
    ed25519: Annotated[bool, typer.Option("--ed25519", help="Sign with a key pair (v1a).")] = False,
    min_severity: _subscribers.Least = None,
    source: _subscribers.Sources = None,
    rule: _subscribers.Rules = None,
    kind: _subscribers.Kinds = None,
    technique: _subscribers.Techniques = None,
    entity: _subscribers.Entities = None,
    of_tenant: _subscribers.Tenants = None,
    option: _subscribers.Settings = None,
    tenant: _subscribers.Owner = None,
    json: JsonOption = False,
) -> None:
    """Subscribe a URL to alerts from now on; prints the secret, which is shown this once."""
    body: dict[str, Any] = {
        "name": name,
        "url": url,
        "algorithm": "v1a" if ed25519 else "v1",
        "filter": _subscribers.clauses(
            min_severity=min_severity, sources=source, rules=rule, kinds=kind,
            techniques=technique, entities=entity, tenants=of_tenant,
        ),
        "options": _subscribers.pairs(option, json=True),
        "tenant": tenant,
    }  # fmt: skip
    with _client.connect() as client:
        made = _subscribers.send(client, "POST", PATH, body)
    _show(made, json)


@app.command()
def rotate(which: Which, json: JsonOption = False) -> None:
    """Make a new secret; the one before signs too for 24 hours."""
    with _client.connect() as client:
        one = f"{PATH}/{_subscribers.find(client, PATH, which)['id']}"
        made = _subscribers.send(client, "POST", f"{one}/rotate")
    _show(made, json)


def _show(made: dict[str, Any], json: bool) -> None:
    if json:
        _common.print_json(made)
    else:
        _common.note(f"{made['name']} ({made['id']}); keep this, it is not shown again:")
        typer.echo(made["secret"])
