"""The commands that webhooks and notification channels share, each a call of the API."""

from __future__ import annotations

import time
from operator import itemgetter
from typing import Annotated, Any

import httpx
import orjson
import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options
from sentinel.errors import SentinelError, SettingsError
from sentinel.settings import resolve

COLUMNS = ("name", "kind", "where", "enabled", "pending", "succeeded_at", "failing_since", "id")
LOG = ("created_at", "type", "state", "attempts", "status", "error", "id")
#: Seconds to wait for the outcome of a test, and between two looks.
TEST_S, LOOK_S = 30.0, 0.3

Which = Annotated[str, typer.Argument(help="Name or id.")]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Patterns; repeat it.")]
Rules = Annotated[list[str] | None, typer.Option("--rule", help="Ids, patterns; repeat it.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="rule, model, …; 'neural.*' for neural events; repeat it."),
]
Techniques = Annotated[list[str] | None, typer.Option("--technique", help="And what is below.")]
Entities = Annotated[list[str] | None, typer.Option("--entity", help="Patterns; repeat it.")]
Tenants = Annotated[
    list[str] | None, typer.Option("--of-tenant", help="Patterns, for the operator's own.")
]
Least = options.MinSeverity
Owner = Annotated[
    str | None,
    typer.Option("--tenant", help="Whose, '*': told of every tenant's; default: your key's."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--option", help='NAME=JSON, such as concurrency=4, digest={"every":"1h"}.'),
]


def clauses(**given: Any) -> list[dict[str, Any]]:
    """Return the filter of what was given on the command line; nothing: all alerts."""
    clause = {name: value for name, value in given.items() if value}
    return [clause] if clause else []


def pairs(given: list[str] | None, *, json: bool) -> dict[str, Any]:
    """Read ``NAME=VALUE`` arguments; values are JSON where they are, else text.

    Raises
    ------
    SettingsError
        One has no ``=``.
    """
    found: dict[str, Any] = {}
    for each in given or []:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise SettingsError(f"expected NAME=VALUE, found {each!r}")
        try:
            found[name] = orjson.loads(value) if json or value[:1] in "[{" else value
        except orjson.JSONDecodeError:
            found[name] = value
    return found


def configured(given: list[str] | None) -> dict[str, Any]:
    """Read the fields of a channel; ``env:VARIABLE`` and ``file:/path`` are looked up."""
    found = pairs(given, json=False)
    return {
        key: resolve(value) if isinstance(value, str) else value for key, value in found.items()
    }


def send(client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    """Send JSON and return the answer's, None where there is none."""
    answer = _client.checked(client.request(method, path, json=body))
    return orjson.loads(answer.content) if answer.content else None


def find(client: httpx.Client, path: str, which: str) -> dict[str, Any]:
    """Return the subscription of a name or id.

    Raises
    ------
    SentinelError
        There is none, or several tenants have one of that name.
    """
    found = [each for each in _client.pages(client, path, {}, None) if which in
             (each["name"], each["id"])]  # fmt: skip
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{each['id']} ({each['tenant']})" for each in found)
        raise SentinelError(f"expected one of the name {which!r}, found {len(found)}: {ids}")
    group_ = path.rpartition("/")[2].replace("notifications", "notify")
    raise SentinelError(
        f"expected a name or id, found {which!r}, which there is none of; "
        f"`sentinel {group_} list` shows them"
    )


def show(found: Any, json: bool, title: str) -> None:
    """Print one object."""
    if json:
        _common.print_json(found)
        return
    rows = [
        (name, value if isinstance(value, str | int | None) else orjson.dumps(value).decode())
        for name, value in found.items()
    ]
    _common.print_table(title, ("field", "value"), rows)


def group(path: str, noun: str, told: str | None) -> typer.Typer:
    """Return the commands over what is at `path`; `told` is their help."""
    app = typer.Typer(no_args_is_help=True, help=told)

    @app.command("list")
    def list_(json: JsonOption = False) -> None:
        """List them, without their secrets."""
        with _client.connect() as client:
            found = list(_client.pages(client, path, {}, None))
        if json:
            _common.print_json(*found)
            return
        rows = [
            [
                each["config"].get("url") or each["config"].get("host")
                if name == "where"
                else each[name]
                for name in COLUMNS
            ]
            for each in found
        ]
        none = "`create` or `add` makes one; --help says how"
        _common.print_table(f"{noun}: {len(found)}", COLUMNS, rows, none)

    @app.command("show")
    def show_(which: Which, json: JsonOption = False) -> None:
        """Show one: its filter, its options, what waits and since when it fails."""
        with _client.connect() as client:
            found = find(client, path, which)
        show(found, json, found["name"])

    _changes(app, path)
    _switches(app, path)
    _deliveries(app, path)
    return app


def _changes(app: typer.Typer, path: str) -> None:
    @app.command("set")
    def change(
        which: Which,
        name: Annotated[str | None, typer.Option(help="Call it this from now on.")] = None,
        config: Annotated[
            list[str] | None,
            typer.Option(help="NAME=VALUE, such as url=https://…; env:VARIABLE, file:/path."),
        ] = None,
        min_severity: Least = None,
        source: Sources = None,
        rule: Rules = None,
        kind: Kinds = None,
        technique: Techniques = None,
        entity: Entities = None,
        of_tenant: Tenants = None,
        everything: Annotated[
            bool, typer.Option("--everything", help="Take its filter off: all alerts.")
        ] = False,
        option: Settings = None,
        json: JsonOption = False,
    ) -> None:
        """Change it; a filter takes the place of the one before, what is not given stays."""
        wanted = clauses(
            min_severity=min_severity, sources=source, rules=rule, kinds=kind,
            techniques=technique, entities=entity, tenants=of_tenant,
        )  # fmt: skip
        if everything and wanted:
            raise SettingsError("expected a filter or --everything, found both")
        body: dict[str, Any] = {"name": name, "config": configured(config)}
        body = {key: value for key, value in body.items() if value}
        if everything or wanted:
            body["filter"] = wanted
        chosen = pairs(option, json=True)
        if not body and not chosen:
            raise SettingsError("expected something to change, such as --min-severity high")
        with _client.connect() as client:
            found = find(client, path, which)
            if chosen:
                body["options"] = found["options"] | chosen
            changed = send(client, "PATCH", f"{path}/{found['id']}", body)
        if json:
            _common.print_json(changed)
        else:
            _common.note(f"changed {changed['name']}: {', '.join(sorted(body))}")


def _switches(app: typer.Typer, path: str) -> None:
    @app.command()
    def enable(which: Which) -> None:
        """Switch it on again; what waited is sent, in order."""
        with _client.connect() as client:
            one = f"{path}/{find(client, path, which)['id']}"
            found = send(client, "PATCH", one, {"enabled": True})
        _common.note(f"{found['name']} is on; deliveries that wait: {found['pending']}")

    @app.command()
    def disable(which: Which) -> None:
        """Switch it off; nothing new is written down for it, what waits is kept."""
        with _client.connect() as client:
            one = f"{path}/{find(client, path, which)['id']}"
            found = send(client, "PATCH", one, {"enabled": False})
        _common.note(f"{found['name']} is off; deliveries that are kept: {found['pending']}")

    @app.command()
    def delete(which: Which) -> None:
        """Delete it, with what it was still to be told and its log."""
        with _client.connect() as client:
            found = find(client, path, which)
            send(client, "DELETE", f"{path}/{found['id']}")
        _common.note(f"deleted {found['name']}")


def _deliveries(app: typer.Typer, path: str) -> None:
    @app.command()
    def test(
        which: Which,
        wait: Annotated[float, typer.Option(help="Seconds to wait for the outcome.")] = TEST_S,
        json: JsonOption = False,
    ) -> None:
        """Send a test message and say what became of it; exit with 1 where it did not arrive."""
        with _client.connect() as client:
            one = f"{path}/{find(client, path, which)['id']}"
            sent = send(client, "POST", f"{one}/test")["delivery"]
            deadline = time.monotonic() + wait
            found = _client.get(client, f"{one}/deliveries/{sent}", {})
            while not found["attempts"] and time.monotonic() < deadline:
                time.sleep(LOOK_S)
                found = _client.get(client, f"{one}/deliveries/{sent}", {})
        show({name: found[name] for name in LOG if name != "type"}, json, "test")
        if found["state"] != "delivered":
            raise typer.Exit(1)

    @app.command()
    def deliveries(
        which: Which,
        state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
        limit: options.Limit = None,
        json: JsonOption = False,
    ) -> None:
        """Show the log, newest first: what was sent, what waits, and why."""
        with _client.connect() as client:
            one = f"{path}/{find(client, path, which)['id']}"
        none = "nothing was to be told yet; `test` sends a message now"
        shape = listing.Shape("Deliveries", LOG, itemgetter(*LOG), none)
        listing.show(f"{one}/deliveries", {"state": state}, shape, limit, json)

    @app.command()
    def replay(
        which: Which,
        delivery: Annotated[list[str] | None, typer.Argument(help="Ids; none: by state.")] = None,
        state: Annotated[
            str | None, typer.Option(help="failed, delivered, or pending: try now.")
        ] = None,
        since: options.Since = None,
        json: JsonOption = False,
    ) -> None:
        """Send again, with the ids that the messages had; by default those that failed."""
        body: dict[str, Any] = {"deliveries": delivery, "since": _client.moment(since)}
        body["state"] = state or (None if delivery or since else "failed")
        with _client.connect() as client:
            one = f"{path}/{find(client, path, which)['id']}"
            given = {name: value for name, value in body.items() if value}
            done = send(client, "POST", f"{one}/replay", given)
        if json:
            _common.print_json(done)
        else:
            _common.note(f"{done['replayed']} deliveries go out again")
