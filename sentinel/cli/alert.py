"""Show one alert: why it fired and the events it stands on."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.json import JSON
from rich.markup import escape

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption

COLUMNS = ("time", "event_uid", "score", "what")
FIELDS = ("severity", "score", "rule_id", "techniques", "entity", "source", "tenant", "status")
SCREEN = 20


def command(
    alert_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `sentinel alerts` shows it.")],
    json: JsonOption = False,
) -> None:
    """Show an alert with its explanation and evidence; as JSON with the ids of all its events."""
    path = f"/v1/alerts/{alert_id}"
    with _client.connect() as client:
        if json:
            _common.print_json(whole(client, path))
        else:
            _show(_client.get(client, path, {"limit": SCREEN}))


def whole(client: httpx.Client, path: str) -> dict[str, Any]:
    """Return the alert as ``alerts --json`` does, with every event id however many there are."""
    params: dict[str, Any] = {"limit": _client.PAGE, "payload": "false"}
    alert = _client.get(client, path, params)
    uids: list[str] = []
    evidence = alert.pop("evidence")
    while True:
        uids += [item["event_uid"] for item in evidence["items"]]
        if evidence["next"] is None:
            break
        evidence = _client.get(client, path, params | {"cursor": evidence["next"]})["evidence"]
    return dict(alert) | {"event_uids": uids}


def _show(alert: dict[str, Any]) -> None:
    console = _common.console
    console.print(f"[bold]{escape(alert['title'])}[/]  {alert['id']}")
    console.print(f"{alert['count']} event(s), the first at {alert['time']}")
    for name in FIELDS:
        value = alert[name]
        text = " ".join(value) if isinstance(value, list) else str(value)
        console.print(f"  {name:<11} {escape(text)}", soft_wrap=True)
    console.print("\nWhy it fired")
    console.print(JSON.from_data(alert["explanation"]))
    evidence = alert["evidence"]
    rows = [
        (item["time"], item["event_uid"], item["score"], _first(item)) for item in evidence["items"]
    ]
    _common.print_table("Evidence", COLUMNS, rows)
    if evidence["next"]:
        _common.note(f"The first {SCREEN} events; `--json` has the ids of all.")


def _first(item: dict[str, Any]) -> str:
    """Return the beginning of the event as its source wrote it."""
    text = str(item.get("raw") or item.get("raw_base64") or "")
    return text if len(text) <= 200 else f"{text[:200]}…"
