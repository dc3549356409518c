"""Show a list that the API has: a page of it as a table, or all of it as JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sentinel.cli import _client, _common

#: Rows of a table for a person, unless told otherwise; JSON has them all.
SCREEN = 50
Row = dict[str, Any]


class Shape(NamedTuple):
    """How rows are shown.

    Attributes
    ----------
    title, columns, cells
        Of the table: its head, and the cells of one row.
    none
        What to do where there is no row.
    """

    title: str
    columns: Sequence[str]
    cells: Callable[[Row], Iterable[Any]]
    none: str


def show(
    path: str, params: Mapping[str, Any], shape: Shape, limit: int | None, json: bool,
    row: Callable[[Row], Row] = lambda each: each,
) -> None:  # fmt: skip
    """Print the rows at `path`: as JSON lines all of them, as a table `SCREEN`, unless limited.

    Parameters
    ----------
    params
        Filters, as the path has them; None filters nothing.
    row
        What a script gets of a row.
    """
    with _client.connect() as client:
        if json:
            for each in _client.pages(client, path, params, limit):
                _common.print_json(row(each))
            return
        most = limit or SCREEN
        rows = list(_client.pages(client, path, params, most + 1))
    cells = (list(shape.cells(each)) for each in rows[:most])
    _common.print_table(shape.title, shape.columns, cells, none=shape.none)
    if len(rows) > most:
        _common.note(f"There are more than {most}: use --limit, --json or a filter.")


def when(time: str) -> str:
    """Return a time of the API for a cell, to the second (UTC).

    >>> when("2026-01-31T12:00:00.000Z")
    '2026-01-31 12:00:00'
    """
    return time[:19].replace("T", " ")


def span(since: str | None, until: str | None) -> dict[str, str | None]:
    """Return ``--since`` and ``--until`` as the API takes them.

    Raises
    ------
    SettingsError
        One is no time.
    """
    return {"since": _client.moment(since), "until": _client.moment(until)}
