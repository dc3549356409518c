"""Measure speed, memory and latency on this machine; needs a checkout, not just the package."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

import sentinel
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

#: Columns of the table; what else a row has goes into the last.
COLUMNS = ("name", "cpu_us_per_event", "events_per_s", "x_orjson")


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks; default: all.")] = None,
    events: Annotated[int, typer.Option(min=10_000, help="Events for the fast ones.")] = 100_000,
    json: JsonOption = False,
) -> None:
    """Run benchmarks and print a table, or one JSON line {name, x_orjson, …} a row."""
    known, context = _load()
    chosen = names or list(known)
    if unknown := [name for name in chosen if name not in known]:
        raise SettingsError(
            f"expected benchmarks among {', '.join(known)}, found {', '.join(unknown)}"
        )
    rows = []
    try:
        with context(_common.settings(), events, _common.note) as given:
            for name in chosen:
                _common.note(f"measuring {name}")
                for row in import_module(f"bench.{name}").run(given):
                    rows.append(row)
                    if json:
                        _common.print_json(row)
    finally:  # what was measured before one failed, or Ctrl-C, is not lost
        if rows and not json:
            _common.print_table("CPU time per event", [*COLUMNS, "more"], map(_cells, rows))


def _load() -> tuple[tuple[str, ...], Any]:
    """Import the benchmarks, which live beside the package in a checkout."""
    root = Path(sentinel.__file__).resolve().parents[1]
    if not (root / "bench" / "measure.py").is_file():
        raise SettingsError(
            f"expected the benchmarks in {root / 'bench'}, found none: they are not part of the "
            "installed package, run `sentinel bench` from a checkout"
        )
    if str(root) not in sys.path:
        sys.path.append(str(root))
    return import_module("bench").NAMES, import_module("bench._with.context").Context


def _cells(row: dict[str, Any]) -> list[Any]:
    more = [f"{key} {value}" for key, value in row.items() if key not in COLUMNS]
    return [*(row.get(column) for column in COLUMNS), ", ".join(more)]
