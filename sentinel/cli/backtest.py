"""Show what rules would have said of past events, and how two sets of rules differ."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors._sources import sources
from detectors.sigma import RuleSet
from detectors.suppress.tuning import EVERYONE
from sentinel import local, postgres, suppressions, topics
from sentinel.cli import _client, _common, _offline
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.cli._offline import Problems
from sentinel.errors import SettingsError
from sentinel.reading import Reader
from sentinel.settings import Settings
from streams.policy.batch_models import Shelves
from streams.policy.known import asks
from streams.policy.rule_sets import load_rules
from streams.policy.suppressions import Board
from streams.rehearsal.backtest import Outcome, compare, run
from streams.rehearsal.pipeline import Message

#: Most stored events taken; more is refused, for they are held in memory.
MOST = 2_000_000
COLUMNS = ("in", "first seen", "severity", "title", "entity", "count", "rule_id")
_QUERY = """
SELECT source, raw, (extract(epoch FROM arrived) * 1000)::bigint AS arrived FROM public.events
WHERE tenant = $1 AND time >= $2 AND time < $3 AND ($4 = '' OR source = $4) AND raw <> ''
ORDER BY public.events.arrived, time, uid LIMIT $5
"""

#: What holds besides rules: what people set, and the models that they promoted.
Held = tuple[Board, Shelves]
Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Files or folders as a source writes them; none: stored events."),
]
Source = Annotated[
    str,
    typer.Option(
        help="Source of the files; of stored events, only these.", autocompletion=options.sources
    ),
]
Rules = Annotated[
    list[Path] | None,
    typer.Option(help="Rules to try: files or folders; default: those that workers run."),
]
Against = Annotated[
    list[Path] | None, typer.Option(help="Rules to compare with: only the difference is shown.")
]
From = Annotated[
    str, typer.Option("--from", "--since", help="Stored events from this time, or 14d back.")
]
To = Annotated[str | None, typer.Option("--to", "--until", help="Stored events before this time.")]


def command(
    paths: Paths = None,
    source: Source = "",
    rules: Rules = None,
    against: Against = None,
    start: From = "14d",
    end: To = None,
    tenant: options.Tenant = _offline.TENANT,
    json: JsonOption = False,
) -> None:
    """Run the whole pipeline over past events: decoding, rules, models, correlations, risk.

    Models start knowing nothing, as at the beginning of that time; on stored events suppressions,
    budgets, promoted batch models and what the tenant set of rules hold as they did then. With
    --against, alerts are marked ``-`` where only those rules have them, ``+`` where only --rules
    has, ``~`` where both have and the events differ. Rules that ask look-ups (intel.*) get what
    SENTINEL_INTEL has now, not what was known then.
    """
    settings = _common.settings()
    if paths:
        messages = list(_from_files(list(map(str, paths)), source, tenant))
        held = Board(), Shelves()
    else:
        messages, held = _common.run(_stored(settings, source, tenant, start, end))
    if not messages:
        raise SettingsError("expected past events, found none: see --source, --tenant and --from")
    new = _try(messages, rules, settings, held)
    rows = [(" ", alert) for alert in sorted(new.alerts.values(), key=_when)]
    if against:
        found = compare(_try(messages, against, settings, held), new)
        rows = [("-", alert) for alert in found.only_a] + [("+", alert) for alert in found.only_b]
        rows = sorted([*rows, *(("~", after) for _, after in found.changed)], key=_row_when)
    _show(rows, json)


def _try(
    messages: Sequence[Message], dirs: Sequence[Path] | None, settings: Settings, held: Held
) -> Outcome:
    """Run messages through rules and say how it went."""
    given = RuleSet.load(list(dirs)) if dirs else load_rules(settings)
    for path, reason in [(each.path, each.reason) for each in given.unsupported][:5]:
        _common.note(f"left out: {path}: {reason}")
    asking = sum(asks(rule.fields) for rule in given.rules)
    if asking and settings.intel:
        _common.note(
            f"{asking} rules ask look-ups: what {settings.intel} has now counts, not what was "
            "known then"
        )
    elif asking:
        _common.note(
            f"{asking} rules ask look-ups, and SENTINEL_INTEL names none: nothing is known"
        )
    outcome = run(messages, given, sources(settings), settings, *held)
    _common.note(
        f"{outcome.events} events, {outcome.dead_letters} that are none, {len(outcome.alerts)} "
        f"alerts in {outcome.seconds:.1f} s, {outcome.times_real_time:,.0f} times real time"
    )
    return outcome


def _from_files(paths: Sequence[str], source: str, tenant: str) -> Iterator[Message]:
    """Yield the raw events of files, in order."""
    connector = _offline.connector(source)
    reader, problems = Reader(list(paths), cut=connector.records), Problems()
    now = int(time.time() * 1000)
    for _, value in reader:
        yield Message(topics.raw(source), 0, value, tenant, now)
    for line in problems.lines():
        _common.note(line)


async def _stored(
    settings: Settings, source: str, tenant: str, start: str, end: str | None
) -> tuple[list[Message], Held]:
    """Return stored events in the order they came in, and what people set for the tenant."""
    settings = local.connect(settings, "postgres")
    since = datetime.fromisoformat(_client.moment(start) or "")
    until = datetime.fromisoformat(_client.moment(end) or "") if end else datetime.now(UTC)
    pool = await postgres.open_pool(settings.postgres, postgres.API, tenant=tenant, size=1)
    try:
        rows = await pool.fetch(_QUERY, tenant, since, until, source, MOST + 1)
        async with pool.acquire() as connection:
            await connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
            given = await suppressions.listed(connection, ended=True, limit=MOST)
    finally:
        await pool.close()
    if len(rows) > MOST:
        raise SettingsError(f"expected at most {MOST} events, found more: narrow --from and --to")
    board = Board()
    board.take(row for row in given if row["tenant"] in {tenant, EVERYONE})
    messages = [
        Message(topics.raw(row["source"]), 0, row["raw"].encode(), tenant, row["arrived"])
        for row in rows
    ]
    return messages, (board, await _promoted(settings, tenant, since))


async def _promoted(settings: Settings, tenant: str, since: datetime) -> Shelves:
    """Return the batch models that were live then or later."""
    shelves = Shelves()
    pool = await postgres.open_pool(settings.postgres, postgres.TRAINER, tenant=tenant, size=1)
    try:
        async with pool.acquire() as connection:
            await shelves.look(connection, tenant, int(since.timestamp() * 1000))
    finally:
        await pool.close()
    return shelves


def _when(alert: dict[str, Any]) -> tuple[int, str]:
    return alert["first_seen"], alert["id"]


def _row_when(row: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    return _when(row[1])


def _show(rows: Sequence[tuple[str, dict[str, Any]]], json: bool) -> None:
    if json:
        _common.print_json(*({"in": mark, **alert} for mark, alert in rows))
        return
    cells = [
        [
            mark,
            datetime.fromtimestamp(alert["first_seen"] / 1000)
            .astimezone()
            .isoformat(" ", "seconds"),
            options.SEVERITIES[alert["severity_id"]],
            alert["title"],
            alert["entity"],
            alert["count"],
            alert["rule_id"],
        ]
        for mark, alert in rows
    ]
    _common.print_table("Alerts", COLUMNS, cells)
