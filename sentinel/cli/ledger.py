"""Show that every record is accounted for: in, out, duplicate, dead-lettered, per stage."""

from __future__ import annotations

import asyncio

import typer

from sentinel import local
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.ledger import COLUMNS, Report
from streams.runtime import progress
from streams.runtime.checkpoint import Store


def command(json: JsonOption = False) -> None:
    """Add up the ledger of all stages; exit with 1 when the balance is not 0."""
    report = asyncio.run(_read())
    if json:
        _common.print_json(
            {"balance": report.balance, "in_flight": report.in_flight, "rows": report.rows}
        )
    else:
        columns = ("stage", "tenant", "source", *COLUMNS, "difference")
        rows = [[row.get(name) for name in columns] for row in report.rows]
        _common.print_table("Ledger", columns, rows)
        _common.note(f"balance {report.balance}, in flight {report.in_flight}")
    if report.balance:
        raise typer.Exit(1)


async def _read() -> Report:
    """Read the ledger of the running stack."""
    settings = local.connect(_common.settings())
    store = await Store.connect(settings.postgres)
    try:
        report, _ = await progress.report(settings, store)
    finally:
        await store.close()
    return report
