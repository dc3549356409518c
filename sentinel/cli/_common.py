"""What commands share: the ``--json`` option, output, settings and running coroutines."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel import settings as settings_module
from sentinel.settings import Settings

T = TypeVar("T")

SEVERITY_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

#: Where no one looks, a table is not cut to 80 columns.
WIDE = 200
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
progress_console = Console(stderr=True)


def settings() -> Settings:
    """Read the settings from the environment; see `sentinel.settings.load` for errors."""
    return settings_module.load()


def print_json(*rows: Any) -> None:
    """Write each row as one line of JSON to stdout and flush, so that pipes see it at once.

    Datetimes become RFC 3339 in UTC (``Z``), UUIDs strings.
    """
    out = sys.stdout.buffer
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    for row in rows:
        out.write(orjson.dumps(row, default=str, option=option))
    out.flush()


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], none: str = ""
) -> None:
    """Draw a table on stdout; a value that is None is an empty cell.

    Where there is no row, `none` is said on stderr: how to get some.
    """
    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    console.print(table)
    if none and not table.row_count:
        note(f"none found; {none}")


def note(message: str) -> None:
    """Say something to the person on stderr, where it cannot spoil piped output."""
    progress_console.print(message, highlight=False, markup=False, soft_wrap=True)


def without_password(address: str) -> str:
    """Return a DSN or URL without what must not be shown: its password and its options.

    >>> without_password("postgresql://ada:secret@db:5432/sentinel?sslmode=verify-full")
    'postgresql://ada@db:5432/sentinel'
    """
    scheme, separator, rest = address.partition("?")[0].rpartition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{credentials.partition(':')[0]}{at}{host}"


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result."""
    return asyncio.run(coroutine)
