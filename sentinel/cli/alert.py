"""Show one alert, or change it: status, assignee, disposition, comment, merge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.markup import escape

from detectors.explained import lines
from sentinel.cli import _client, _common, _told
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.errors import SettingsError

COLUMNS = ("time (UTC)", "what", "from", "outcome", "event_uid")
FIELDS = ("severity", "score", "rule_id", "techniques", "entity", "source", "tenant", "status")
#: Shown only where people have said something.
WORK = ("assignee", "disposition", "disposition_reason", "merged_into")
#: Of the longest of these names as they are shown.
WIDTH = len("disposition")
SCREEN = 20


def command(
    alert_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="As `sentinel alerts` shows it; the beginning will do."),
    ],
    status: Annotated[
        str | None,
        typer.Option(
            help="new, triaged, in_progress, resolved or false_positive.",
            autocompletion=options.among(*options.STATUSES[:5]),
        ),
    ] = None,
    assign: Annotated[str | None, typer.Option(help="Who works on it; '': nobody.")] = None,
    disposition: Annotated[
        str | None,
        typer.Option(help="true_positive, benign, false_positive or undetermined; with --reason."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; detection learns from it.")] = None,
    comment: Annotated[str | None, typer.Option(help="What to add to its timeline.")] = None,
    merge: Annotated[
        list[UUID] | None, typer.Option(help="An alert that this one stands for; repeat it.")
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Show what happened to it.")] = False,
    json: JsonOption = False,
) -> None:
    """Show an alert with its explanation and evidence; as JSON with the ids of all its events.

    With --status, --assign, --disposition, --comment or --merge, change it first.
    """
    change = {"status": status, "assignee": assign, "disposition": disposition}
    change |= {"reason": reason, "comment": comment}
    given = {name: value for name, value in change.items() if value is not None}
    if set(given) == {"reason"}:
        raise SettingsError("--reason: expected --disposition or --status false_positive with it")
    with _client.connect() as client:
        path = f"/v1/alerts/{_client.alert_id(client, alert_id)}"
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
            alert = _client.get(client, path, {"limit": SCREEN})
            _show(alert, _incident(client, alert))


def _timeline(client: httpx.Client, path: str, json: bool) -> None:
    entries = _client.pages(client, f"{path}/timeline", {}, None)
    if json:
        for entry in entries:
            _common.print_json(entry)
        return
    names = ("at", "actor", "action", "detail")
    rows = ((*(entry[name] for name in names[:3]), _detail(entry["detail"])) for entry in entries)
    _common.print_table("Timeline", names, rows)


def _detail(detail: Mapping[str, Any]) -> str:
    """Return what happened in words: of a change, what was before and what is now.

    >>> _detail({"status": {"from": "new", "to": "resolved"}, "text": "seen"})
    'status: new → resolved; text: seen'
    """
    said = []
    for name, value in detail.items():
        if isinstance(value, Mapping) and value.keys() == {"from", "to"}:
            value = f"{value['from'] or 'none'} → {value['to'] or 'none'}"
        said.append(f"{name}: {_plain(value)}")
    return "; ".join(said)


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


def _incident(client: httpx.Client, alert: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the incident that an alert is part of with others, None where there is none."""
    params = {"entity": alert["entity"], "since": alert["time"], "tenant": alert["tenant"]}
    listed = _client.pages(client, "/v1/incidents", params, _told.INCIDENTS)
    return _told.incident_of(
        alert, listed, lambda each: _client.get(client, f"/v1/incidents/{each}", {})
    )


def _show(alert: dict[str, Any], incident: Mapping[str, Any] | None) -> None:
    console = _common.console
    console.print(f"[bold]{escape(alert['title'])}[/]  {alert['id']}")
    console.print(f"{alert['count']} event(s), the first at {alert['time']}")
    for name in FIELDS:
        value = alert[name]
        text = " ".join(value) if isinstance(value, list) else str(value)
        text = f"{value:.2f}" if isinstance(value, float) else text
        console.print(f"  {name:<{WIDTH}} {escape(text)}", soft_wrap=True)
    for name in WORK:
        if alert[name]:
            shown = name.replace("disposition_reason", "reason")
            console.print(f"  {shown:<{WIDTH}} {escape(alert[name])}", soft_wrap=True)
    evidence = alert["evidence"]
    rows = [(*_told.happened(item), item["event_uid"]) for item in evidence["items"]]
    _common.print_table("\nWhat happened", COLUMNS, rows)
    if evidence["next"]:
        _common.note(f"The first {SCREEN} events; `--json` has the ids of all.")
    why = chain(lines(alert), _known(evidence["items"]), _opinions(alert.get("opinions", ())))
    _block("Why it fired", why)
    _block("What else there is", _told.others(alert, incident))
    _block("What to do next", _told.steps(alert))


def _block(title: str, texts: Iterable[str]) -> None:
    _common.console.print(f"\n[bold]{title}[/]")
    for text in texts:
        _common.console.print(f"  {escape(text)}", soft_wrap=True, highlight=False)


def _known(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what look-ups know of the values in the evidence, each once."""
    lines: dict[str, None] = {}
    for item in items:
        found = (item.get("ocsf") or {}).get("enrichments") or ()
        for each in found if isinstance(found, list) else ():
            data = each.get("data") if isinstance(each, Mapping) else None
            if isinstance(data, Mapping):
                text = each.get("short_desc", "")
                more = [f"{name} {_plain(value)}" for name, value in data.items() if value]
                said = ", ".join(filter(None, [text, *more]))
                lines.setdefault(f"{each.get('value')}: {each.get('type')}: {said}")
    if lines:
        yield from ("", "What is known", *(f"  {line}" for line in lines))


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _opinions(opinions: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what services outside say of the alert."""
    for number, each in enumerate(opinions):
        if number == 0:
            yield from ("", "What others say")
        said = each["said"] or f"no answer yet{each['error'] and ': '}{each['error']}"
        if each["state"] == "failed":
            said = f"no answer: {each['error']}"
        mark = "! " if each["malicious"] else "  "
        yield f"{mark}{each['service']}: {said} ({each['value']}) {each['link']}".rstrip()
