"""Keep alerts quiet on purpose: suppressions, maintenance windows, budgets; what to propose."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options
from sentinel.errors import SettingsError

app = typer.Typer(help=__doc__, no_args_is_help=True)
Many = list[str] | None
_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
PATH = "/v1/suppressions"
#: Of a rule or model that a tenant has in its own way.
TUNING = ("disabled", "staged", "severity", "threshold")
COLUMNS = ("id", "kind", "state", "tenant", "scope", "expires", "owner", "reason")

Rule = Annotated[Many, typer.Option("--rule", help="Rule or model id; * and ? stand for any.")]
Entity = Annotated[
    Many, typer.Option("--entity", help="Who did it: a name with * and ?, or a network.")
]
Technique = Annotated[Many, typer.Option("--technique", help="ATT&CK id, and below.")]
Kind = Annotated[
    Many, typer.Option("--kind", help="rule, model, correlation, risk or finding; repeat it.")
]
Owner = Annotated[str, typer.Option(help="Who answers for it; default: you.")]
Reason = Annotated[str, typer.Option(help="Why it is right, for whoever finds it.")]


@app.command("list")
def list_(
    tenant: options.OnlyTenant = None,
    ended: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    json: JsonOption = False,
) -> None:
    """List what keeps alerts quiet now, or will."""
    with _client.connect() as client:
        rows = _client.get(client, PATH, {"tenant": tenant, "ended": ended})["items"]
    if json:
        _common.print_json(*rows)
        return
    none = "`sentinel suppressions add` makes one; --all lists those that have ended, too"
    _common.print_table(f"Suppressions: {len(rows)}", COLUMNS, map(_cells, rows), none)


@app.command()
def add(
    reason: Reason,
    expires: Annotated[str, typer.Option(help="Time, or a span from now such as 8h or 14d.")],
    rule: Rule = None,
    source: options.Sources = None,
    entity: Entity = None,
    technique: Technique = None,
    kind: Kind = None,
    owner: Owner = "",
    tenant: options.Owner = None,
    json: JsonOption = False,
) -> None:
    """Suppress alerts that fit, from those that arrive in some seconds to the end.

    They are kept with the status "suppressed" and notify no one. Of an option given several
    times any may fit; of several options all must. What repeats after the end opens again.
    """
    scope = _scope(rule, source, entity, technique, kind)
    _add(_new("suppression", tenant, owner, reason, scope, expires=_moment(expires)), json)


@app.command()
def window(
    reason: Reason,
    end: Annotated[str, typer.Option(help="Time, or a span from now such as 4h or 90d.")],
    start: Annotated[str, typer.Option(help="Time, or a span from now; default: now.")] = "",
    weekly: Annotated[
        str, typer.Option(help="Only at hours of the week: 'sun 02:00-04:00 Europe/Vienna'.")
    ] = "",
    rule: Rule = None,
    source: options.Sources = None,
    entity: Entity = None,
    technique: Technique = None,
    kind: Kind = None,
    owner: Owner = "",
    tenant: options.Owner = None,
    json: JsonOption = False,
) -> None:
    """Open a maintenance window: what happens within it (event time) is suppressed."""
    scope = _scope(rule, source, entity, technique, kind)
    times = {"starts": _moment(start or "0m"), "expires": _moment(end)}
    _add(_new("maintenance", tenant, owner, reason, scope, weekly=weekly, **times), json)


@app.command()
def budget(
    reason: Reason,
    per_hour: Annotated[int | None, typer.Option(min=1, help="Most new alerts an hour.")] = None,
    per_day: Annotated[int | None, typer.Option(min=1, help="Most new alerts a day.")] = None,
    rule: Annotated[
        Many, typer.Option("--rule", help="Each of these rules by itself; '*': every rule.")
    ] = None,
    source: options.Sources = None,
    entity: Entity = None,
    technique: Technique = None,
    kind: Kind = None,
    expires: Annotated[str, typer.Option(help="Time, or a span from now; default: never.")] = "",
    owner: Owner = "",
    tenant: options.Owner = None,
    json: JsonOption = False,
) -> None:
    """Let so many new alerts through; the rest is suppressed, and one alert says so."""
    scope = _scope(rule, source, entity, technique, kind)
    limits = {"per_hour": per_hour, "per_day": per_day}
    end = _moment(expires) if expires else None
    _add(_new("budget", tenant, owner, reason, scope, expires=end, **limits), json)


@app.command()
def remove(
    ident: Annotated[UUID, typer.Argument(metavar="ID", help="As list shows it.")],
    json: JsonOption = False,
) -> None:
    """End a suppression, window or budget before its time, in some seconds."""
    with _client.connect() as client:
        row = _client.checked(client.delete(f"{PATH}/{ident}")).json()
    if json:
        _common.print_json(row)
    else:
        _common.note(f"{row['kind']} {ident} ends at {listing.when(row['removed'])} UTC")


def _scope(rule: Many, source: Many, entity: Many, technique: Many, kind: Many) -> dict[str, Many]:
    lists = {"rules": rule, "sources": source, "entities": entity, "techniques": technique}
    return {name: given for name, given in (lists | {"kinds": kind}).items() if given}


def _new(
    kind: str, tenant: str | None, owner: str, reason: str, scope: Any, **more: Any
) -> dict[str, Any]:
    """Return what the API is asked for; what was not said is left out."""
    said = {"kind": kind, "tenant": tenant, "owner": owner, "reason": reason, **more}
    return {"scope": scope} | {name: each for name, each in said.items() if each not in (None, "")}


def _add(asked: dict[str, Any], json: bool) -> None:
    with _client.connect() as client:
        made = _client.checked(client.post(PATH, json=asked)).json()
    if json:
        _common.print_json(made)
    else:
        _common.note(
            f"{made['kind']} {made['id']} holds from {listing.when(made['starts'])} UTC on"
        )


def _moment(text: str) -> str:
    """Return a time, or a span from now, in RFC 3339."""
    if span := _SPAN.fullmatch(text):
        return (datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])})).isoformat()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"expected a time such as 2026-01-31T12:00:00Z or a span such as 8h, found {text!r}"
        ) from error
    return (found if found.tzinfo else found.astimezone()).isoformat()


@app.command()
def propose(
    tenant: options.OnlyTenant = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Do all of it: 30 days for a suppression.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Say what people judged wrong again and again, and never right: rules, and on whom.

    Three wrong alerts of a rule on one entity in 90 days propose a suppression there, ten on
    several entities a trial of the rule. The thresholds of models follow by themselves.
    """
    with _client.connect() as client:
        items = _client.get(client, f"{PATH}/proposals", {"tenant": tenant})["items"]
        for item in items if accept else ():
            _client.checked(client.post(PATH, json=_accepted(item)))
    if json:
        _common.print_json(*items)
        return
    columns = ("tenant", "action", "rule_id", "entity", "source", "wrong", "title")
    rows = [[item[name] for name in columns] for item in items]
    none = "no rule was judged wrong three times and never right; `sentinel alert` takes judgements"
    _common.print_table(f"Proposals: {len(items)}", columns, rows, none)
    if items and not accept:
        _common.note("--accept does all of it; or see `suppressions add` and `rules tune`")


def _accepted(item: dict[str, Any]) -> dict[str, Any]:
    """Return what does a proposal, for the API."""
    scope = {"rules": [item["rule_id"]], "sources": [item["source"]]}
    reason = f"{item['wrong']} alerts were wrong and none right, in 90 days"
    said = {"tenant": item["tenant"], "reason": reason}
    if item["action"] == "stage":
        return said | {"kind": "tuning", "staged": True, "scope": scope}
    scope |= {"entities": [_literal(item["entity"])]}
    return said | {"scope": scope, "expires": _moment("30d")}


def _literal(entity: str) -> str:
    """Return a pattern that fits this entity alone."""
    return re.sub(r"([*?[])", r"[\1]", entity)


def _cells(row: dict[str, Any]) -> list[Any]:
    scope = "; ".join(f"{key} {', '.join(each)}" for key, each in row["scope"].items() if each)
    limits = [f"{row[name]} {name.replace('_', ' ')}" for name in ("per_hour", "per_day")
              if row[name]]  # fmt: skip
    limits += [f"{name} {row[name]}" for name in TUNING if row[name] is not None]
    hours = row["weekly"]
    if hours:
        limits.append(f"weekly {hours['from']}-{hours['to']} {hours['zone']}")
    shown = row | {
        "scope": "; ".join([scope or "everything", *limits]),
        "expires": listing.when(row["expires"] or "never"),
    }
    return [shown[name] for name in COLUMNS]
