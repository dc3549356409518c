"""Compare what a source says it has with what arrived; fetch what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from connectors._reading.base import SourceError
from connectors._running import inputs, reconcile
from sentinel import local
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError
from sentinel.kafka import Producer

#: What is on its way is no gap: by default the span ends so long ago.
ON_ITS_WAY = timedelta(minutes=30)


def command(
    name: Annotated[str, typer.Argument(help="Name of an input of SENTINEL_CONNECTORS.")],
    since: Annotated[
        str,
        typer.Option("--from", "--since", help="Begin of the span, such as 2026-03-01T00:00:00Z."),
    ],
    until: Annotated[
        str, typer.Option("--to", "--until", help="End of the span; default: half an hour ago.")
    ] = "",
    fetch: Annotated[bool, typer.Option("--fetch", help="Read what is missing again.")] = False,
    json: JsonOption = False,
) -> None:
    """Find what the source has and Sentinel has not; exit status 1 on a gap.

    Objects are compared, and of APIs without objects single events. A gap raises an alert too.
    """
    (target,) = inputs.chosen(_common.settings(), [name])
    settings = local.connect(_common.settings(), "kafka")
    begin = inputs.moment(since)
    end = inputs.moment(until) if until else datetime.now(UTC) - ON_ITS_WAY
    have = reconcile.Arrivals(settings, target, begin)
    reader = target.open()
    try:
        report = reconcile.compare(reader, have, begin, end)
    except NotImplementedError as error:
        raise SettingsError(f"{name}: {error}; there is nothing to compare with") from error
    except SourceError as error:
        raise SettingsError(f"{name}: {error}") from error
    finally:
        reader.close()
    came: set[str] = set()
    if report.missing:
        with Producer(settings) as producer:
            reconcile.alert(producer, target, report)
            came = reconcile.fetch(producer, target, report) if fetch else came
    _say(report, came, json)
    if any(each.id not in came for each in report.missing):
        raise typer.Exit(1)


def _say(report: reconcile.Report, came: set[str], json: bool) -> None:
    """Print what is missing."""
    rows = [
        {"id": each.id, "time": each.time, "records": each.records, "fetched": each.id in came}
        for each in report.missing
    ]
    if json:
        _common.print_json(*rows)
    elif rows:
        cells = (list(row.values()) for row in rows)
        _common.print_table("Missing", ("id", "time", "records", "fetched"), cells)
    _common.note(
        f"{report.listed} {report.what} listed, {len(report.missing)} missing"
        + (f", {len(came)} of them fetched" if came else "")
    )
