"""Show one alert, or change it: status, assignee, disposition, comment, merge."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.markup import escape

from detectors.explained import lines
from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

COLUMNS = ("time", "event_uid", "score", "what")
FIELDS = ("severity", "score", "rule_id", "techniques", "entity", "source", "tenant", "status")
#: Shown only where people have said something.
WORK = ("assignee", "disposition", "disposition_reason", "merged_into")
SCREEN = 20
Text = Annotated[str | None, typer.Option()]


def command(
    alert_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `sentinel alerts` shows it.")],
    status: Annotated[
        str | None,
        typer.Option(help="new, triaged, in_progress, resolved or false_positive."),
    ] = None,
    assign: Annotated[str | None, typer.Option(help="Who works on it; '': nobody.")] = None,
    disposition: Annotated[
        str | None,
        typer.Option(help="true_positive, benign, false_positive or undetermined; with --reason."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; detection learns from it.")] = None,
    comment: Text = None,
    merge: Annotated[
        list[UUID] | None, typer.Option(help="An alert that this one stands for; repeat it.")
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Show what happened to it.")] = False,
    json: JsonOption = False,
) -> None:
    """Show an alert with its explanation and evidence; as JSON with the ids of all its events.

    With --status, --assign, --disposition, --comment or --merge, change it first.
    """
    path = f"/v1/alerts/{alert_id}"
    change = {"status": status, "assignee": assign, "disposition": disposition}
    change |= {"reason": reason, "comment": comment}
    given = {name: value for name, value in change.items() if value is not None}
    if set(given) == {"reason"}:
        raise SettingsError("--reason: expected --disposition or --status false_positive with it")
    with _client.connect() as client:
        if given:
            _client.checked(client.patch(path, json=given))
        if merge:
            _client.checked(
                client.post(f"{path}/merge", json={"ids": [str(each) for each in merge]})
            )
        if timeline:
            _timeline(client, path, json)
        elif json:
            _common.print_json(whole(client, path))
        else:
            _show(_client.get(client, path, {"limit": SCREEN}))


def _timeline(client: httpx.Client, path: str, json: bool) -> None:
    entries = _client.pages(client, f"{path}/timeline", {}, None)
    if json:
        for entry in entries:
            _common.print_json(entry)
        return
    names = ("at", "actor", "action", "detail")
    _common.print_table("Timeline", names, ([entry[name] for name in names] for entry in entries))


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
    for name in WORK:
        if alert[name]:
            console.print(f"  {name:<11} {escape(alert[name])}", soft_wrap=True)
    console.print("\nWhy it fired")
    for line in lines(alert):
        console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)
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
