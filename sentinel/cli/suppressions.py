"""Keep alerts quiet on purpose: suppressions, maintenance windows, budgets; what to propose."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from api.identity.audit import audit
from detectors.suppress.draft import TUNING, draft
from detectors.suppress.scope import Scope
from sentinel import suppressions
from sentinel.cli import _client, _common
from sentinel.cli._changes import person
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

app = typer.Typer(help=__doc__, no_args_is_help=True)
Many = list[str] | None
_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
#: A budget that is given no end has none.
FAR = int(datetime(9998, 12, 31, tzinfo=UTC).timestamp() * 1000)
COLUMNS = ("id", "kind", "state", "tenant", "scope", "expires", "owner", "reason")

Rule = Annotated[Many, typer.Option("--rule", help="Rule or model id; * and ? stand for any.")]
Source = Annotated[Many, typer.Option("--source", help="Such as cloudtrail.")]
Entity = Annotated[
    Many, typer.Option("--entity", help="Who did it: a name with * and ?, or a network.")
]
Technique = Annotated[Many, typer.Option("--technique", help="ATT&CK id, and below.")]
Kind = Annotated[
    Many, typer.Option("--kind", help="rule, model, correlation, risk or finding; repeat it.")
]
Tenant = Annotated[str, typer.Option(help="Whose alerts; '*' are those of every tenant.")]
Owner = Annotated[str, typer.Option(help="Who answers for it; default: you.")]
Reason = Annotated[str, typer.Option(help="Why it is right, for whoever finds it.")]


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only those of one tenant.")] = None,
    ended: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    json: JsonOption = False,
) -> None:
    """List what keeps alerts quiet now, or will."""
    rows = person.transaction(
        lambda connection: suppressions.listed(connection, tenant, ended=ended)
    )
    if json:
        _common.print_json(*map(_object, rows))
        return
    _common.print_table(f"Suppressions: {len(rows)}", COLUMNS, map(_cells, rows))


@app.command()
def add(
    reason: Reason,
    expires: Annotated[str, typer.Option(help="Time, or a span from now such as 8h or 14d.")],
    rule: Rule = None,
    source: Source = None,
    entity: Entity = None,
    technique: Technique = None,
    kind: Kind = None,
    owner: Owner = "",
    tenant: Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Suppress alerts that fit, from those that arrive in some seconds to the end.

    They are kept with the status "suppressed" and notify no one. Of an option given several
    times any may fit; of several options all must. What repeats after the end opens again.
    """
    scope = _scope(rule, source, entity, technique, kind)
    now = _now()
    _add(
        draft("suppression", scope, tenant=tenant, owner=owner or person.name(), reason=reason,
              expires=_moment(expires, now), now=now),
        json,
    )  # fmt: skip


@app.command()
def window(
    reason: Reason,
    end: Annotated[str, typer.Option(help="Time, or a span from now such as 4h or 90d.")],
    start: Annotated[str, typer.Option(help="Time, or a span from now; default: now.")] = "",
    weekly: Annotated[
        str, typer.Option(help="Only at hours of the week: 'sun 02:00-04:00 Europe/Vienna'.")
    ] = "",
    rule: Rule = None,
    source: Source = None,
    entity: Entity = None,
    technique: Technique = None,
    kind: Kind = None,
    owner: Owner = "",
    tenant: Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Open a maintenance window: what happens within it (event time) is suppressed."""
    scope = _scope(rule, source, entity, technique, kind)
    now = _now()
    starts = _moment(start, now) if start else now
    _add(
        draft("maintenance", scope, tenant=tenant, owner=owner or person.name(), reason=reason,
              starts=starts, expires=_moment(end, now), now=now, hours=weekly),
        json,
    )  # fmt: skip


@app.command()
def budget(
    reason: Reason,
    per_hour: Annotated[int | None, typer.Option(min=1, help="Most new alerts an hour.")] = None,
    per_day: Annotated[int | None, typer.Option(min=1, help="Most new alerts a day.")] = None,
    rule: Annotated[
        Many, typer.Option("--rule", help="Each of these rules by itself; '*': every rule.")
    ] = None,
    source: Source = None,
    entity: Entity = None,
    technique: Technique = None,
    kind: Kind = None,
    expires: Annotated[str, typer.Option(help="Time, or a span from now; default: never.")] = "",
    owner: Owner = "",
    tenant: Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Let so many new alerts through; the rest is suppressed, and one alert says so."""
    scope = _scope(rule, source, entity, technique, kind)
    now = _now()
    ends = _moment(expires, now) if expires else FAR
    _add(
        draft("budget", scope, tenant=tenant, owner=owner or person.name(), reason=reason,
              expires=ends, now=now, per_hour=per_hour, per_day=per_day),
        json,
    )  # fmt: skip


@app.command()
def remove(
    ident: Annotated[UUID, typer.Argument(metavar="ID", help="As list shows it.")],
    owner: Annotated[str, typer.Option("--by", help="Who ends it; default: you.")] = "",
    json: JsonOption = False,
) -> None:
    """End a suppression, window or budget before its time, in some seconds."""
    by = owner or person.name()

    async def work(connection: Any) -> dict[str, Any] | None:
        row = await suppressions.remove(connection, ident, by)
        if row is not None:
            await audit(connection, f"{row['kind']}.remove", str(ident), tenant=row["tenant"])
        return row

    row = person.transaction(work)
    if row is None:
        raise SettingsError(
            f"expected a suppression, window or budget that holds, found none with the id {ident}; "
            "`sentinel suppressions list` has them"
        )
    if json:
        _common.print_json(_object(row))
    else:
        _common.note(f"{row['kind']} {ident} ends in {suppressions.SETTLE_S:g} s")


def _scope(rule: Many, source: Many, entity: Many, technique: Many, kind: Many) -> Scope:
    lists = [tuple(each or ()) for each in (rule, source, entity, technique, kind)]
    return Scope(*lists)


def _add(row: dict[str, Any], json: bool) -> None:
    async def work(connection: Any) -> dict[str, Any]:
        made = await suppressions.add(connection, row)
        detail = {name: value for name, value in row.items() if value not in (None, "", False)}
        await audit(connection, f"{made['kind']}.add", made["id"], detail, tenant=made["tenant"])
        return made

    made = person.transaction(work)
    if json:
        _common.print_json(_object(made))
    else:
        _common.note(f"{made['kind']} {made['id']} holds from {_text(made['starts'])} on")


def _moment(text: str, now: int) -> int:
    """Return a time, or a span from now, in ms since the epoch."""
    if span := _SPAN.fullmatch(text):
        return now + int(span[1]) * _UNIT_MS[span[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"expected a time such as 2026-01-31T12:00:00Z or a span such as 8h, found {text!r}"
        ) from error
    return round((found if found.tzinfo else found.astimezone()).timestamp() * 1000)


@app.command()
def propose(
    tenant: Annotated[str | None, typer.Option(help="Only for one tenant.")] = None,
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
        items = _client.get(client, "/v1/suppressions/proposals", {"tenant": tenant})["items"]
        for item in items if accept else ():
            _client.checked(client.post("/v1/suppressions", json=_accepted(item)))
    if json:
        _common.print_json(*items)
        return
    columns = ("tenant", "action", "rule_id", "entity", "source", "wrong", "title")
    rows = [[item[name] for name in columns] for item in items]
    _common.print_table(f"Proposals: {len(items)}", columns, rows)
    if items and not accept:
        _common.note("--accept does all of it; or see `suppressions add` and `rules tune`")


def _accepted(item: dict[str, Any]) -> dict[str, Any]:
    """Return what does a proposal, for the API."""
    scope = {"rules": [item["rule_id"]], "sources": [item["source"]]}
    reason = f"{item['wrong']} alerts were wrong and none right, in 90 days"
    said = {"tenant": item["tenant"], "reason": reason}
    if item["action"] == "stage":
        return said | {"kind": "tuning", "staged": True, "scope": scope}
    end = datetime.fromtimestamp((_now() + 30 * _UNIT_MS["d"]) / 1000, UTC).isoformat()
    return said | {"scope": scope | {"entities": [_literal(item["entity"])]}, "expires": end}


def _literal(entity: str) -> str:
    """Return a pattern that fits this entity alone."""
    return re.sub(r"([*?[])", r"[\1]", entity)


def _object(row: dict[str, Any]) -> dict[str, Any]:
    times = ("starts", "expires", "created", "removed")
    shown = {name: None if row[name] is None else _text(row[name]) for name in times}
    return row | shown | {"state": _state(row, _now())}


def _state(row: dict[str, Any], now: int) -> str:
    """Return whether a row holds for what arrives, or of a window what happens, now."""
    if now >= row["expires"] or (row["removed"] is not None and now >= row["removed"]):
        return "ended"
    return "pending" if now < row["starts"] else "active"


def _cells(row: dict[str, Any]) -> list[Any]:
    scope = "; ".join(f"{key} {', '.join(each)}" for key, each in row["scope"].items() if each)
    limits = [f"{row[name]} {name.replace('_', ' ')}" for name in ("per_hour", "per_day")
              if row[name]]  # fmt: skip
    limits += [f"{name} {row[name]}" for name in TUNING if row[name] is not None]
    hours = row["weekly"]
    if hours:
        limits.append(f"weekly {hours['from']}-{hours['to']} {hours['zone']}")
    shown = row | {
        "state": _state(row, _now()),
        "scope": "; ".join([scope or "everything", *limits]),
        "expires": "never" if row["expires"] >= FAR else _text(row["expires"]),
    }
    return [shown[name] for name in COLUMNS]


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now() -> int:
    return time.time_ns() // 1_000_000
