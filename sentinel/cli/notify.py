"""Notification channels: Slack, Teams, mail, pagers, Jira, ServiceNow, Splunk, syslog."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common, _subscribers
from sentinel.cli._common import JsonOption
from sentinel.subscribers.kinds import KINDS

PATH = "/v1/notifications"
app = _subscribers.group(PATH, "Channels", __doc__)


@app.command()
def kinds(json: JsonOption = False) -> None:
    """List the kinds of channels and what each needs."""
    schemas = {name: kind.model_json_schema() for name, kind in KINDS.items() if name != "webhook"}
    if json:
        _common.print_json(schemas)
        return
    rows = [
        (name, " ".join(_needs(schema)), (schema.get("description") or "").partition("\n")[0])
        for name, schema in schemas.items()
    ]
    _common.print_table("Kinds; in brackets what has a default", ("kind", "needs", "is"), rows)


def _needs(schema: dict[str, Any]) -> list[str]:
    required = set(schema.get("required", ()))
    return [name if name in required else f"[{name}]" for name in schema["properties"]]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="See `sentinel notify kinds`.")],
    name: Annotated[str, typer.Argument(help="What to call it.")],
    config: Annotated[
        list[str], typer.Argument(help="NAME=VALUE; env:VARIABLE and file:/path keep secrets away.")
    ],
    min_severity: _subscribers.Least = None,
    source: _subscribers.Sources = None,
    rule: _subscribers.Rules = None,
    alert_kind: _subscribers.Kinds = None,
    technique: _subscribers.Techniques = None,
    entity: _subscribers.Entities = None,
    of_tenant: _subscribers.Tenants = None,
    option: _subscribers.Settings = None,
    tenant: _subscribers.Owner = None,
    json: JsonOption = False,
) -> None:
    """Tell a channel of alerts from now on."""
    body = {
        "name": name,
        "kind": kind,
        "config": _subscribers.configured(config),
        "filter": _subscribers.clauses(
            min_severity=min_severity, sources=source, rules=rule, kinds=alert_kind,
            techniques=technique, entities=entity, tenants=of_tenant,
        ),
        "options": _subscribers.pairs(option, json=True),
        "tenant": tenant,
    }  # fmt: skip
    with _client.connect() as client:
        made = _subscribers.send(client, "POST", PATH, body)
    if json:
        _common.print_json(made)
    else:
        _common.note(f"{name} is told from now on; try it: sentinel notify test {name!r}")
